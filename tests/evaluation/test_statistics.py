import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, trim_mean

from gato.evaluation.statistics import (
    bootstrap_interval,
    difference_interval,
    interquartile_mean,
    interquartile_mean_of_tasks,
    mean_of_tasks,
    median_of_tasks,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
    share_above,
    stratified_interval,
    stratified_intervals,
    wilson_interval,
)

TASKS = st.lists(st.lists(st.floats(-2, 2), min_size=1, max_size=6), min_size=1, max_size=4)


def value_of(statistic, tasks):
    """The statistic of the scores as they are, through the public door."""
    values = [interval.value for interval in stratified_intervals(tasks, statistic, seed=0, num_samples=2)]
    return values[0] if len(values) == 1 else values


def test_interquartile_mean_of_whole_quarters_is_the_trimmed_mean():
    assert interquartile_mean(np.array([9.0, 1, 2, 100])) == pytest.approx((2 + 9) / 2)
    values = np.random.default_rng(0).normal(size=(3, 40))
    np.testing.assert_allclose([interquartile_mean(row) for row in values], trim_mean(values, 0.25, axis=1))


def test_interquartile_mean_counts_border_values_by_their_share_inside():
    # Five values of share 0.2: the middle half takes 0.15 of the second, 0.2 of the third, 0.15 of the fourth.
    assert interquartile_mean(np.array([0.0, 1, 2, 4, 9])) == pytest.approx((0.15 * 1 + 0.2 * 2 + 0.15 * 4) / 0.5)
    assert interquartile_mean(np.array([7.0])) == 7


def test_weights_act_like_repetition():
    repeated = interquartile_mean(np.array([1.0, 1, 1, 2, 5, 5]))
    assert interquartile_mean(np.array([1.0, 2, 5]), np.array([3.0, 1, 2])) == pytest.approx(repeated)


def test_bootstrap_is_deterministic_and_brackets_the_mean():
    values = np.random.default_rng(1).normal(3, 2, size=100)
    interval = bootstrap_interval(values, seed=5)
    assert interval == bootstrap_interval(values, seed=5)
    assert interval != bootstrap_interval(values, seed=6)
    assert interval.value == pytest.approx(values.mean())
    # The textbook interval, mean +- 1.96 standard errors.
    error = 1.96 * values.std() / 10
    assert interval.low == pytest.approx(values.mean() - error, abs=0.05)
    assert interval.high == pytest.approx(values.mean() + error, abs=0.05)


def test_bootstrap_of_a_constant_has_no_width():
    interval = bootstrap_interval([2.0, 2.0, 2.0], seed=0)
    assert (interval.low, interval.value, interval.high) == (2, 2, 2)


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [[1.0], [2.0]]])
def test_bootstrap_refuses_what_is_no_row_of_numbers(values):
    with pytest.raises(ValueError, match="one or more finite numbers"):
        bootstrap_interval(values, seed=0)


def test_tasks_weigh_the_same_however_many_episodes_they_have():
    interval = stratified_interval([np.zeros(90), np.ones(10)], mean_of_tasks, seed=0)
    assert interval.value == pytest.approx(0.5)
    # Redrawing within tasks cannot mix zeros and ones: no spread at all, where pooled redrawing would have some.
    assert (interval.low, interval.high) == pytest.approx((0.5, 0.5))


def test_stratified_interval_of_one_task_is_its_bootstrap():
    values = np.random.default_rng(2).normal(size=30)
    one, other = stratified_interval([values], mean_of_tasks, seed=3), bootstrap_interval(values, seed=3)
    assert (one.low, one.value, one.high) == pytest.approx((other.low, other.value, other.high))


@pytest.mark.parametrize(
    "successes, trials, low, high",
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (5, 10, 0.2366, 0.7634), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_interval_gives_known_values(successes, trials, low, high):
    interval = wilson_interval(successes, trials)
    assert interval.value == successes / trials
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize("successes, trials", [(0, 0), (3, 2), (-1, 2)])
def test_wilson_interval_refuses_impossible_counts(successes, trials):
    with pytest.raises(ValueError, match="expected 0 <= successes <= trials"):
        wilson_interval(successes, trials)


def test_statistics_of_three_hand_worked_tasks():
    tasks = [[0.0, 1.0], [0.5, 0.5, 0.5, 0.5], [1.5, 2.5]]  # means 0.5, 0.5, 2
    assert value_of(mean_of_tasks, tasks) == pytest.approx(1)
    assert value_of(median_of_tasks, tasks) == pytest.approx(0.5)
    # Short of 1 by 0.5, 0.5 and 0; the surplus of the last task buys nothing.
    assert value_of(optimality_gap, tasks) == pytest.approx(1 / 3)
    assert value_of(share_above([0.0, 0.5, 0.51, 2.0, 2.1]), tasks) == pytest.approx([1, 1, 1 / 3, 1 / 3, 0])
    # Episodes above 0: a half, all, all; above 0.5: a half, none, all; above 1.5: none, none, a half.
    assert value_of(performance_profile([0.0, 0.5, 1.5]), tasks) == pytest.approx([2.5 / 3, 1.5 / 3, 0.5 / 3])


@pytest.mark.parametrize("num_episodes", range(1, 40))
def test_a_task_at_the_threshold_reaches_it_whatever_the_rounding(num_episodes):
    assert value_of(share_above([0.8]), [[0.8] * num_episodes]) == 1


def test_interquartile_mean_weighs_tasks_not_episodes():
    # A third of the weight each: the middle half is all of the second task and 1/12 from each of the others.
    tasks = [[0.0] * 90, [1.0] * 2, [5.0] * 7]
    assert value_of(interquartile_mean_of_tasks, tasks) == pytest.approx((0 / 12 + 1 / 3 + 5 / 12) / (1 / 2))


def test_interquartile_mean_of_equal_tasks_is_that_of_all_their_episodes():
    scores = np.random.default_rng(0).normal(size=(3, 8))
    assert value_of(interquartile_mean_of_tasks, list(scores)) == pytest.approx(trim_mean(scores, 0.25, axis=None))


def test_the_bootstrap_by_weights_is_the_bootstrap_by_redrawn_episodes():
    values = np.random.default_rng(4).normal(size=40)
    interval = stratified_interval([values], interquartile_mean_of_tasks, seed=9)
    redrawn = values[np.random.default_rng(9).integers(40, size=(2000, 40))]
    expected = np.quantile(trim_mean(redrawn, 0.25, axis=1), (0.025, 0.975))
    assert (interval.low, interval.high) == pytest.approx(tuple(expected))


def test_many_episodes_are_redrawn_in_parts_that_make_no_difference():
    values = np.random.default_rng(5).normal(size=3000)  # more weights than are held at once
    one, other = stratified_interval([values], mean_of_tasks, seed=3), bootstrap_interval(values, seed=3)
    assert (one.low, one.high) == pytest.approx((other.low, other.high))


@pytest.mark.parametrize("x, y, expected", [([1, 2], [0, 3], 0.5), ([1, 2], [1, 1], 0.75), ([5], [1, 2, 9], 2 / 3)])
def test_probability_of_improvement_of_hand_worked_pairs(x, y, expected):
    assert probability_of_improvement([x], [y], seed=0).value == pytest.approx(expected)


def test_probability_of_improvement_is_mann_and_whitneys_u_averaged_over_tasks():
    rng = np.random.default_rng(6)
    first = [rng.integers(5, size=size).astype(float) for size in (7, 30, 12)]
    second = [rng.integers(6, size=size).astype(float) for size in (9, 20, 12)]
    rates = [mannwhitneyu(x, y).statistic / (len(x) * len(y)) for x, y in zip(first, second, strict=True)]
    interval = probability_of_improvement(first, second, seed=0)
    assert interval.value == pytest.approx(np.mean(rates))
    assert interval.low < interval.value < interval.high


def test_the_interval_of_an_improvement_is_that_of_redrawn_pairs():
    rng = np.random.default_rng(7)
    x, y = rng.normal(0.3, 1, size=25), rng.normal(size=35)
    interval = probability_of_improvement([x], [y], seed=0)
    redrawn = [np.mean(rng.choice(x, 25)[:, None] > rng.choice(y, 35)) for _ in range(4000)]
    low, high = np.quantile(redrawn, (0.025, 0.975))
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.02)


def test_a_difference_has_the_spread_of_both_sides():
    rng = np.random.default_rng(8)
    x, y = rng.normal(1, 1, size=200), rng.normal(0, 2, size=100)
    interval = difference_interval([x], [y], mean_of_tasks, seed=0)
    error = 1.96 * np.sqrt(x.var() / 200 + y.var() / 100)  # the textbook's
    assert interval.value == pytest.approx(x.mean() - y.mean())
    assert interval.low == pytest.approx(interval.value - error, abs=0.05)
    assert interval.high == pytest.approx(interval.value + error, abs=0.05)


@settings(max_examples=40, deadline=None)
@given(TASKS, TASKS)
def test_what_holds_for_any_scores(tasks, others):
    count = min(len(tasks), len(others))
    tasks, others = tasks[:count], others[:count]
    every = np.concatenate(tasks)
    assert every.min() - 1e-9 <= value_of(interquartile_mean_of_tasks, tasks) <= every.max() + 1e-9
    assert value_of(optimality_gap, tasks) >= max(0, 1 - value_of(mean_of_tasks, tasks)) - 1e-9
    profile = value_of(performance_profile(np.linspace(-2.1, 2, 9)), tasks)
    assert profile[0] == pytest.approx(1)
    assert profile[-1] == 0
    assert (np.diff(profile) <= 1e-12).all()
    better = probability_of_improvement(tasks, others, seed=0, num_samples=2).value
    worse = probability_of_improvement(others, tasks, seed=0, num_samples=2).value
    assert better + worse == pytest.approx(1)
    assert probability_of_improvement(tasks, tasks, seed=0, num_samples=2).value == pytest.approx(0.5)


def test_experts_have_no_optimality_gap():
    interval = stratified_interval([np.ones(5), np.full(3, 1.7)], optimality_gap, seed=0)
    assert (interval.low, interval.value, interval.high) == (0, 0, 0)


def test_no_task_and_unequal_tasks_are_errors():
    with pytest.raises(ValueError, match="no task to aggregate"):
        stratified_interval([], mean_of_tasks, seed=0)
    with pytest.raises(ValueError, match="2 tasks on one side and 1 on the other"):
        probability_of_improvement([[1.0], [2.0]], [[1.0]], seed=0)
