"""Plays a plan and makes scores of what came out; whether a demonstration alone decides what is done."""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from gato.evaluation.journal import EpisodeResult, key_of
from gato.evaluation.plan import Cell
from gato.evaluation.rollout import Actor, EpisodeJob, Rollout, play_jobs
from gato.evaluation.scores import Prompt, ScoreRecord, Variants
from gato.evaluation.time_shares import TimeShares


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The task that is scored, and the two mean returns that its scores are normalised with."""

    task: str
    family: str
    random_mean: float
    expert_mean: float


@dataclass(frozen=True, kw_only=True)
class PlayedTask:
    """A task as an evaluation plays it."""

    subject: Subject
    make_env: Callable[[], gym.Env]
    variants: Sequence[Mapping[str, Any]] = ({},)  # reset options; a cell names them by index
    succeeded: Callable[[float, Mapping[str, Any]], bool] | None = None  # of the episode return and the last info
    follows: Callable[[Mapping[str, Any], Mapping[str, Any]], bool] | None = None  # (variant, last info)

    def result(self, cell: Cell, done: Rollout) -> EpisodeResult:
        """What is kept of an episode."""
        episode_return = done.episode.episode_return
        return EpisodeResult(
            task=cell.task,
            prompt=cell.prompt,
            variants=cell.variants,
            episode=cell.episode,
            variant=cell.variant,
            seed=cell.seed,
            episode_return=episode_return,
            length=len(done.episode),
            success=None if self.succeeded is None else bool(self.succeeded(episode_return, done.info)),
            followed=self.has_followed(cell, done.info),
        )

    def has_followed(self, cell: Cell, info: Mapping[str, Any]) -> bool | None:
        """Whether an episode that ended with this info did what the cell's demonstration shows; None if none can say.

        A demonstration of another task shows nothing that could be done here.
        """
        if cell.shown is None or cell.shown.task != cell.task or self.follows is None:
            return None
        return bool(self.follows(self.variants[cell.shown.variant], info))


def play_cells(
    cells: Sequence[Cell],
    tasks: Mapping[str, PlayedTask],
    actor: Actor,
    *,
    num_envs: int,
    keep_frames: Container[Cell] = (),
    shares: TimeShares | None = None,
) -> Iterator[tuple[Cell, Rollout]]:
    """Plays the cells and yields each as it ends; they are begun in their order.

    Args:
        cells: an actor knows an episode by its index among them.
        tasks: by name.
        actor: as many slots as the smaller of `num_envs` and the number of cells.
        num_envs: episodes side by side; what comes out does not depend on it.
        keep_frames: cells whose rendered frames are kept.
        shares: see `play_jobs`.
    """
    jobs = [
        EpisodeJob(
            make_env=tasks[cell.task].make_env,
            seed=cell.seed,
            options=dict(tasks[cell.task].variants[cell.variant]),
            keep_frames=cell in keep_frames,
        )
        for cell in cells
    ]
    for index, done in play_jobs(jobs, actor, num_envs=num_envs, shares=shares):
        yield cells[index], done


@dataclass(frozen=True, kw_only=True)
class Yardsticks:
    """What is measured beside the agent's episodes, for the cells of one record."""

    followed_by_chance: float | None = None
    first_actions_nll: float | None = None


def score_records(
    cells: Sequence[Cell],
    results: Mapping[tuple[str, str, str, int], EpisodeResult],
    tasks: Mapping[str, PlayedTask],
    yardsticks: Mapping[tuple[str, Prompt, Variants], Yardsticks] | None = None,
) -> list[ScoreRecord]:
    """One record for each task, prompt and group of variants of the cells, in their order.

    Only groups whose episodes are all there make a record.

    Args:
        cells: of the whole plan.
        results: by key.
        tasks: by name.
        yardsticks: of some of the records, by task, prompt and variants.
    """
    records = []
    for (name, prompt, variants), group in cells_by_record(cells).items():
        played = [results[key] for cell in group if (key := key_of(cell)) in results]
        if len(played) < len(group):
            continue
        subject = tasks[name].subject
        beside = (yardsticks or {}).get((name, prompt, variants), Yardsticks())
        records.append(
            ScoreRecord.from_returns(
                [result.episode_return for result in played],
                task=name,
                family=subject.family,
                seed=group[0].seed,
                random_mean=subject.random_mean,
                expert_mean=subject.expert_mean,
                prompt=prompt,
                variants=variants,
                success=share_of([result.success for result in played]),
                followed=share_of([result.followed for result in played]),
                followed_by_chance=beside.followed_by_chance,
                first_actions_nll=beside.first_actions_nll,
            )
        )
    return records


def cells_by_record(cells: Sequence[Cell]) -> dict[tuple[str, Prompt, Variants], list[Cell]]:
    """The cells of each task, prompt and group of variants."""
    groups: dict[tuple[str, Prompt, Variants], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.task, cell.prompt, cell.variants), []).append(cell)
    return groups


def share_of(answers: Sequence[bool | None]) -> float | None:
    """Share of yes; None where any answer is missing."""
    known = [answer for answer in answers if answer is not None]
    return float(np.mean(known)) if known and len(known) == len(answers) else None


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One episode of a prompt study: what was asked for, what the demonstration showed, what happened."""

    prompt: Prompt
    variants: Variants
    scored: Mapping[str, Any]  # reset options of the episode
    shown: Mapping[str, Any] | None  # reset options of the demonstration; None without one
    rollout: Rollout


@dataclass(frozen=True, kw_only=True)
class PromptStudy:
    """Right, wrong and no demonstration, on trained and held-out variants of one task."""

    records: tuple[ScoreRecord, ...]
    trials: tuple[Trial, ...]


def study_prompts(task: PlayedTask, cells: Sequence[Cell], actor: Actor, *, num_envs: int) -> PromptStudy:
    """Plays a study of one task, as `plan_study` plans it, and keeps the episodes."""
    tasks = {task.subject.task: task}
    played = dict(play_cells(cells, tasks, actor, num_envs=num_envs))
    results = {key_of(cell): task.result(cell, done) for cell, done in played.items()}
    trials = tuple(
        Trial(
            prompt=cell.prompt,
            variants=cell.variants,
            scored=task.variants[cell.variant],
            shown=None if cell.shown is None else task.variants[cell.shown.variant],
            rollout=played[cell],
        )
        for cell in cells
    )
    return PromptStudy(records=tuple(score_records(cells, results, tasks)), trials=trials)
