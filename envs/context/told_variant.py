"""The oracle of the suite: the observation itself says which task and variant is wanted, so no demonstration is needed.

What an agent reaches that is told so bounds what a demonstration could tell it. One numbering serves several tasks, so
that one network can play them all.
"""

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from ..task import Task

# Observations and actions are whatever the spaces of the wrapped environment say, hence `Any`.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Numbering:
    """A number for every task and for every variant of each, those that are never trained behind the others."""

    tasks: tuple[str, ...]
    variants: tuple[tuple[str, ...], ...]  # of each task: its reset options as JSON with sorted keys, as data hold them

    @classmethod
    def of(cls, tasks: Sequence[Task]) -> "Numbering":
        """The tasks in this order."""
        return cls(
            tasks=tuple(task.name for task in tasks),
            variants=tuple(tuple(map(_text, (*task.variants, *task.held_out_variants))) for task in tasks),
        )

    def of_episode(self, task: str, options: Mapping[str, Any] | None) -> np.ndarray:
        """(2,) int64: the numbers of the task and of the variant that these reset options are.

        Raises:
            ValueError: a task or variant that has no number.
        """
        if task not in self.tasks:
            raise ValueError(f"task {task!r} has no number, expected one of {list(self.tasks)}")
        number = self.tasks.index(task)
        known, variant = self.variants[number], _text(options or {})
        if variant not in known:
            raise ValueError(
                f"task {task!r}: {variant} is none of its {len(known)} variants: reset it with the options of one, "
                f"such as {known[0]}"
            )
        return np.array([number, known.index(variant)])

    def observation_space(self, space: gymnasium.Space[Any]) -> spaces.Dict:
        """What an environment with this observation space shows when it tells its task and variant."""
        most = max(len(variants) for variants in self.variants)
        return spaces.Dict({"observation": space, "wanted": spaces.MultiDiscrete([len(self.tasks), most])})


class ToldVariant(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment whose observations tell the task and the variant of the episode, beside what they showed."""

    def __init__(self, env: gymnasium.Env[Any, Any], task: str, numbering: Numbering) -> None:
        super().__init__(env)
        self._task, self._numbering = task, numbering
        self._wanted = np.zeros(2, np.int64)
        self.observation_space = numbering.observation_space(env.observation_space)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts an episode of the variant that the options are.

        Raises:
            ValueError: the options are no variant, so that there is nothing to tell.
        """
        self._wanted = self._numbering.of_episode(self._task, options)
        observation, info = self.env.reset(seed=seed, options=options)
        return self._told(observation), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._told(observation), reward, terminated, truncated, info

    def _told(self, observation: Any) -> dict[str, Any]:
        return {"observation": observation, "wanted": self._wanted.copy()}


def with_task_id(task: Task, numbering: Numbering) -> Task:
    """Returns the task with environments that tell what is wanted, and without its expert, which would see them too."""
    return dataclasses.replace(task, make=functools.partial(_make, task, numbering), make_expert=None)


def _make(task: Task, numbering: Numbering, render_mode: str | None = None) -> ToldVariant:
    return ToldVariant(task.make(render_mode=render_mode), task.name, numbering)


def _text(options: Mapping[str, Any]) -> str:
    return json.dumps(dict(options), sort_keys=True)
