"""Scores of tasks: normalised between random and expert, with intervals, in one validated record and file.

The normalised score is the paper's (section 4): 0 is the random policy, 1 the expert. Interquartile means and
stratified bootstrap intervals follow Agarwal et al., 2021 (arXiv 2108.13264).
"""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal, Self, get_args

import numpy as np

Prompt = Literal["right", "wrong", "none"]
Variants = Literal["all", "trained", "held-out"]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value with its confidence interval."""

    value: float
    low: float
    high: float


def normalized_score(mean_return: float, random_mean: float, expert_mean: float) -> float | None:
    """0 at the random policy's mean return, 1 at the expert's; None where the expert is not above random.

    Source: Gato (Reed et al., 2022), section 4.
    """
    if expert_mean <= random_mean:
        return None
    return (mean_return - random_mean) / (expert_mean - random_mean)


def interquartile_mean(values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Mean of the middle half along the last axis; a value on the border counts with the share that lies inside.

    Args:
        values: (..., n).
        weights: (n,) or (..., n), positive; equal if absent.

    Source: Agarwal et al., 2021, section 4.3; with whole quarters it is `scipy.stats.trim_mean(values, 0.25)`.
    """
    order = np.argsort(values, axis=-1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=-1)
    weights = np.broadcast_to(np.ones(values.shape[-1]) if weights is None else weights, values.shape)
    share = np.take_along_axis(weights, order, axis=-1) / weights.sum(axis=-1, keepdims=True)
    upper = np.cumsum(share, axis=-1)
    inside = np.clip(np.minimum(upper, 0.75) - np.maximum(upper - share, 0.25), 0, None)
    return (ordered * inside).sum(axis=-1) / inside.sum(axis=-1)


def bootstrap_interval(values: Sequence[float] | np.ndarray, *, seed: int, num_samples: int = 2000) -> Interval:
    """Mean with its 95 % percentile bootstrap interval; the same seed gives the same interval."""
    data = _finite(values)
    indices = np.random.default_rng(seed).integers(len(data), size=(num_samples, len(data)))
    low, high = np.quantile(data[indices].mean(axis=1), (0.025, 0.975))
    return Interval(value=float(data.mean()), low=float(low), high=float(high))


def stratified_interval(
    strata: Sequence[Sequence[float] | np.ndarray],
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray],
    *,
    seed: int,
    num_samples: int = 2000,
) -> Interval:
    """A statistic over several tasks with its 95 % percentile interval; episodes are redrawn within their task.

    Args:
        strata: scores of the episodes, one sequence a task; every task weighs the same, however many episodes it has.
        statistic: (values (..., n), weights (n,)) -> (...), such as `interquartile_mean` or `weighted_mean`.
    """
    data = [_finite(values) for values in strata]
    if not data:
        raise ValueError("no task to aggregate: give one sequence of scores a task")
    weights = np.concatenate([np.full(len(values), 1 / len(values)) for values in data])
    rng = np.random.default_rng(seed)
    drawn = np.concatenate(
        [values[rng.integers(len(values), size=(num_samples, len(values)))] for values in data], axis=1
    )
    low, high = np.quantile(statistic(drawn, weights), (0.025, 0.975))
    return Interval(value=float(statistic(np.concatenate(data), weights)), low=float(low), high=float(high))


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean along the last axis; with the weights of `stratified_interval` it is the mean of the tasks' means."""
    return (values * weights).sum(axis=-1) / weights.sum()


def wilson_interval(successes: int, trials: int) -> Interval:
    """A rate with its 95 % Wilson score interval, which stays inside [0, 1] and is honest near both ends.

    Source: Wilson, 1927; lower and upper bound without continuity correction.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(
            f"{successes} successes in {trials} trials: expected 0 <= successes <= trials and 1 or more trials"
        )
    z = NormalDist().inv_cdf(0.975)
    rate = successes / trials
    centre = (rate + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * math.sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    return Interval(value=rate, low=max(centre - half, 0.0), high=min(centre + half, 1.0))


def _finite(values: Sequence[float] | np.ndarray) -> np.ndarray:
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or not len(data) or not np.isfinite(data).all():
        raise ValueError(f"scores have shape {data.shape}, expected one or more finite numbers in one row")
    return data


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
    returns: tuple[float, ...]  # one an episode

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
        for name in ("success", "followed"):
            rate = getattr(self, name)
            if rate is not None and not 0 <= rate <= 1:
                raise ValueError(f"{where}: {name} is {rate}, expected a share in [0, 1]")

    @classmethod
    def from_returns(
        cls,
        returns: Sequence[float],
        *,
        task: str,
        family: str,
        seed: int,
        random_mean: float,
        expert_mean: float,
        prompt: Prompt = "none",
        variants: Variants = "all",
        success: float | None = None,
        followed: float | None = None,
    ) -> Self:
        """The record of these episodes: mean, spread, normalised score and its bootstrap interval."""
        interval = bootstrap_interval(returns, seed=seed)
        return cls(
            task=task,
            family=family,
            prompt=prompt,
            variants=variants,
            episodes=len(returns),
            seed=seed,
            return_mean=interval.value,
            return_std=float(np.std(returns)),
            random_mean=random_mean,
            expert_mean=expert_mean,
            normalized=normalized_score(interval.value, random_mean, expert_mean),
            ci_low=normalized_score(interval.low, random_mean, expert_mean),
            ci_high=normalized_score(interval.high, random_mean, expert_mean),
            success=success,
            followed=followed,
            returns=tuple(float(value) for value in returns),
        )

    @property
    def normalized_returns(self) -> np.ndarray | None:
        """(episodes,) normalised score of each episode, or None as `normalized` is."""
        if self.normalized is None:
            return None
        return (np.array(self.returns) - self.random_mean) / (self.expert_mean - self.random_mean)


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """Several tasks in one number, each task weighing the same."""

    mean: Interval
    iqm: Interval
    tasks: tuple[str, ...]
    left_out: tuple[str, ...]  # tasks without a normalised score: their expert is not above random


def aggregate(records: Iterable[ScoreRecord], *, seed: int = 0) -> Aggregate | None:
    """Mean and interquartile mean of the normalised scores; None when no record has one."""
    records = list(records)
    scored = [(record.task, values) for record in records if (values := record.normalized_returns) is not None]
    if not scored:
        return None
    strata = [values for _, values in scored]
    return Aggregate(
        mean=stratified_interval(strata, weighted_mean, seed=seed),
        iqm=stratified_interval(strata, interquartile_mean, seed=seed),
        tasks=tuple(task for task, _ in scored),
        left_out=tuple(record.task for record in records if record.normalized is None),
    )


def write_scores(path: Path, records: Iterable[ScoreRecord]) -> None:
    """Writes the records as one JSON list, readable by other programs."""
    path.write_text(json.dumps([asdict(record) for record in records], indent=2, allow_nan=False) + "\n")


def read_scores(path: Path) -> list[ScoreRecord]:
    """Reads what `write_scores` wrote, checking every record.

    Raises:
        ValueError: not a JSON list of complete records, or a record that contradicts itself.
    """
    try:
        entries = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}): run the evaluation again") from error
    if not isinstance(entries, list):
        raise ValueError(f"{path} holds {type(entries).__name__}, expected a list of score records")
    return [_record_from_json(entry, f"{path}, record {i}") for i, entry in enumerate(entries)]


def _record_from_json(entry: Any, where: str) -> ScoreRecord:
    """`Any` because the file may hold anything."""
    names = {field.name for field in fields(ScoreRecord)}
    if not isinstance(entry, dict) or set(entry) != names:
        found = sorted(entry) if isinstance(entry, dict) else type(entry).__name__
        raise ValueError(f"{where} has {found}, expected exactly the fields {sorted(names)}")
    try:
        return ScoreRecord(**{**entry, "returns": tuple(entry["returns"])})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error
