"""The trained agent as an actor; apart from the other actors so that recording demonstrations does not load JAX."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym

from gato.evaluation.rollout import EpisodeStart
from gato.inference.batch_policy import BatchPolicy
from gato.tokenizer.sequence import TokenSequence


@dataclass(frozen=True, kw_only=True)
class Interface:
    """How the agent meets a task."""

    observation_space: gym.Space
    action_space: gym.Space
    source: str | None  # whose scaling the numbers have, see `Agent.fields_of`


class PolicyActor:
    """Acts with a policy that has at least as many slots as the rollout has environments."""

    def __init__(
        self,
        policy: BatchPolicy,
        prompt_of: Callable[[int], TokenSequence | None] | None = None,
        *,
        interface_of: Callable[[int], Interface] | None = None,
        pinned: bool = True,
        deterministic: bool = False,
    ) -> None:
        """Nothing is asked before an episode starts.

        Args:
            policy: whose spaces are those of the task, where there is but one.
            prompt_of: the demonstration that an episode of the rollout starts with; equal ones should be one object.
            interface_of: the task of an episode, where there are several; episodes of one task share one object.
            pinned: prompts stay at the front of the context.
            deterministic: takes the most likely actions.
        """
        self._policy = policy
        self._prompt_of = prompt_of
        self._interface_of = interface_of
        self._pinned = pinned
        self._deterministic = deterministic
        self._interfaces: dict[int, Interface] = {}  # by slot

    def reset(self, starts: Sequence[EpisodeStart]) -> None:
        if self._interface_of is not None:
            self._assign({start.slot: self._interface_of(start.episode) for start in starts})
        prompts = {start.slot: None if self._prompt_of is None else self._prompt_of(start.episode) for start in starts}
        # One call for all episodes that share a demonstration, which is then encoded once.
        for prompt in {id(prompt): prompt for prompt in prompts.values()}.values():
            alike = [start for start in starts if prompts[start.slot] is prompt]
            slots, seeds = [start.slot for start in alike], [start.seed for start in alike]
            self._policy.reset(slots, seeds=seeds, prompt=prompt, pinned=self._pinned)

    def act(self, observations: Sequence[Any]) -> list[Any]:
        idle = [None] * (self._policy.num_envs - len(observations))
        return self._policy.act([*observations, *idle], deterministic=self._deterministic)[: len(observations)]

    def _assign(self, interfaces: dict[int, Interface]) -> None:
        """Gives the slots whose task has changed their new one."""
        changed = {slot: new for slot, new in interfaces.items() if self._interfaces.get(slot) is not new}
        for interface in {id(new): new for new in changed.values()}.values():
            slots = [slot for slot, new in changed.items() if new is interface]
            self._policy.assign(slots, interface.observation_space, interface.action_space, source=interface.source)
        self._interfaces |= changed
