"""Statistics over tasks and their episodes, each with its 95 % stratified bootstrap interval.

They are those of Agarwal et al., 2021 (arXiv 2108.13264), who compare ways of training: there the strata are tasks and
the samples are training runs. Here the samples are episodes of one checkpoint, so an interval tells how well that
checkpoint was measured, not how another training run would have turned out.

A bootstrap sample is the same scores with other weights. A statistic therefore takes the scores of the tasks, (n,)
each, and the weights of their episodes, (..., n) each: how often an episode was drawn, which sums to n.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeAlias

import numpy as np

Scores: TypeAlias = Sequence[float] | np.ndarray  # of the episodes of one task
Strata: TypeAlias = Sequence[np.ndarray]  # one array per task
Statistic: TypeAlias = Callable[[Strata, Strata], np.ndarray]  # (scores, weights) -> (...) or (..., k)

_NUM_SAMPLES = 2000
_WEIGHTS_AT_ONCE = 2_000_000  # bounds the memory of a bootstrap over hundreds of tasks
_ROUNDING = 1e-9  # a mean that equals a threshold must not miss it by the order of its sum


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value with its confidence interval."""

    value: float
    low: float
    high: float


def bootstrap_interval(values: Scores, *, seed: int, num_samples: int = _NUM_SAMPLES) -> Interval:
    """Returns the mean with its 95 % percentile bootstrap interval; the same seed gives the same interval."""
    data = _finite(values)
    indices = np.random.default_rng(seed).integers(len(data), size=(num_samples, len(data)))
    low, high = np.quantile(data[indices].mean(axis=1), (0.025, 0.975))
    return Interval(value=float(data.mean()), low=float(low), high=float(high))


def stratified_interval(
    strata: Sequence[Scores], statistic: Statistic, *, seed: int, num_samples: int = _NUM_SAMPLES
) -> Interval:
    """Returns the `stratified_intervals` of a statistic that is one number."""
    (interval,) = stratified_intervals(strata, statistic, seed=seed, num_samples=num_samples)
    return interval


def stratified_intervals(
    strata: Sequence[Scores], statistic: Statistic, *, seed: int, num_samples: int = _NUM_SAMPLES
) -> tuple[Interval, ...]:
    """Computes a statistic of k numbers, each with its 95 % percentile interval; episodes are redrawn within tasks.

    Args:
        strata: scores of the episodes, one sequence per task.
        statistic: such as `mean_of_tasks`; k is 1 where it gives (...).

    Raises:
        ValueError: no task, or a task whose scores are not finite numbers in one row.
    """
    data = [_finite(values) for values in strata]
    if not data:
        raise ValueError("no task to aggregate: give one sequence of scores per task")
    rng = np.random.default_rng(seed)
    at_once = max(1, _WEIGHTS_AT_ONCE // sum(len(values) for values in data))
    drawn = []
    for start in range(0, num_samples, at_once):
        count = min(at_once, num_samples - start)
        drawn.append(statistic(data, [_redrawn(rng, len(values), count) for values in data]))
    lows, highs = np.quantile(np.concatenate(drawn), (0.025, 0.975), axis=0)
    values = statistic(data, [np.ones(len(scores)) for scores in data])
    return tuple(
        Interval(value=float(value), low=float(low), high=float(high))
        for value, low, high in zip(*np.atleast_1d(values, lows, highs), strict=True)
    )


def interquartile_mean(values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Returns the mean of the middle half; a value on the border counts with the fraction that lies inside.

    Args:
        values: (n,).
        weights: (..., n), not negative; equal if absent.

    Returns:
        (...).

    Source: Agarwal et al., 2021, section 4.3; with whole quarters it is `scipy.stats.trim_mean(values, 0.25)`.
    """
    order = np.argsort(values, kind="stable")
    weights = (np.ones(len(values)) if weights is None else weights)[..., order]
    share = weights / weights.sum(axis=-1, keepdims=True)
    upper = np.cumsum(share, axis=-1)
    inside = np.clip(np.minimum(upper, 0.75) - np.maximum(upper - share, 0.25), 0, None)
    return inside @ values[order] / inside.sum(axis=-1)


def mean_of_tasks(scores: Strata, weights: Strata) -> np.ndarray:
    """Returns the mean of the tasks' means: every task weighs the same, however many episodes it has."""
    return _means(scores, weights).mean(axis=-1)


def median_of_tasks(scores: Strata, weights: Strata) -> np.ndarray:
    """Returns the median of the tasks' means, the literature's "median normalised score"."""
    return np.median(_means(scores, weights), axis=-1)


def interquartile_mean_of_tasks(scores: Strata, weights: Strata) -> np.ndarray:
    """Returns the interquartile mean over the episodes of all tasks, every task weighing the same."""
    shares = [drawn / len(values) for values, drawn in zip(scores, weights, strict=True)]
    return interquartile_mean(np.concatenate(scores), np.concatenate(shares, axis=-1))


def optimality_gap(scores: Strata, weights: Strata) -> np.ndarray:
    """Measures how far episodes fall short of the expert on average: 0 is best; more than 1 cannot make up for less.

    Source: Agarwal et al., 2021, section 4.3, with gamma = 1, the expert's score.
    """
    return 1 - mean_of_tasks([np.minimum(values, 1) for values in scores], weights)


def share_above(thresholds: Sequence[float]) -> Statistic:
    """Makes a statistic (..., k): fraction of tasks whose mean score is at or above each of k thresholds.

    Source: Gato (Reed et al., 2022), section 4.1 and figure 5.
    """
    limits = np.asarray(thresholds, dtype=float) - _ROUNDING
    return lambda scores, weights: (_means(scores, weights)[..., np.newaxis] >= limits).mean(axis=-2)


def performance_profile(thresholds: Sequence[float]) -> Statistic:
    """Makes a statistic (..., k): fraction of episodes above each of k thresholds, every task weighing the same.

    With `stratified_intervals` it has a point-wise band.

    Source: Agarwal et al., 2021, section 4.2, the run-score distribution.
    """
    limits = np.asarray(thresholds, dtype=float)

    def statistic(scores: Strata, weights: Strata) -> np.ndarray:
        shares = [
            drawn @ (values[:, np.newaxis] > limits) / len(values)
            for values, drawn in zip(scores, weights, strict=True)
        ]
        return np.mean(shares, axis=0)

    return statistic


def probability_of_improvement(
    first: Sequence[Scores], second: Sequence[Scores], *, seed: int, num_samples: int = _NUM_SAMPLES
) -> Interval:
    """Estimates the probability that an episode of `first` beats one of `second` on the same task, averaged over tasks.

    Args:
        first, second: scores of the episodes, one sequence per task, tasks in the same order; redrawn independently.

    Source: Agarwal et al., 2021, section 4.3: Mann and Whitney's U over the number of pairs, where a tie counts half.
    """
    return _two_sided(first, second, _win_rate, seed=seed, num_samples=num_samples)


def difference_interval(
    first: Sequence[Scores], second: Sequence[Scores], statistic: Statistic, *, seed: int
) -> Interval:
    """Computes a statistic of `first` minus that of `second`, both redrawn independently, task by task.

    Episodes of equal seeds are not paired: chance within an episode makes them differ anyway, so the interval errs on
    the wide side.
    """

    def difference(scores: tuple[Strata, Strata], weights: tuple[Strata, Strata]) -> np.ndarray:
        return statistic(scores[0], weights[0]) - statistic(scores[1], weights[1])

    return _two_sided(first, second, difference, seed=seed, num_samples=_NUM_SAMPLES)


def wilson_interval(successes: int, trials: int) -> Interval:
    """Returns a rate with its 95 % Wilson score interval, which stays inside [0, 1] and is honest near both ends.

    Source: Wilson, 1927; lower and upper bound without continuity correction.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(
            f"{successes} successes in {trials} trials: expected 0 <= successes <= trials and 1 or more trials"
        )
    # Written out: importing scipy.stats for it would take longer than the start of most commands.
    z = NormalDist().inv_cdf(0.975)
    rate = successes / trials
    centre = (rate + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * math.sqrt(rate * (1 - rate) / trials + z**2 / (4 * trials**2))
    return Interval(value=rate, low=max(centre - half, 0.0), high=min(centre + half, 1.0))


def _means(scores: Strata, weights: Strata) -> np.ndarray:
    """Returns each task's mean, (..., tasks)."""
    return np.stack([drawn @ values / len(values) for values, drawn in zip(scores, weights, strict=True)], axis=-1)


def _win_rate(scores: tuple[Strata, Strata], weights: tuple[Strata, Strata]) -> np.ndarray:
    rates = []
    for x, y, x_weights, y_weights in zip(*scores, *weights, strict=True):
        wins = (x[:, np.newaxis] > y) + 0.5 * (x[:, np.newaxis] == y)
        rates.append(((x_weights @ wins) * y_weights).sum(axis=-1) / wins.size)
    return np.mean(rates, axis=0)


def _two_sided(
    first: Sequence[Scores],
    second: Sequence[Scores],
    statistic: Callable[[tuple[Strata, Strata], tuple[Strata, Strata]], np.ndarray],
    *,
    seed: int,
    num_samples: int,
) -> Interval:
    """Computes a statistic of two sets of strata, whose tasks are redrawn as if they were one set."""
    if len(first) != len(second):
        raise ValueError(f"{len(first)} tasks on one side and {len(second)} on the other, expected the same ones")
    split = len(first)
    return stratified_interval(
        [*first, *second],
        lambda scores, weights: statistic((scores[:split], scores[split:]), (weights[:split], weights[split:])),
        seed=seed,
        num_samples=num_samples,
    )


def _redrawn(rng: np.random.Generator, num_episodes: int, num_samples: int) -> np.ndarray:
    """Draws with replacement: (num_samples, num_episodes) how often each episode came."""
    drawn = rng.integers(num_episodes, size=(num_samples, num_episodes))
    cells = drawn + num_episodes * np.arange(num_samples)[:, np.newaxis]
    counts = np.bincount(cells.ravel(), minlength=num_samples * num_episodes)
    return counts.reshape(num_samples, num_episodes).astype(float)


def _finite(values: Scores) -> np.ndarray:
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or not len(data) or not np.isfinite(data).all():
        raise ValueError(f"scores have shape {data.shape}, expected one or more finite numbers in one row")
    return data
