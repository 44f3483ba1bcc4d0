"""A task of the catalogue as one agent meets it: how it is made, its spaces as tokens, and what a step costs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym

from gato.envs.task import Task
from gato.tokenizer.spaces import TimestepTokenizer


@dataclass(frozen=True, kw_only=True)
class EvaluationTask:
    """A task with what planning, playing and scoring its episodes takes."""

    task: Task
    make_env: Callable[[], gym.Env]  # plays it; one object per task, since equal ones share environments
    observation_space: gym.Space
    action_space: gym.Space
    timesteps: TimestepTokenizer  # of these spaces, with the scaling of the source
    source: str | None = None  # whose scaling the numbers have, see `Agent.fields_of`
    num_tokens: int  # per timestep
    num_patches: int = 0  # among them
    step_ms: float = 0.0  # wall time per environment step of random actions

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def num_observation_tokens(self) -> int:
        return self.num_tokens - self.timesteps.num_action_tokens

    @property
    def variants(self) -> tuple[Mapping[str, Any], ...]:
        """Reset options, counted from 0: those that may be trained on, then the held-out ones."""
        return (*self.task.variants, *self.task.held_out_variants)

    @property
    def has_expert(self) -> bool:
        return self.task.make_expert is not None

    @property
    def cost(self) -> tuple[int, int, int]:
        """Tasks of equal cost are cheap in one batch, whose rows are all padded to the longest."""
        return self.num_patches, self.num_tokens, self.timesteps.num_action_tokens

    def has_spaces_of(self, other: "EvaluationTask") -> bool:
        """Tells whether a demonstration of one task can stand before an episode of the other."""
        return (self.observation_space, self.action_space) == (other.observation_space, other.action_space)


def reference_means(task: Task) -> tuple[float, float]:
    """Returns the mean returns that scores are normalised with: of chance, and of the expert or else of a human.

    Raises:
        ValueError: the task has no reference scores.
    """
    reference = None if task.scores is None else task.scores.reference
    if task.scores is None or reference is None:
        raise ValueError(f"task {task.name!r} has no reference scores to compare with")
    return task.scores.random.mean, reference.mean
