"""What few-shot fine-tuning reached: one run a subset of episodes, judged as it goes, and the curve over their number.

The reported score of a run is the best of its smoothed evaluations (Gato, Reed et al., 2022, appendix E). A maximum
over many noisy evaluations flatters, so a run may also hold the returns of its best checkpoint in further episodes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import numpy as np

from gato.config import read_saved
from gato.evaluation.scores import normalized_score
from gato.files import replace_json

RESULTS_VERSION = 1  # of the file of results

Start: TypeAlias = Literal["checkpoint", "scratch"]  # the parameters that a run began with
Measure: TypeAlias = Literal["return", "held-out loss"]  # higher is better; lower is better


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One evaluation of a run."""

    step: int
    value: float  # mean return of the episodes, or nats per target
    smoothed: float


@dataclass(frozen=True, kw_only=True)
class FewShotRun:
    """One start, one subset."""

    start: Start
    episodes: int  # that the run was trained on
    cascade: int
    chosen: tuple[int, ...]  # their indices in the source
    before: float  # value of the parameters that the run began with
    evaluations: tuple[Judged, ...]  # in the order of their steps, one or more
    best_step: int
    retest: tuple[float, ...] = ()  # returns of the best checkpoint in episodes of their own
    folder: str = ""  # of the run, from that of the results

    @property
    def best(self) -> Judged:
        return next(judged for judged in self.evaluations if judged.step == self.best_step)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `save` wrote.

        Raises:
            ValueError: the file holds something else.
        """
        try:
            return read_saved(cls, json.loads(path.read_text(encoding="utf-8")), "it")
        except ValueError as error:
            raise ValueError(f"{path} is not the result of a run ({error}): delete it") from error

    def save(self, path: Path) -> None:
        replace_json(path, asdict(self))


@dataclass(frozen=True, kw_only=True)
class FewShotResults:
    """All runs from one checkpoint on one task."""

    task: str
    measure: Measure
    random_mean: float | None = None  # returns that scores are normalised with; None without a task to play
    expert_mean: float | None = None
    runs: tuple[FewShotRun, ...] = field(default_factory=tuple)

    def score(self, value: float) -> float:
        """Returns the normalised score of a return where the task has references, or else the value itself."""
        normalized = self._normalized(value)
        return value if normalized is None else normalized

    @property
    def score_name(self) -> str:
        if self.measure == "held-out loss":
            return "held-out loss, nats a target"
        return "return" if self._normalized(0.0) is None else "normalised score"

    def save(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Writes the file of results; `settings` are JSON values that say what they depend on."""
        replace_json(path, {"version": RESULTS_VERSION, **settings, **asdict(self)})

    def _normalized(self, value: float) -> float | None:
        if self.random_mean is None or self.expert_mean is None:
            return None
        return normalized_score(value, self.random_mean, self.expert_mean)


def smoothed(values: Sequence[float], before: float, window: int, measure: Measure) -> float:
    """Averages the last `window` values.

    Where there are fewer, the worst of them and of `before` stands for each that is missing: a lucky first evaluation
    is no best one, and nothing is made better by what the run began with.

    Args:
        values: so far, the newest last.
        before: the value at the start of the run.
        window: 1 or more.
        measure: tells which value is worse.
    """
    last = list(values)[-window:]
    worst = min(before, *last) if measure == "return" else max(before, *last)
    return float(np.mean([*[worst] * (window - len(last)), *last]))


def best_of(evaluations: Sequence[Judged], measure: Measure) -> Judged:
    """Returns the evaluation of the best smoothed value; of equal ones the first."""
    pick = max if measure == "return" else min
    return pick(evaluations, key=lambda judged: judged.smoothed)


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One number of episodes from one start, over its cascades."""

    start: Start
    episodes: int
    scores: tuple[float, ...]  # best smoothed one of each cascade
    retested: tuple[float, ...]  # mean of the retest of each cascade that has one

    @property
    def mean(self) -> float:
        return float(np.mean(self.scores))


def curve(results: FewShotResults) -> list[CurvePoint]:
    """Returns the points in order of start and number of episodes."""
    groups: dict[tuple[Start, int], list[FewShotRun]] = {}
    for run in sorted(results.runs, key=lambda run: (run.start, run.episodes, run.cascade)):
        groups.setdefault((run.start, run.episodes), []).append(run)
    return [
        CurvePoint(
            start=start,
            episodes=episodes,
            scores=tuple(results.score(run.best.smoothed) for run in runs),
            retested=tuple(results.score(float(np.mean(run.retest))) for run in runs if run.retest),
        )
        for (start, episodes), runs in groups.items()
    ]


def starting_score(results: FewShotResults) -> float | None:
    """Returns what the checkpoint reached before any step; None if no run began with it."""
    return next((results.score(run.before) for run in results.runs if run.start == "checkpoint"), None)
