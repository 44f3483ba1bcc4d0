import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from gato.evaluation.scores import ScoreRecord
from gato.reports.curves import CopycatPoint, Curve
from gato.reports.page import draw_chart
from gato.reports.plots import copycat_plot, loss_curves, score_bars
from gato.reports.room_plot import RoomTrial, room_figure
from gato.reports.style import DARK, LIGHT, save_figure


def record(task: str, returns: list[float], prompt="none") -> ScoreRecord:
    return ScoreRecord.from_returns(
        returns, task=task, family="f", seed=0, random_mean=0.0, expert_mean=1.0, prompt=prompt
    )


def room_trials() -> list[RoomTrial]:
    paths = {"right": [(0, 0), (1, 0), (2, 0)], "wrong": [(0, 0), (0, 1), (0, 2)], "none": [(0, 0), (0, 0), (1, 0)]}
    shown = {"right": (2, 0), "wrong": (0, 2), "none": None}
    return [
        RoomTrial(prompt=prompt, variants=group, goal=(2, 0), shown=shown[prompt], path=np.array(path))
        for group in ("trained", "held-out")
        for prompt, path in paths.items()
    ]


def written(figure: Figure) -> set[str]:
    """Every text of the figure, sub-figures included."""
    return {text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()}


FIGURES = {
    "scores": lambda theme: score_bars([record("cartpole", [0.5, 0.7]), record("far", [-9.0, -8.0])], theme),
    "losses": lambda theme: loss_curves([Curve(label="text", steps=[1, 2], values=[3.0, 2.0])], theme),
    "copycat": lambda theme: copycat_plot([CopycatPoint(task="acrobot", accuracy=0.9, changed_accuracy=0.1)], theme),
    "room": lambda theme: room_figure(room_trials(), 3, theme),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_can_be_written_and_leaves_no_global_state(name, tmp_path):
    before = dict(matplotlib.rcParams)
    save_figure(tmp_path / "figure.png", FIGURES[name](DARK))
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert dict(matplotlib.rcParams) == before


def test_an_image_of_both_themes_is_the_same_every_time_and_differs_between_them():
    first, second = draw_chart(FIGURES["copycat"], alt=""), draw_chart(FIGURES["copycat"], alt="")
    assert first == second
    assert LIGHT.page in first.light
    assert DARK.page in first.dark
    assert LIGHT.page not in first.dark


def test_score_bars_name_tasks_values_and_references():
    texts = written(score_bars([record("cartpole", [0.25, 0.75]), record("lander", [-0.5])]))
    assert {"cartpole", "lander", "0.50", "−0.50", "random", "expert"} <= texts


def test_score_bars_tell_records_of_one_task_apart():
    texts = written(score_bars([record("room", [1.0], "right"), record("room", [0.0], "none"), record("other", [0.0])]))
    assert {"room, right prompt", "room, no prompt", "other"} <= texts


def test_bars_end_at_their_scores():
    (axes,) = score_bars([record("a", [0.25, 0.75]), record("b", [1.0])]).axes
    assert [bar.get_width() for bar in axes.patches] == [0.5, 1.0]


def test_loss_curves_show_the_points_they_got():
    curves = [
        Curve(label="text", steps=[1, 2, 3], values=[3.0, 2.0, 1.0]),
        Curve(label="text", steps=[3], values=[1.5], held_out=True),
    ]
    (axes,) = loss_curves(curves).axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [3, 2, 1])
    assert axes.lines[0].get_color() == axes.lines[1].get_color()
    assert axes.lines[0].get_linestyle() != axes.lines[1].get_linestyle()


def test_room_figure_writes_the_measured_shares():
    texts = written(room_figure(room_trials(), 3))
    assert {"100% end at the goal", "0% end at the goal"} <= texts
    assert {"right demonstration", "wrong demonstration", "no demonstration"} <= texts


def test_final_cells_are_counted_from_the_goal():
    # Under the wrong prompt every path ends in (0, 2), that is two rows above the goal (2, 0) and two columns right.
    densities = room_figure(room_trials(), 3).findobj(matplotlib.collections.QuadMesh)
    shares = np.asarray(densities[1].get_array()).reshape(5, 5)
    assert np.argwhere(shares).tolist() == [[0, 4]]


def test_the_room_example_has_start_goal_and_shown_cell_apart():
    near, far = room_trials()[:3], room_trials()[3:]
    spread = [
        RoomTrial(
            prompt=trial.prompt,
            variants="held-out",
            goal=(6, 0),
            shown=None if trial.shown is None else ((6, 0) if trial.prompt == "right" else (0, 6)),
            path=trial.path,
        )
        for trial in far
    ]
    rooms = room_figure([*near, *far, *spread], 7).findobj(matplotlib.axes.Axes)[:3]
    stars = [line.get_xydata() for line in rooms[0].lines if line.get_marker() == "*"]
    np.testing.assert_array_equal(stars, [[[0, 6]]])  # column, row of the far goal


@pytest.mark.parametrize(
    "draw",
    [
        lambda: score_bars([]),
        lambda: loss_curves([]),
        lambda: copycat_plot([]),
        lambda: room_figure([], 3),
    ],
    ids=["scores", "losses", "copycat", "room"],
)
def test_nothing_to_draw_is_an_error(draw):
    with pytest.raises(ValueError, match=r"to draw|nothing to draw"):
        draw()
