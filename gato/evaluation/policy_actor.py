"""The trained agent as an actor; apart from the other actors so that recording demonstrations does not load JAX."""

from collections.abc import Sequence
from typing import Any

from gato.evaluation.rollout import EpisodeStart
from gato.inference.batch_policy import BatchPolicy
from gato.tokenizer.elements import Elements


class PolicyActor:
    """Acts with a policy that has as many slots as the rollout has environments."""

    def __init__(self, policy: BatchPolicy, prompts: Sequence[Elements | None] | None = None) -> None:
        """Takes the demonstration that each episode of the rollout starts with; None means that none has one."""
        self._policy = policy
        self._prompts = prompts

    def reset(self, starts: Sequence[EpisodeStart]) -> None:
        prompts = {start.slot: None if self._prompts is None else self._prompts[start.episode] for start in starts}
        # One call for all episodes that share a demonstration, which is then encoded once.
        for prompt in {id(prompt): prompt for prompt in prompts.values()}.values():
            alike = [start for start in starts if prompts[start.slot] is prompt]
            self._policy.reset([start.slot for start in alike], seeds=[start.seed for start in alike], prompt=prompt)

    def act(self, observations: Sequence[Any]) -> list[Any]:
        return self._policy.act(observations)
