"""Scores of tasks: normalised between random and expert, with intervals, in one validated record and file.

The normalised score is the paper's (section 4): 0 is the random policy, 1 the expert. Beside the agent's records a file
may hold the sections of `SECTIONS`, each only where it was measured.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np

from gato.config import read_saved
from gato.evaluation.statistics import (
    Interval,
    Strata,
    bootstrap_interval,
    difference_interval,
    interquartile_mean_of_tasks,
    mean_of_tasks,
    median_of_tasks,
    optimality_gap,
    share_above,
    stratified_intervals,
    wilson_interval,
)
from gato.files import replace_json

Prompt = Literal["right", "wrong", "none"]
Variants = Literal["all", "trained", "held-out"]

EXPERT_SHARES = (0.5, 0.8, 1.0)  # of the expert's score, at which solved tasks are counted
SCORES_VERSION = 2  # of the file; raised when a reader of the old form would misread the new one
# What was measured beside the agent's episodes: baselines on the same seeds, losses on data that training never
# saw, and texts that are exactly right.
SECTIONS = ("baselines", "held_out", "language")


def normalized_score(mean_return: float, random_mean: float, expert_mean: float) -> float | None:
    """Returns 0 at the random policy's mean return, 1 at the expert's; None where the expert is not above random.

    Source: Gato (Reed et al., 2022), section 4.
    """
    if expert_mean <= random_mean:
        return None
    return (mean_return - random_mean) / (expert_mean - random_mean)


@dataclass(frozen=True, kw_only=True)
class ScoreRecord:
    """How one task went under one kind of prompt. Returns are in the task's own units."""

    task: str
    family: str
    prompt: Prompt
    variants: Variants = "all"  # which reset options were played, where a task tells trained from held-out ones
    episodes: int
    seed: int  # of the first episode
    return_mean: float
    return_std: float
    random_mean: float
    expert_mean: float
    normalized: float | None  # None where the expert is not above random
    ci_low: float | None  # 95 % interval of `normalized`; the two reference means are taken as exact
    ci_high: float | None
    success: float | None = None  # share of episodes that solved the task, where it says so
    followed: float | None = None  # share of episodes that did what the demonstration showed
    followed_by_chance: float | None = None  # the same of random actions in these episodes
    first_actions_nll: float | None = None  # nats of an expert's first actions under such prompts, mean of episodes
    returns: tuple[float, ...]  # one per episode

    def __post_init__(self) -> None:
        where = f"score of {self.task!r}"
        for name, known in (("prompt", get_args(Prompt)), ("variants", get_args(Variants))):
            if getattr(self, name) not in known:
                raise ValueError(f"{where}: {name} is {getattr(self, name)!r}, expected one of {list(known)}")
        if self.episodes < 1 or len(self.returns) != self.episodes:
            raise ValueError(f"{where}: {len(self.returns)} returns for {self.episodes} episodes, expected one each")
        if not np.isfinite([*self.returns, self.random_mean, self.expert_mean]).all():
            raise ValueError(f"{where}: a return or reference mean is not finite")
        expected = normalized_score(float(np.mean(self.returns)), self.random_mean, self.expert_mean)
        if (self.normalized is None) != (expected is None) or not math.isclose(
            self.normalized or 0, expected or 0, rel_tol=1e-6, abs_tol=1e-9
        ):
            raise ValueError(
                f"{where}: normalized is {self.normalized}, but its returns and references give {expected}"
            )
        for name in ("success", "followed", "followed_by_chance"):
            rate = getattr(self, name)
            if rate is not None and not 0 <= rate <= 1:
                raise ValueError(f"{where}: {name} is {rate}, expected a share in [0, 1]")
        if self.first_actions_nll is not None and not 0 <= self.first_actions_nll < math.inf:
            raise ValueError(f"{where}: first_actions_nll is {self.first_actions_nll}, expected nats of 0 or more")

    @classmethod
    def from_returns(
        cls,
        returns: Sequence[float],
        *,
        seed: int,
        random_mean: float,
        expert_mean: float,
        prompt: Prompt = "none",
        **facts: Any,
    ) -> Self:
        """Makes the record of these episodes: mean, spread, normalised score and its bootstrap interval.

        `facts` are the fields that the returns do not decide.
        """
        interval = bootstrap_interval(returns, seed=seed)
        return cls(
            prompt=prompt,
            episodes=len(returns),
            seed=seed,
            return_mean=interval.value,
            return_std=float(np.std(returns)),
            random_mean=random_mean,
            expert_mean=expert_mean,
            normalized=normalized_score(interval.value, random_mean, expert_mean),
            ci_low=normalized_score(interval.low, random_mean, expert_mean),
            ci_high=normalized_score(interval.high, random_mean, expert_mean),
            returns=tuple(float(value) for value in returns),
            **facts,
        )

    @property
    def interval(self) -> Interval | None:
        """The normalised score with its interval, or None as `normalized` is."""
        if self.normalized is None or self.ci_low is None or self.ci_high is None:
            return None
        return Interval(value=self.normalized, low=self.ci_low, high=self.ci_high)

    @property
    def normalized_returns(self) -> np.ndarray | None:
        """(episodes,) normalised score of each episode, or None as `normalized` is."""
        if self.normalized is None:
            return None
        return (np.array(self.returns) - self.random_mean) / (self.expert_mean - self.random_mean)


@dataclass(frozen=True, kw_only=True)
class BaselineScores:
    """How a baseline scored in the episodes that the agent was measured in."""

    measured: Mapping[str, Any]  # JSON values that tell how: which demonstrations, which checkpoint
    records: tuple[ScoreRecord, ...]
    left_out: Mapping[str, str]  # tasks that it could not play, with the reason


def labels_of(records: Sequence[ScoreRecord]) -> list[str]:
    """Returns task names, with what tells several records of one task apart."""
    names = Counter(record.task for record in records)
    return [record.task if names[record.task] == 1 else f"{record.task}, {_setting(record)}" for record in records]


def _setting(record: ScoreRecord) -> str:
    prompt = f"{'no' if record.prompt == 'none' else record.prompt} prompt"
    return prompt if record.variants == "all" else f"{prompt}, {record.variants} variants"


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """Several tasks in few numbers, each task weighing the same."""

    iqm: Interval
    mean: Interval
    median: Interval
    optimality_gap: Interval
    shares: tuple[Interval, ...]  # of tasks at or above each of `EXPERT_SHARES`
    tasks: tuple[str, ...]
    left_out: tuple[str, ...]  # tasks without a normalised score: their expert is not above random


def strata_of(records: Sequence[ScoreRecord]) -> list[np.ndarray]:
    """Returns the normalised scores of the episodes of each task that has any, for `gato.evaluation.statistics`.

    Raises:
        ValueError: two records of one task, which would let it weigh twice.
    """
    counts = Counter(record.task for record in records)
    if repeated := [task for task, count in counts.items() if count > 1]:
        raise ValueError(f"several records of {', '.join(repeated)}: aggregate each group of `groups_of` by itself")
    return [values for record in records if (values := record.normalized_returns) is not None]


def aggregate(records: Iterable[ScoreRecord], *, seed: int = 0) -> Aggregate | None:
    """Computes the statistics of the normalised scores; None when no record has one.

    Raises:
        ValueError: two records of one task.
    """
    records = list(records)
    strata = strata_of(records)
    if not strata:
        return None
    iqm, mean, median, gap, *shares = stratified_intervals(strata, _all_of_them, seed=seed)
    return Aggregate(
        iqm=iqm,
        mean=mean,
        median=median,
        optimality_gap=gap,
        shares=tuple(shares),
        tasks=tuple(record.task for record in records if record.normalized is not None),
        left_out=tuple(record.task for record in records if record.normalized is None),
    )


def _all_of_them(scores: Strata, weights: Strata) -> np.ndarray:
    """Computes all statistics in one pass over the redrawn episodes."""
    singles = (interquartile_mean_of_tasks, mean_of_tasks, median_of_tasks, optimality_gap)
    columns = np.stack([statistic(scores, weights) for statistic in singles], axis=-1)
    return np.concatenate([columns, share_above(EXPERT_SHARES)(scores, weights)], axis=-1)


@dataclass(frozen=True, kw_only=True)
class ContextEffect:
    """Mean normalised score after the right demonstration minus that after a wrong one."""

    interval: Interval
    tasks: tuple[str, ...]  # with a normalised score after both


def context_effect(records: Sequence[ScoreRecord], *, seed: int = 0) -> ContextEffect | None:
    """Returns what the right demonstration is worth; None where no task has a score after both kinds.

    Args:
        records: of one group of variants, at most one per task and prompt.
        seed: of the bootstrap.

    Raises:
        ValueError: records of several groups of variants, or two of one task and prompt.
    """
    if len(groups := sorted({record.variants for record in records})) > 1:
        raise ValueError(f"records of variants {', '.join(groups)}: give those of one group")
    found: dict[Prompt, dict[str, np.ndarray]] = {"right": {}, "wrong": {}}
    for record in records:
        if record.prompt in found and (values := record.normalized_returns) is not None:
            if record.task in found[record.prompt]:
                raise ValueError(f"two records of {record.task!r} under the prompt {record.prompt!r}, expected one")
            found[record.prompt][record.task] = values
    tasks = [task for task in found["right"] if task in found["wrong"]]
    if not tasks:
        return None
    right, wrong = ([found[prompt][task] for task in tasks] for prompt in ("right", "wrong"))
    return ContextEffect(interval=difference_interval(right, wrong, mean_of_tasks, seed=seed), tasks=tuple(tasks))


def following_rate(records: Sequence[ScoreRecord]) -> Interval | None:
    """Returns the share of episodes that did what the demonstration showed, with its 95 % Wilson interval.

    Records that do not tell are passed over; None where none does.
    """
    known = [(record.followed, record.episodes) for record in records if record.followed is not None]
    if not known:
        return None
    followed = sum(round(share * episodes) for share, episodes in known)
    return wilson_interval(followed, sum(episodes for _, episodes in known))


def by_family(records: Iterable[ScoreRecord]) -> dict[str, list[ScoreRecord]]:
    """Records by family, in the order in which families first appear."""
    families: dict[str, list[ScoreRecord]] = {}
    for record in records:
        families.setdefault(record.family, []).append(record)
    return families


def groups_of(records: Iterable[ScoreRecord]) -> dict[str, list[ScoreRecord]]:
    """Groups what is aggregated, by label: all tasks, and each family where there are several.

    Scores under a right and a wrong prompt, or of trained and held-out variants, are not of one kind: each such setting
    has its own groups.
    """
    settings: dict[str, list[ScoreRecord]] = {}
    for record in records:
        settings.setdefault(_setting(record), []).append(record)
    groups: dict[str, list[ScoreRecord]] = {}
    for setting, part in settings.items():
        families = by_family(part)
        for name, group in {"all tasks": part, **(families if len(families) > 1 else {})}.items():
            groups[name if len(settings) == 1 else f"{name}, {setting}"] = group
    return groups


def write_scores(
    path: Path,
    records: Iterable[ScoreRecord],
    measured: Mapping[str, Any] | None = None,
    *,
    sections: Mapping[str, Any] | None = None,
) -> None:
    """Writes the records as JSON, readable by other programs; aggregates are computed from them, never stored.

    Args:
        path: of the file.
        records: one per task, prompt and group of variants.
        measured: JSON values that tell how: checkpoint, prompt policy, seeds. For people; `read_scores` passes it over.
        sections: JSON values under names of `SECTIONS`; empty ones are left out.

    Raises:
        ValueError: a section of another name.
    """
    sections = sections or {}
    if unknown := set(sections) - set(SECTIONS):
        raise ValueError(f"sections {sorted(unknown)} are none of a file of scores, expected some of {list(SECTIONS)}")
    content = {
        "version": SCORES_VERSION,
        "measured": dict(measured or {}),
        "records": [asdict(record) for record in records],
        **{name: sections[name] for name in SECTIONS if sections.get(name)},
    }
    replace_json(path, content)


def baselines_section(baselines: Mapping[str, BaselineScores]) -> dict[str, Any]:
    """Returns the section "baselines", by name; `read_baselines` reads it back."""
    return {
        name: {
            "measured": dict(scores.measured),
            "left_out": dict(scores.left_out),
            "records": [asdict(record) for record in scores.records],
        }
        for name, scores in baselines.items()
    }


def read_scores(path: Path) -> list[ScoreRecord]:
    """Reads the agent's records of what `write_scores` wrote, checking every one.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another kind of file or version, an incomplete record, or one that contradicts itself.
    """
    return _records_from_json(_content(path)["records"], f"{path}")


def read_baselines(path: Path) -> dict[str, BaselineScores]:
    """Reads the baselines of a file of scores by name, none where none were measured; raises as `read_scores`."""
    section = _content(path).get("baselines", {})
    if not isinstance(section, dict):
        raise ValueError(f"{path}: baselines is {type(section).__name__}, expected an object of baselines by name")
    found = {}
    for name, entry in section.items():
        if not isinstance(entry, dict) or set(entry) != {"measured", "left_out", "records"}:
            came = sorted(entry) if isinstance(entry, dict) else type(entry).__name__
            raise ValueError(f"{path}: baseline {name!r} holds {came}, expected measured, left_out and records")
        records = _records_from_json(entry["records"], f"{path}, baseline {name!r}")
        found[name] = BaselineScores(measured=entry["measured"], left_out=entry["left_out"], records=tuple(records))
    return found


def _content(path: Path) -> dict[str, Any]:
    """Returns the file as JSON, if it is one of ours; `Any` because its sections are of several kinds."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON ({error}): run the evaluation again") from error
    if not isinstance(content, dict) or not {"version", "records"} <= set(content):
        found = sorted(content) if isinstance(content, dict) else f"a {type(content).__name__}"
        raise ValueError(f"{path} holds {found}, expected 'version' and 'records': is it a file of `gato evaluate`?")
    if content["version"] != SCORES_VERSION:
        raise ValueError(f"{path} is of version {content['version']!r}, expected {SCORES_VERSION}: evaluate again")
    if unknown := set(content) - {"version", "measured", "records", *SECTIONS}:
        raise ValueError(
            f"{path} holds {sorted(unknown)} beside its records, which no version {SCORES_VERSION} file has"
        )
    return content


def _records_from_json(entries: Any, where: str) -> list[ScoreRecord]:
    """Checks every entry; `Any` because the file may hold anything."""
    if not isinstance(entries, list):
        raise ValueError(f"{where}: records is {type(entries).__name__}, expected a list of score records")
    return [read_saved(ScoreRecord, entry, f"{where}, record {i}") for i, entry in enumerate(entries)]
