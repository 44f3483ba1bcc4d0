"""Policy: acts in one Gymnasium environment.

    policy = Policy.load(checkpoint, env.observation_space, env.action_space)
    policy.reset(seed=0)
    observation, _ = env.reset(seed=0)
    observation, reward, terminated, truncated, _ = env.step(policy.act(observation))

`predict` has the signature of stable-baselines3, so that harnesses written for its models take a Policy as it is.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from gymnasium import spaces

from gato.config import PolicyConfig
from gato.inference.agent import Agent
from gato.inference.batch_policy import BatchPolicy
from gato.inference.vector import entry, is_batched, stack
from gato.tokenizer.rules import Modality
from gato.tokenizer.sequence import TokenSequence


class Policy:
    """A `BatchPolicy` of one environment. Episodes begin with `reset`; the first one, with seed 0, has begun."""

    def __init__(
        self,
        agent: Agent,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        source: str | None = None,
        config: PolicyConfig | None = None,
        modalities: Mapping[str, Modality] | None = None,
    ) -> None:
        """Takes the arguments of `BatchPolicy`, and raises as it does."""
        self._batch = BatchPolicy(
            agent, observation_space, action_space, source=source, config=config, modalities=modalities
        )

    @classmethod
    def load(
        cls,
        checkpoint: Path,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        *,
        source: str | None = None,
        config: PolicyConfig | None = None,
        modalities: Mapping[str, Modality] | None = None,
    ) -> Self:
        """The policy of a run folder, checkpoint folder or released folder; other arguments are the constructor's."""
        return cls(
            Agent.load(checkpoint),
            observation_space,
            action_space,
            source=source,
            config=config,
            modalities=modalities,
        )

    @property
    def observation_space(self) -> spaces.Space:
        return self._batch.observation_space

    @property
    def action_space(self) -> spaces.Space:
        return self._batch.action_space

    def encode_demonstration(self, observations: Any, actions: Any) -> TokenSequence:
        """A prompt for `reset` out of one episode, see `BatchPolicy.encode_demonstration`."""
        return self._batch.encode_demonstration(observations, actions)

    def reset(self, seed: int = 0, prompt: TokenSequence | None = None) -> None:
        """Begins a new episode, whose actions are drawn from `seed`; raises as `BatchPolicy.reset` does."""
        self._batch.reset(seeds=[seed], prompt=prompt)

    def act(self, observation: Any, *, deterministic: bool = False) -> Any:
        """The action, a member of the action space, for a member of the observation space.

        Raises:
            TypeError, ValueError: the observation does not fit the space or the context; nothing has changed then.
        """
        if observation is None:
            raise TypeError("the observation is None, expected a member of the observation space")
        return self._batch.act([observation], deterministic=deterministic)[0]

    def predict(
        self,
        observation: Any,
        state: None = None,
        episode_start: Sequence[bool] | np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[Any, None]:
        """The action for one observation, or for a batch of one, see `BatchPolicy.predict`."""
        if is_batched(self.observation_space, observation):
            return self._batch.predict(observation, state, episode_start, deterministic)
        actions, _ = self._batch.predict(stack([observation]), state, episode_start, deterministic)
        return entry(actions, 0), None
