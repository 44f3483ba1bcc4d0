import numpy as np
import pytest

from gato.evaluation.scores import ScoreRecord
from gato.reports.profile_plot import profile_plot, tasks_above_plot
from gato.reports.style import DARK, save_figure


def record(task: str, returns: list[float], family: str = "f", expert: float = 1.0) -> ScoreRecord:
    return ScoreRecord.from_returns(returns, task=task, family=family, seed=0, random_mean=0.0, expert_mean=expert)


def test_the_profile_falls_at_the_scores_of_the_episodes():
    (axes,) = profile_plot({"": [record("one", [0.25, 0.75]), record("two", [0.75])]}).axes
    thresholds, shares = axes.lines[0].get_data()
    np.testing.assert_allclose(shares[thresholds < 0.245], 1)
    np.testing.assert_allclose(shares[(thresholds > 0.255) & (thresholds < 0.745)], 0.75)  # a half and a whole task
    np.testing.assert_allclose(shares[thresholds > 0.755], 0)
    assert axes.get_legend() is None


def test_profiles_of_two_runs_have_their_names_and_bands():
    (axes,) = profile_plot({"before": [record("one", [0.1, 0.9])], "after": [record("one", [0.6, 0.9])]}).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["before", "after"]
    assert len(axes.collections) == 2
    assert axes.lines[0].get_color() != axes.lines[1].get_color()


def test_the_count_of_tasks_at_or_above_a_share_is_written_out():
    scores = {"a": 1.0, "b": 0.8, "c": 0.79, "d": 0.3, "e": -0.5}
    figure = tasks_above_plot([record(task, [score]) for task, score in scores.items()])
    (axes,) = figure.axes
    counts = [text.get_text() for text in axes.texts]
    assert counts == ["4", "3", "2", "1"]  # at 0, 50, 80 and 100 %
    assert axes.get_ylabel() == "tasks at or above it, of 5"


def test_tasks_whose_expert_is_not_above_random_are_not_counted():
    (axes,) = tasks_above_plot([record("a", [1.0]), record("lost", [9.0], expert=-1)]).axes
    assert axes.get_ylabel() == "tasks at or above it, of 1"


def test_layers_are_families_the_largest_first_and_the_smallest_together():
    sizes = {"small": 1, "big": 4, "c": 3, "d": 3, "e": 3, "g": 2, "h": 1}
    records = [record(f"{name}{i}", [0.5], family=name) for name, size in sizes.items() for i in range(size)]
    (axes,) = tasks_above_plot(records).axes
    top_first = [text.get_text() for text in axes.get_legend().get_texts()]
    assert top_first == ["others", "g", "e", "d", "c", "big"]


@pytest.mark.parametrize("draw", [lambda records, theme: profile_plot({"": records}, theme), tasks_above_plot])
def test_figures_can_be_written_and_refuse_nothing_and_tasks_that_weigh_twice(draw, tmp_path):
    save_figure(tmp_path / "figure.png", draw([record("one", [0.5, 0.7])], DARK))
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="nothing to draw"):
        draw([record("lost", [1.0], expert=-1)], DARK)
    with pytest.raises(ValueError, match="several records of one"):
        draw([record("one", [0.5]), record("one", [0.7])], DARK)
