"""Policy: acts in one Gymnasium environment.

    policy = Policy.load(checkpoint, env.observation_space, env.action_space)
    policy.reset(seed=0)
    observation, _ = env.reset(seed=0)
    observation, reward, terminated, truncated, _ = env.step(policy.act(observation))

`predict` has the signature of stable-baselines3, so that harnesses written for its models take a Policy as it is.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, Unpack

import numpy as np
from gymnasium.spaces import Space

from gato.inference.agent import Agent
from gato.inference.batch_policy import BatchPolicy, PolicyOptions
from gato.inference.vector import is_batched, split
from gato.tokenizer.sequence import TokenSequence
from gato.tokenizer.tree import flatten, unflatten


class Policy:
    """A `BatchPolicy` of one environment. Episodes begin with `reset`; the first one, with seed 0, has begun."""

    def __init__(
        self, agent: Agent, observation_space: Space, action_space: Space, **options: Unpack[PolicyOptions]
    ) -> None:
        """Takes the arguments of `BatchPolicy`, and raises as it does."""
        self._batch = BatchPolicy(agent, observation_space, action_space, **options)

    @classmethod
    def load(
        cls, checkpoint: Path, observation_space: Space, action_space: Space, **options: Unpack[PolicyOptions]
    ) -> Self:
        """Loads the policy of a run folder, checkpoint folder or released folder; the rest is the constructor's."""
        return cls(Agent.load(checkpoint), observation_space, action_space, **options)

    @property
    def observation_space(self) -> Space:
        return self._batch.observation_space

    @property
    def action_space(self) -> Space:
        return self._batch.action_space

    def encode_demonstration(self, observations: Any, actions: Any) -> TokenSequence:
        """Makes a prompt for `reset` out of one episode, see `BatchPolicy.encode_demonstration`."""
        return self._batch.encode_demonstration(observations, actions)

    def reset(self, seed: int = 0, prompt: TokenSequence | None = None) -> None:
        """Begins a new episode, whose actions are drawn from `seed`; raises as `BatchPolicy.reset` does."""
        self._batch.reset(seeds=[seed], prompt=prompt)

    def act(self, observation: Any, *, deterministic: bool = False) -> Any:
        """Returns the action, a member of the action space, for a member of the observation space.

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
        """Returns the action for one observation, or for a batch of one, see `BatchPolicy.predict`."""
        space = self.observation_space
        if is_batched(space, observation):
            return self._batch.predict(observation, state, episode_start, deterministic)
        batch_of_one = unflatten(space, iter([[leaf] for leaf in flatten(space, observation, "observation")]))
        actions, _ = self._batch.predict(batch_of_one, state, episode_start, deterministic)
        return split(self.action_space, actions, 1, "action")[0], None
