import dataclasses

import numpy as np
import pytest

from gato.evaluation.comparison import compare
from gato.evaluation.scores import ScoreRecord


def record(task, returns, *, prompt="right", family="f", random=0.0, expert=2.0, variants="all") -> ScoreRecord:
    return ScoreRecord.from_returns(
        list(returns),
        task=task,
        family=family,
        seed=0,
        random_mean=random,
        expert_mean=expert,
        prompt=prompt,
        variants=variants,
    )


def test_differences_are_b_minus_a_in_normalised_scores():
    (task,) = compare([record("one", [0, 1])], [record("one", [1, 2, 2, 1])]).tasks
    assert task.difference is not None
    assert task.improvement is not None
    assert task.difference.value == pytest.approx(0.75 - 0.25)
    assert task.improvement.value == pytest.approx(7 / 8)  # only 1 against 1 ties, in two of eight pairs
    assert 0 <= task.difference.low < task.difference.value < task.difference.high <= 1


def test_turned_round_a_comparison_says_the_opposite():
    rng = np.random.default_rng(0)
    a = [record(name, rng.normal(1.0, 1, 30), family=name[0]) for name in ("ab", "ac", "bd")]
    b = [record(name, rng.normal(1.2, 1, 20), family=name[0]) for name in ("ab", "ac", "bd")]
    for one, other in zip(compare(a, b).groups, compare(b, a).groups, strict=True):
        assert one.label == other.label
        assert one.mean_difference.value == pytest.approx(-other.mean_difference.value)
        assert one.iqm_difference.value == pytest.approx(-other.iqm_difference.value)
        assert one.improvement.value == pytest.approx(1 - other.improvement.value)


def test_a_checkpoint_is_no_better_than_itself():
    records = [record("one", [0, 1, 2]), record("two", [2, 2, 1])]
    (group,) = compare(records, records).groups
    assert group.mean_difference.value == 0
    assert group.improvement.value == 0.5
    assert group.improvement.low < 0.5 < group.improvement.high


def test_groups_average_over_tasks_not_over_episodes():
    a = [record("one", [0] * 50), record("two", [0])]
    b = [record("one", [2] * 10), record("two", [0])]
    (group,) = compare(a, b).groups
    assert group.mean_difference.value == pytest.approx(0.5)
    assert group.iqm_difference.value == pytest.approx(0.5)  # the middle half of B is half 0, half 1
    assert group.improvement.value == pytest.approx((1 + 0.5) / 2)


def test_families_stand_below_all_tasks():
    records = [record("one", [1]), record("two", [1], family="g"), record("three", [1])]
    assert [(group.label, group.a.tasks) for group in compare(records, records).groups] == [
        ("all tasks", ("one", "two", "three")),
        ("f", ("one", "three")),
        ("g", ("two",)),
    ]


def test_only_equal_task_prompt_and_variants_meet():
    a = [record("one", [0]), record("one", [1], prompt="none"), record("two", [0])]
    b = [record("one", [2]), record("one", [1], variants="held-out"), record("three", [0])]
    comparison = compare(a, b)
    assert [(task.label, task.a.prompt, task.b.variants) for task in comparison.tasks] == [("one", "right", "all")]
    assert comparison.only_a == ("one", "two")
    assert comparison.only_b == ("one", "three")


def test_tasks_whose_expert_is_not_above_random_are_listed_and_in_no_group():
    records = [record("one", [1]), record("lost", [5], expert=-1)]
    comparison = compare(records, records)
    assert comparison.left_out == ("lost",)
    assert comparison.groups[0].a.tasks == ("one",)
    assert compare(records[1:], records).groups == ()


def test_nothing_in_common_is_an_error_that_tells_both_sides():
    with pytest.raises(ValueError, match=r"no task in common .*before holds one \(right\); after holds one \(none\)"):
        compare([record("one", [0])], [record("one", [0], prompt="none")], name_a="before", name_b="after")
    with pytest.raises(ValueError, match="B holds nothing"):
        compare([record("one", [0])], [])


@pytest.mark.parametrize("changed", ["random", "expert"])
def test_different_reference_scores_do_not_compare(changed):
    with pytest.raises(ValueError, match=rf"{changed}_mean of 'one' is .* evaluate both with one version"):
        compare([record("one", [0])], [record("one", [0], **{changed: 0.5})])


def test_a_task_measured_twice_on_one_side_is_an_error():
    one = record("one", [0])
    with pytest.raises(ValueError, match="A holds two records of 'one'"):
        compare([one, dataclasses.replace(one, seed=7)], [one])
