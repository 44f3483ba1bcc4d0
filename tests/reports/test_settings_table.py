import math

from gato.reports.settings_table import settings_table


def test_every_value_has_a_row_named_by_the_way_to_it():
    table = settings_table(
        {
            "checkpoint": {"run": "mine", "step": 7},
            "tasks": ["a", "b"],
            "study": None,
            "policy": {"max_tokens": -5, "temperature": 1.0, "deterministic": False, "scale": math.inf, "none": {}},
        }
    )
    assert table.rows == (
        ("checkpoint / run", "mine"),
        ("checkpoint / step", "7"),
        ("tasks", "a, b"),
        ("study", "–"),
        ("policy / max tokens", "−5"),
        ("policy / temperature", "1"),
        ("policy / deterministic", "no"),
        ("policy / scale", "–"),
        ("policy / none", "–"),
    )


def test_a_long_value_is_cut():
    ((_, value),) = settings_table({"tasks": ["x" * 10] * 100}).rows
    assert len(value) == 601
    assert value.endswith("…")
