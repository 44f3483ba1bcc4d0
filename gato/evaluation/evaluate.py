"""Plays a plan and makes scores of what came out; whether a demonstration alone decides what is done."""

import functools
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from gato.evaluation.evaluation_task import EvaluationTask, reference_means
from gato.evaluation.journal import EpisodeResult
from gato.evaluation.plan import EpisodeKey, EpisodeSpec, PlannedEpisode, RecordKey
from gato.evaluation.rollout import Actor, EpisodeJob, Rollout, play_jobs
from gato.evaluation.scores import ScoreRecord


def episode_job(
    spec: EpisodeSpec,
    task: EvaluationTask,
    *,
    prompt: Callable[[], Any] | None = None,
    keep_frames: bool = False,
) -> EpisodeJob:
    """Returns the job that plays an episode of a plan; the other arguments are those of `EpisodeJob`."""
    return EpisodeJob(
        make_env=task.make_env,
        seed=spec.seed,
        options=dict(task.variants[spec.variant]),
        keep_frames=keep_frames,
        task=task,
        prompt=prompt,
    )


def play_specs(
    specs: Sequence[EpisodeSpec],
    tasks: Mapping[str, EvaluationTask],
    actor: Actor,
    *,
    num_envs: int,
    prompt_of: Callable[[int], Any] | None = None,
    keep_frames: Container[EpisodeSpec] = (),
) -> Iterator[tuple[EpisodeSpec, Rollout]]:
    """Plays episodes of a plan and yields each as it ends; they are begun in their order.

    Args:
        specs: of the episodes.
        tasks: by name.
        actor: as many slots as the smaller of `num_envs` and the number of specs.
        num_envs: episodes side by side; what comes out does not depend on it.
        prompt_of: makes what stands before the episode of `specs[index]`, when that begins.
        keep_frames: specs whose rendered frames are kept.
    """
    jobs = [
        episode_job(
            spec,
            tasks[spec.task],
            prompt=None if prompt_of is None else functools.partial(prompt_of, index),
            keep_frames=spec in keep_frames,
        )
        for index, spec in enumerate(specs)
    ]
    for index, done in play_jobs(jobs, actor, num_envs=num_envs):
        yield specs[index], done


def result_of(spec: EpisodeSpec, task: EvaluationTask, done: Rollout) -> EpisodeResult:
    """Returns what is kept of an episode."""
    episode_return = done.episode.episode_return
    return EpisodeResult(
        **{each.name: getattr(spec, each.name) for each in fields(PlannedEpisode)},
        episode_return=episode_return,
        length=len(done.episode),
        success=bool(task.task.success(episode_return, done.info)),
        followed=has_followed(spec, task, done.info),
    )


def has_followed(spec: EpisodeSpec, task: EvaluationTask, info: Mapping[str, Any]) -> bool | None:
    """Tells whether an episode that ended with this info did what its demonstration shows; None if nobody can say.

    A demonstration of another task shows nothing that could be done here.
    """
    if spec.shown is None or spec.shown.task != spec.task or task.task.follows is None:
        return None
    return bool(task.task.follows(task.variants[spec.shown.variant], info))


@dataclass(frozen=True, kw_only=True)
class ReferenceMetrics:
    """What is measured beside the agent's episodes, for one record."""

    followed_by_chance: float | None = None
    first_actions_nll: float | None = None


def score_records(
    specs: Sequence[EpisodeSpec],
    results: Mapping[EpisodeKey, EpisodeResult],
    tasks: Mapping[str, EvaluationTask],
    references: Mapping[RecordKey, ReferenceMetrics] | None = None,
) -> list[ScoreRecord]:
    """Makes one record for each task, prompt and group of variants of the specs, in their order.

    Only groups whose episodes are all there make a record.

    Args:
        specs: of the whole plan.
        results: by key.
        tasks: by name.
        references: of some of the records.
    """
    records = []
    for key, group in specs_by_record(specs).items():
        played = [results[spec.key] for spec in group if spec.key in results]
        if len(played) < len(group):
            continue
        name, prompt, variants = key
        random_mean, expert_mean = reference_means(tasks[name].task)
        beside = (references or {}).get(key, ReferenceMetrics())
        records.append(
            ScoreRecord.from_returns(
                [result.episode_return for result in played],
                task=name,
                family=tasks[name].task.family,
                seed=group[0].seed,
                random_mean=random_mean,
                expert_mean=expert_mean,
                prompt=prompt,
                variants=variants,
                success=fraction_of([result.success for result in played]),
                followed=fraction_of([result.followed for result in played]),
                followed_by_chance=beside.followed_by_chance,
                first_actions_nll=beside.first_actions_nll,
            )
        )
    return records


def specs_by_record(specs: Sequence[EpisodeSpec]) -> dict[RecordKey, list[EpisodeSpec]]:
    """Groups the specs by task, prompt and group of variants."""
    groups: dict[RecordKey, list[EpisodeSpec]] = {}
    for spec in specs:
        groups.setdefault(spec.record_key, []).append(spec)
    return groups


def fraction_of(answers: Sequence[bool | None]) -> float | None:
    """Returns the fraction of yes; None where any answer is missing."""
    known = [answer for answer in answers if answer is not None]
    return float(np.mean(known)) if known and len(known) == len(answers) else None


@dataclass(frozen=True, kw_only=True)
class PromptAblation:
    """Right, wrong and no demonstration, on trained and held-out variants of one task."""

    records: tuple[ScoreRecord, ...]
    episodes: tuple[tuple[EpisodeSpec, Rollout], ...]
    variants: tuple[Mapping[str, Any], ...]  # reset options, by the numbers that the specs hold


def prompt_ablation(
    specs: Sequence[EpisodeSpec], task: EvaluationTask, played: Mapping[EpisodeSpec, Rollout]
) -> PromptAblation:
    """Scores the episodes of one task, as `plan_ablation` plans them."""
    results = {spec.key: result_of(spec, task, done) for spec, done in played.items()}
    return PromptAblation(
        records=tuple(score_records(specs, results, {task.name: task})),
        episodes=tuple((spec, played[spec]) for spec in specs),
        variants=task.variants,
    )
