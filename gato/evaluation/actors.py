"""Actors without a network: random actions, and a scripted expert."""

import contextlib
import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from gato.envs.task import Expert
from gato.evaluation.rollout import EpisodeStart, SlotwiseActor
from gato.evaluation.time_limit import cpu_time_limit
from gato.seeds import Stream, stream


class RandomActor(SlotwiseActor):
    """Draws every action from the action space: the lower anchor of normalised scores."""

    def __init__(self, action_space: gym.Space) -> None:
        self._action_space = action_space
        self._spaces: dict[int, gym.Space] = {}

    def reset(self, starts: Sequence[EpisodeStart]) -> None:
        for start in starts:
            space = copy.deepcopy(self._action_space)
            space.seed(start.seed)
            self._spaces[start.slot] = space

    def act_in(self, slot: int, observation: Any) -> Any:
        return self._spaces[slot].sample()


class ExpertActor(SlotwiseActor):
    """Plays every slot with an expert of that slot's environment."""

    def __init__(
        self, make_expert: Callable[[gym.Env, np.random.Generator], Expert], *, cpu_seconds: float | None = None
    ) -> None:
        """Keeps how experts are made; one is made when an episode starts.

        Args:
            make_expert: builds an expert for an environment; the generator is its own.
            cpu_seconds: limit of one call of the expert; then `TimeLimitExceededError` comes out of it. See
                `cpu_time_limit` for where that works.
        """
        self._make_expert = make_expert
        self._limit = contextlib.nullcontext if cpu_seconds is None else functools.partial(cpu_time_limit, cpu_seconds)
        self._experts: dict[int, Expert] = {}

    def reset(self, starts: Sequence[EpisodeStart]) -> None:
        for start in starts:
            # A stream of its own, apart from those that the rollout draws from the same seed.
            expert = self._make_expert(start.env, stream(Stream.EXPERT, start.seed))
            with self._limit():
                expert.reset()
            self._experts[start.slot] = expert

    def act_in(self, slot: int, observation: Any) -> Any:
        with self._limit():
            return self._experts[slot].act(observation)
