"""What few-shot runs reached: smoothing, the best, the curve, the file and the figure."""

import json

import numpy as np
import pytest

from gato.evaluation.few_shot import FewShotResults, FewShotRun, Judged, best_of, curve, smoothed, starting_score
from gato.reports.few_shot_plot import few_shot_plot
from gato.reports.few_shot_tables import few_shot_table


def run(start="checkpoint", episodes=1, cascade=0, values=(10.0, 40.0, 20.0), retest=()) -> FewShotRun:
    evaluations = tuple(Judged(step=100 * (i + 1), value=value, smoothed=value) for i, value in enumerate(values))
    return FewShotRun(
        start=start,
        episodes=episodes,
        cascade=cascade,
        chosen=tuple(range(episodes)),
        before=5.0,
        evaluations=evaluations,
        best_step=best_of(evaluations, "return").step,
        retest=retest,
    )


def results(*runs, **fields) -> FewShotResults:
    settings = {"task": "cartpole", "measure": "return", "random_mean": 0.0, "expert_mean": 100.0, **fields}
    return FewShotResults(runs=runs, **settings)


def test_a_full_window_is_the_mean_of_its_values():
    assert smoothed([1.0, 50.0, 2.0, 6.0, 4.0], 0.0, 3, "return") == 4.0
    assert smoothed([1.0, 50.0, 2.0, 6.0, 4.0], 9.0, 3, "held-out loss") == 4.0
    assert smoothed([7.0], -100.0, 1, "return") == 7.0


def test_a_lucky_first_evaluation_is_held_back_by_what_the_run_began_with():
    assert smoothed([80.0], 5.0, 5, "return") == pytest.approx((4 * 5 + 80) / 5)
    assert smoothed([1.0], 6.0, 5, "held-out loss") == pytest.approx((4 * 6 + 1) / 5)


def test_what_a_run_began_with_makes_no_evaluation_better():
    """Where fine-tuning hurts, the missing evaluations are as bad as the worst that was seen."""
    assert smoothed([20.0, 10.0], 90.0, 4, "return") == pytest.approx((2 * 10 + 20 + 10) / 4)
    assert smoothed([3.0], 1.0, 4, "held-out loss") == 3.0


@pytest.mark.parametrize("measure, step", [("return", 200), ("held-out loss", 100)])
def test_the_best_is_the_highest_return_or_the_lowest_loss_and_the_first_of_equal_ones(measure, step):
    evaluations = [
        Judged(step=100 * (i + 1), value=0.0, smoothed=value) for i, value in enumerate((1.0, 3.0, 3.0, 1.0))
    ]
    assert best_of(evaluations, measure).step == step


def test_scores_are_normalised_where_the_task_has_references():
    assert results(random_mean=20.0, expert_mean=60.0).score(40.0) == 0.5
    assert results(random_mean=None, expert_mean=None).score(40.0) == 40.0
    flat = results(random_mean=60.0, expert_mean=60.0)
    assert flat.score(40.0) == 40.0
    names = [each.score_name for each in (results(), flat, results(measure="held-out loss", random_mean=None))]
    assert names == ["normalised score", "return", "held-out loss, nats a target"]


def test_the_curve_has_a_point_for_each_start_and_number_of_episodes():
    runs = [
        run(episodes=10, cascade=0, values=(90.0,), retest=(70.0, 80.0)),
        run(episodes=1, cascade=1, values=(20.0,)),
        run(episodes=1, cascade=0, values=(10.0,)),
        run(start="scratch", episodes=1, values=(5.0,)),
    ]
    points = curve(results(*runs))
    assert [(point.start, point.episodes, point.scores, point.retested) for point in points] == [
        ("checkpoint", 1, (0.1, 0.2), ()),
        ("checkpoint", 10, (0.9,), (0.75,)),
        ("scratch", 1, (0.05,), ()),
    ]
    assert points[0].mean == pytest.approx(0.15)


def test_the_starting_score_is_that_of_the_checkpoint():
    assert starting_score(results(run())) == 0.05
    assert starting_score(results(run(start="scratch"))) is None


def test_the_table_shows_mean_and_spread_over_the_cascades():
    table = few_shot_table(
        results(run(values=(10.0,)), run(cascade=1, values=(30.0,)), run(episodes=3, values=(-20.0,)))
    )
    assert table.rows == (
        ("the checkpoint", "1", "2", "0.2 ± 0.14", "–"),
        ("the checkpoint", "3", "1", "−0.2", "–"),
    )


def test_a_run_comes_back_from_its_file(tmp_path):
    written = run(episodes=3, retest=(1.0, 2.5))
    written.save(tmp_path / "result.json")
    assert FewShotRun.load(tmp_path / "result.json") == written
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_a_file_of_something_else_is_an_error(tmp_path):
    (tmp_path / "result.json").write_text('{"start": "scratch"}')
    with pytest.raises(ValueError, match=r"result\.json is not the result of a run"):
        FewShotRun.load(tmp_path / "result.json")


def test_the_file_of_results_holds_every_evaluation_and_the_settings(tmp_path):
    results(run()).save(tmp_path / "results.json", {"checkpoint": {"step": 7}})
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["version"] == 1
    assert content["checkpoint"] == {"step": 7}
    assert [judged["value"] for judged in content["runs"][0]["evaluations"]] == [10.0, 40.0, 20.0]
    assert content["runs"][0]["best_step"] == 200


def test_the_figure_shows_every_cascade_and_the_mean():
    drawn = [run(episodes=n, cascade=c, values=(10.0 * n + c,)) for n in (1, 10) for c in (0, 2)]
    figure = few_shot_plot(results(*drawn, run(start="scratch", values=(1.0,))))
    (axes,) = figure.axes
    mean = next(line for line in axes.lines if line.get_label() == "fine-tuned")
    assert mean.get_xdata() == pytest.approx([1, 10])
    assert mean.get_ydata() == pytest.approx([0.11, 1.01])
    dots = np.asarray(axes.collections[1].get_offsets())
    assert np.sort(dots, axis=0) == pytest.approx(np.array([(1, 0.1), (1, 0.12), (10, 1.0), (10, 1.02)]))
    assert {"from scratch", "before fine-tuning"} <= {line.get_label() for line in axes.lines}


def test_a_figure_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="nothing to draw"):
        few_shot_plot(results())
