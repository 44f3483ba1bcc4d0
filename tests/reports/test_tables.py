import pytest

from gato.evaluation.comparison import compare
from gato.evaluation.scores import ScoreRecord
from gato.reports.tables import (
    aggregate_table,
    comparison_latex,
    comparison_markdown,
    group_comparison_table,
    score_table,
    scores_latex,
    scores_markdown,
    task_comparison_table,
)


def record(task="cartpole", prompt="right", returns=(0.5, 1.0), expert=1.0, family="f") -> ScoreRecord:
    return ScoreRecord.from_returns(
        list(returns), task=task, family=family, seed=0, random_mean=0.0, expert_mean=expert, prompt=prompt
    )


def test_the_score_table_tells_each_record():
    table = score_table([record(), record("lost", "none", expert=-1.0)])
    assert table.rows[0] == ("cartpole", "right", "2", "0.75 ± 0.25", "0.00", "1.00", "0.75", "0.50 to 1.00", "–")
    assert table.rows[1][6:] == ("–", "–", "–")


def test_the_aggregate_table_has_a_row_for_all_and_for_each_family():
    steady = [record("one", returns=[1, 1]), record("two", returns=[0.6, 0.6], family="g"), record("lost", expert=-1)]
    table = aggregate_table([*steady[:2], record("lost", expert=-1, family="h")])
    whole, first, second, lost = table.rows
    assert whole[:2] == ("all tasks", "2")
    assert whole[3:] == (
        "0.80 (0.80 to 0.80)",
        "0.80 (0.80 to 0.80)",
        "0.20 (0.20 to 0.20)",
        "100% (100% to 100%)",
        "50% (50% to 50%)",
        "50% (50% to 50%)",
    )
    assert (first[0], first[2], second[0], second[2]) == ("f", "1.00 (1.00 to 1.00)", "g", "0.60 (0.60 to 0.60)")
    assert lost == ("h", "0", *["–"] * 7)


def test_comparison_tables_tell_scores_differences_and_wins():
    a = [record("one", returns=[0, 0]), record("two", returns=[1, 1]), record("lost", expert=-1)]
    b = [record("one", returns=[0.5, 0.5]), record("two", returns=[0.5, 0.5]), record("lost", expert=-1)]
    comparison = compare(a, b)
    assert task_comparison_table(comparison).rows == (
        ("one", "0.00 (0.00 to 0.00)", "0.50 (0.50 to 0.50)", "+0.50 (+0.50 to +0.50)", "1.00 (1.00 to 1.00)"),
        ("two", "1.00 (1.00 to 1.00)", "0.50 (0.50 to 0.50)", "−0.50 (−0.50 to −0.50)", "0.00 (0.00 to 0.00)"),
        ("lost", "return 0.75", "return 0.75", "–", "–"),
    )
    (row,) = group_comparison_table(comparison).rows
    assert row[:5] == ("all tasks", "2", "0.50", "0.50", "0.00 (0.00 to 0.00)")
    assert row[8] == "0.50 (0.50 to 0.50)"


@pytest.mark.parametrize("start, write", [("Left out", scores_markdown), ("% Left out", scores_latex)])
def test_written_scores_name_what_is_left_out(start, write):
    text = write([record(), record("lost", expert=-1.0)])
    assert f"\n{start}, because the expert is not above random: lost.\n" in text
    assert text.endswith("\n")
    assert "Left out" not in write([record()])


@pytest.mark.parametrize("start, write", [("", comparison_markdown), ("% ", comparison_latex)])
def test_a_written_comparison_names_what_is_not_in_it(start, write):
    a = [record("one"), record("mine"), record("lost", expert=-1)]
    b = [record("one"), record("yours"), record("lost", expert=-1)]
    text = write(compare(a, b, name_a="runs/before", name_b="runs/after"))
    for line in (
        "Only in A: mine.",
        "Only in B: yours.",
        "Left out, because the expert is not above random: lost.",
    ):
        assert f"\n{start}{line}\n" in text
    assert f"{start}A: runs/before" in text
    assert text.endswith("\n")
