import pytest

from gato.evaluation.scores import ScoreRecord
from gato.evaluation.statistics import Interval
from gato.reports.format import (
    big_number,
    counted,
    interval_text,
    number,
    percent,
    score_text,
    signed_number,
    with_interval,
)

INTERVAL = Interval(value=-0.5, low=-1.25, high=0.25)
SHARE = Interval(value=0.5, low=0.125, high=0.876)


def test_numbers_have_three_digits_or_so_and_zero_no_sign():
    assert [number(value) for value in (123.4, -12.34, 0.123, -0.001)] == ["123", "−12.3", "0.12", "0.00"]
    assert [signed_number(value) for value in (0.25, -0.25, 0.001, -0.001, 10.0)] == [
        "+0.25",
        "−0.25",
        "0.00",
        "0.00",
        "+10.0",
    ]


def test_an_interval_stands_with_or_without_its_value():
    assert interval_text(INTERVAL) == "−1.25 to 0.25"
    assert with_interval(INTERVAL) == "−0.50 (−1.25 to 0.25)"
    assert with_interval(INTERVAL, signed=True) == "−0.50 (−1.25 to +0.25)"
    assert with_interval(SHARE, in_percent=True) == "50% (12% to 88%)"
    assert interval_text(SHARE, in_percent=True) == "12% to 88%"
    assert interval_text(None) == with_interval(None) == "–"


def test_a_share_is_in_percent_or_unknown():
    assert [percent(0.1234), percent(0.1234, 1), percent(None)] == ["12%", "12.3%", "–"]


def test_a_score_without_an_expert_above_random_is_its_return():
    def record(expert: float) -> ScoreRecord:
        return ScoreRecord.from_returns(
            [1.0, 1.0], task="t", family="f", seed=0, random_mean=0.0, expert_mean=expert, prompt="right"
        )

    assert [score_text(record(2.0)), score_text(record(-1.0)), score_text(None)] == [
        "0.50 (0.50 to 0.50)",
        "return 1.00",
        "–",
    ]


@pytest.mark.parametrize(
    "value, text", [(1234, "1,234"), (12_345, "12.3k"), (1_234_567, "1.23M"), (2_000_000_000, "2G")]
)
def test_a_big_number_has_a_unit(value, text):
    assert big_number(value) == text


def test_a_count_has_its_noun():
    assert [counted(1, "task"), counted(1200, "task"), counted(2, "family", "families")] == [
        "1 task",
        "1,200 tasks",
        "2 families",
    ]
