"""Two checkpoints side by side: the same tasks, differences with intervals, and how probable an improvement is.

A is what B is compared with: differences are B - A, and the probability of improvement is that of B scoring more.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gato.evaluation.scores import Aggregate, Prompt, ScoreRecord, Variants, aggregate, groups_of, labels_of, strata_of
from gato.evaluation.statistics import (
    Interval,
    difference_interval,
    interquartile_mean_of_tasks,
    mean_of_tasks,
    probability_of_improvement,
)

_Key: TypeAlias = tuple[str, Prompt, Variants]  # what two records of one measurement share


@dataclass(frozen=True, kw_only=True)
class TaskComparison:
    """One task under one setting, measured twice."""

    label: str
    a: ScoreRecord
    b: ScoreRecord
    difference: Interval | None  # of the normalised scores, B - A; None where the expert is not above random
    improvement: Interval | None  # probability that an episode of B scores more than one of A


@dataclass(frozen=True, kw_only=True)
class GroupComparison:
    """All tasks of one setting, or those of one family, measured twice."""

    label: str
    a: Aggregate
    b: Aggregate
    mean_difference: Interval
    iqm_difference: Interval
    improvement: Interval


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What two files of scores have in common and how they differ."""

    name_a: str
    name_b: str
    tasks: tuple[TaskComparison, ...]  # in the order of A
    groups: tuple[GroupComparison, ...]  # those of `groups_of` in which a task has a normalised score
    only_a: tuple[str, ...]  # labels of what only one side has measured
    only_b: tuple[str, ...]
    left_out: tuple[str, ...]  # labels of tasks without a normalised score


def compare(
    a: Sequence[ScoreRecord], b: Sequence[ScoreRecord], *, name_a: str = "A", name_b: str = "B", seed: int = 0
) -> Comparison:
    """Joins records of equal task, prompt and variants, and compares them.

    Raises:
        ValueError: nothing in common, a task measured twice on one side, or different reference scores of a task.
    """
    of_a, of_b = _by_key(a, name_a), _by_key(b, name_b)
    shared = [key for key in of_a if key in of_b]
    if not shared:
        raise ValueError(
            f"{name_a} and {name_b} have no task in common under the same prompt: {name_a} holds {_few(a)}; "
            f"{name_b} holds {_few(b)}. Evaluate both on the same tasks"
        )
    for key in shared:
        _check_references(of_a[key], of_b[key], name_a, name_b)
    matched_a, matched_b = [of_a[key] for key in shared], [of_b[key] for key in shared]
    tasks = tuple(
        _compare_task(label, one, other, seed)
        for label, one, other in zip(labels_of(matched_a), matched_a, matched_b, strict=True)
    )
    return Comparison(
        name_a=name_a,
        name_b=name_b,
        tasks=tasks,
        groups=_groups(matched_a, of_b, seed),
        only_a=tuple(labels_of([record for key, record in of_a.items() if key not in of_b])),
        only_b=tuple(labels_of([record for key, record in of_b.items() if key not in of_a])),
        left_out=tuple(task.label for task in tasks if task.difference is None),
    )


def _key(record: ScoreRecord) -> _Key:
    return record.task, record.prompt, record.variants


def _by_key(records: Iterable[ScoreRecord], name: str) -> dict[_Key, ScoreRecord]:
    found: dict[_Key, ScoreRecord] = {}
    for record in records:
        if _key(record) in found:
            prompt = f"prompt {record.prompt!r}, variants {record.variants!r}"
            raise ValueError(f"{name} holds two records of {record.task!r} ({prompt}), expected one: evaluate again")
        found[_key(record)] = record
    return found


def _check_references(a: ScoreRecord, b: ScoreRecord, name_a: str, name_b: str) -> None:
    for field in ("random_mean", "expert_mean"):
        one, other = getattr(a, field), getattr(b, field)
        if not math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9):
            raise ValueError(
                f"{field} of {a.task!r} is {one} in {name_a} and {other} in {name_b}: scores normalised by different "
                "references do not compare; evaluate both with one version of the catalogue"
            )


def _compare_task(label: str, a: ScoreRecord, b: ScoreRecord, seed: int) -> TaskComparison:
    of_a, of_b = strata_of([a]), strata_of([b])
    return TaskComparison(
        label=label,
        a=a,
        b=b,
        difference=difference_interval(of_b, of_a, mean_of_tasks, seed=seed) if of_a else None,
        improvement=probability_of_improvement(of_b, of_a, seed=seed) if of_a else None,
    )


def _groups(a: Sequence[ScoreRecord], of_b: Mapping[_Key, ScoreRecord], seed: int) -> tuple[GroupComparison, ...]:
    compared = (
        _compare_group(label, part, [of_b[_key(record)] for record in part], seed)
        for label, part in groups_of(a).items()
    )
    return tuple(group for group in compared if group is not None)


def _compare_group(label: str, a: Sequence[ScoreRecord], b: Sequence[ScoreRecord], seed: int) -> GroupComparison | None:
    whole_a, whole_b = aggregate(a, seed=seed), aggregate(b, seed=seed)
    if whole_a is None or whole_b is None:
        return None
    of_a, of_b = strata_of(a), strata_of(b)
    return GroupComparison(
        label=label,
        a=whole_a,
        b=whole_b,
        mean_difference=difference_interval(of_b, of_a, mean_of_tasks, seed=seed),
        iqm_difference=difference_interval(of_b, of_a, interquartile_mean_of_tasks, seed=seed),
        improvement=probability_of_improvement(of_b, of_a, seed=seed),
    )


def _few(records: Sequence[ScoreRecord]) -> str:
    labels = [f"{record.task} ({record.prompt})" for record in records]
    return ", ".join(labels[:5]) + (f" and {len(labels) - 5} more" if len(labels) > 5 else "") if labels else "nothing"
