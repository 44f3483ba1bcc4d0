import dataclasses
import json

import numpy as np
import pytest
from scipy.stats import trim_mean

from gato.evaluation.scores import (
    ScoreRecord,
    aggregate,
    bootstrap_interval,
    interquartile_mean,
    normalized_score,
    read_scores,
    stratified_interval,
    weighted_mean,
    wilson_interval,
    write_scores,
)


def record(**changes) -> ScoreRecord:
    fields = {"task": "cartpole", "family": "classic", "seed": 0, "random_mean": 20.0, "expert_mean": 500.0}
    return ScoreRecord.from_returns(**{"returns": [260.0, 500.0], **fields, **changes})


def test_normalised_score_is_zero_at_random_one_at_the_expert_and_half_way_between():
    assert normalized_score(20, 20, 500) == 0
    assert normalized_score(500, 20, 500) == 1
    assert normalized_score(260, 20, 500) == 0.5
    assert normalized_score(-610, -1300, 80) == 0.5
    assert normalized_score(740, 20, 500) == 1.5  # better than the expert is not cut off


def test_an_expert_no_better_than_random_gives_no_score():
    assert normalized_score(3, 5, 5) is None
    assert normalized_score(3, 5, 4) is None


def test_interquartile_mean_of_whole_quarters_is_the_trimmed_mean():
    assert interquartile_mean(np.array([9.0, 1, 2, 100])) == pytest.approx((2 + 9) / 2)
    values = np.random.default_rng(0).normal(size=(3, 40))
    np.testing.assert_allclose(interquartile_mean(values), trim_mean(values, 0.25, axis=1))


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
    interval = stratified_interval([np.zeros(90), np.ones(10)], weighted_mean, seed=0)
    assert interval.value == pytest.approx(0.5)
    # Redrawing within tasks cannot mix zeros and ones: no spread at all, where pooled redrawing would have some.
    assert (interval.low, interval.high) == pytest.approx((0.5, 0.5))


def test_stratified_interval_of_one_task_is_its_bootstrap():
    values = np.random.default_rng(2).normal(size=30)
    one, other = stratified_interval([values], weighted_mean, seed=3), bootstrap_interval(values, seed=3)
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


def test_record_of_hand_worked_returns():
    scored = record()
    assert (scored.return_mean, scored.return_std, scored.normalized, scored.episodes) == (380, 120, 0.75, 2)
    assert (scored.ci_low, scored.ci_high) == (0.5, 1.0)  # of two values the bootstrap reaches both
    np.testing.assert_allclose(scored.normalized_returns, [0.5, 1.0])


def test_record_without_a_normalised_score():
    scored = record(expert_mean=20.0)
    assert scored.normalized is scored.ci_low is scored.ci_high is scored.normalized_returns is None


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"prompt": "good"}, "prompt is 'good', expected one of"),
        ({"variants": "some"}, "variants is 'some'"),
        ({"episodes": 3}, "2 returns for 3 episodes"),
        ({"normalized": 0.9}, "normalized is 0.9, but its returns and references give 0.75"),
        ({"normalized": None}, "normalized is None"),
        ({"returns": (np.inf, 1.0)}, "not finite"),
        ({"success": 1.2}, "success is 1.2"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(ValueError, match=f"'cartpole': .*{message}|'cartpole': {message}"):
        dataclasses.replace(record(), **changes)


def test_aggregate_means_over_tasks_and_lists_those_left_out():
    records = [
        record(),
        record(task="lander", returns=[20.0, 20.0]),
        record(task="lost", expert_mean=0.0),
    ]
    together = aggregate(records)
    assert together is not None
    assert together.mean.value == pytest.approx((0.75 + 0) / 2)
    assert together.iqm.value == pytest.approx((0 + 0.5) / 2)  # of 0, 0, 0.5, 1
    assert together.tasks == ("cartpole", "lander")
    assert together.left_out == ("lost",)
    assert aggregate([records[2]]) is None


def test_scores_survive_the_file(tmp_path):
    records = [record(prompt="right", variants="held-out", success=0.5, followed=0.25), record(expert_mean=1.0)]
    write_scores(tmp_path / "scores.json", records)
    assert read_scores(tmp_path / "scores.json") == records


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "is not JSON"),
        ("{}", "holds dict, expected a list"),
        ('[{"task": "x"}]', r"record 0 has \['task'\], expected exactly the fields"),
        ("[3]", "record 0 has int"),
    ],
)
def test_a_broken_scores_file_says_what_is_wrong(tmp_path, content, message):
    (tmp_path / "scores.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_scores(tmp_path / "scores.json")


def test_a_tampered_score_is_noticed(tmp_path):
    write_scores(tmp_path / "scores.json", [record()])
    entries = json.loads((tmp_path / "scores.json").read_text())
    entries[0]["normalized"] = 1.0
    (tmp_path / "scores.json").write_text(json.dumps(entries))
    with pytest.raises(ValueError, match=r"record 0: .*normalized is 1\.0"):
        read_scores(tmp_path / "scores.json")
