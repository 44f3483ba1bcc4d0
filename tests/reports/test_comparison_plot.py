import numpy as np
import pytest

from gato.evaluation.comparison import compare
from gato.evaluation.scores import ScoreRecord
from gato.reports.comparison_plot import comparison_plot
from gato.reports.style import DARK, save_figure


def record(task: str, returns: list[float], expert: float = 1.0) -> ScoreRecord:
    return ScoreRecord.from_returns(returns, task=task, family="f", seed=0, random_mean=0.0, expert_mean=expert)


A = [record("worse", [1.0, 0.8]), record("same", [0.5, 0.7]), record("better", [0.0, 0.2]), record("lost", [1], -1)]
B = [record("worse", [0.3, 0.5]), record("same", [0.7, 0.5]), record("better", [0.8, 1.0]), record("lost", [2], -1)]


def test_rows_are_sorted_by_difference_and_tell_it():
    (axes,) = comparison_plot(compare(A, B, name_a="before", name_b="after")).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["better", "same", "worse"]
    assert [text.get_text() for text in axes.texts] == ["+0.80", "0.00", "−0.50"]
    assert [text.get_fontweight() for text in axes.texts] == ["bold", "normal", "bold"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["A: before", "B: after"]


def test_marks_stand_at_the_scores_of_their_side():
    (axes,) = comparison_plot(compare(A, B, name_a="before", name_b="after")).axes
    marks = {points.get_label(): points.get_offsets() for points in axes.collections if len(points.get_offsets()) > 1}
    np.testing.assert_allclose(marks["A: before"][:, 0], [0.1, 0.6, 0.9])
    np.testing.assert_allclose(marks["B: after"][:, 0], [0.9, 0.6, 0.4])


def test_the_figure_can_be_written_and_needs_a_score(tmp_path):
    save_figure(tmp_path / "figure.png", comparison_plot(compare(A, B), DARK))
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="nothing to draw"):
        comparison_plot(compare(A[3:], B))
