import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from gato.reports.curves import Curve
from gato.reports.page import page_html
from gato.reports.run_page import marks_of, run_page, training_figure_panels
from gato.reports.run_plots import Marks, Panel, run_panels, source_panels
from gato.reports.style import DARK, save_figure


def line(step: int, **more) -> dict:
    values = {"loss": 4 / step, "loss_text": 5 / step, "loss_action": 3 / step, "learning_rate": 1e-4, "skipped": 0}
    return {"step": step, **values, "grad_norm": 0.5, "tokens_per_second": 1000.0 + step, "mfu": 0.39, **more}


METRICS = [
    line(10, **{"loss/pendulum": 0.9, "accuracy/pendulum": 0.5, "accuracy_changed/pendulum": 0.25}),
    line(20, skipped=2, **{"loss/pendulum": 0.7, "loss/<b>": 0.2}),
    {"step": 20, "held_out/loss": 0.35, "held_out/loss_action": 0.3, "held_out/loss/pendulum": 0.75},
    line(
        30, skipped=2, loss=None, **{"loss/pendulum": 0.5, "accuracy/pendulum": 0.8, "accuracy_changed/pendulum": 0.6}
    ),
]


def texts(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()}


def test_the_page_tells_where_the_run_stands():
    page = run_page(METRICS, name="mine", num_steps=60, resumed=[20], history=[("2026-11-28 10:00", "started", "0")])
    facts = {fact.label: fact.value for fact in page.facts}
    assert page.lead == "A run of 60 steps, 50% of its steps made."
    assert facts["steps made"] == "30"
    assert facts["loss on held-out data"] == "0.350"
    assert facts["tokens per second"] == "1,020"
    assert facts["MFU"] == "39.0%"
    assert facts["steps skipped"] == "2"
    assert [section.title for section in page.sections][:3] == ["Loss", "Sources", "Optimizer and speed"]


def test_sources_have_their_first_and_last_numbers_and_nothing_can_break_the_page():
    page = run_page(METRICS, name="<script>", num_steps=30)
    (table,) = [block for block in page.sections[1].blocks if hasattr(block, "rows")]
    assert table.rows[0] == ("pendulum", "0.900", "0.700", "0.750", "80%", "60%")
    assert table.rows[1] == ("<b>", "0.200", "0.200", "–", "–", "–")
    html = page_html(page)
    assert "<b>" not in html
    assert "<script>" not in html
    assert "finished" in page.lead


def test_marks_stand_where_the_count_of_skipped_steps_grew():
    lines = [line(step, skipped=count) for step, count in ((10, 0), (20, 2), (30, 2), (40, 3))]
    assert marks_of(lines, [15]) == Marks(resumed=(15,), skipped=(20, 40))


def test_a_run_that_counts_no_speed_has_no_plot_of_it():
    bare = [{"step": 5, "loss": 0.5, "learning_rate": 0.1}]
    assert [panel.label for panel in training_figure_panels(bare)] == ["loss, nats per target", "learning rate"]
    assert run_page(bare, name="bare", num_steps=5).facts[0].value == "5"


def test_the_loss_is_the_median_that_its_note_says():
    lines = [{"step": step, "loss": loss} for step, loss in enumerate([9.0] + [0.1] * 11 + [4.0] * 9)]
    fact = run_page(lines, name="mine", num_steps=60).facts[1]
    assert (fact.label, fact.note) == ("loss, nats per target", "median of the last lines")
    assert fact.value == "0.100"  # of the last twenty; their mean is 1.855


@pytest.mark.parametrize("lines", [[], [{"step": 3, "held_out/loss": 1.0}], [{"step": 3, "loss": None}]])
def test_a_run_without_a_loss_yet_is_told_when_it_comes(lines):
    with pytest.raises(ValueError, match=r"'mine' has written no loss yet: the first comes after training.log_every"):
        run_page(lines, name="mine", num_steps=9)


def test_long_curves_are_drawn_as_means_of_neighbours():
    steps = np.arange(1, 10_001)
    wave = np.where(steps % 2, 0.0, 2.0)
    curve = Curve(label="x", steps=list(steps), values=list(wave))
    (drawn,) = run_panels([Panel(label="x", curves=(curve,))], Marks()).axes[0].get_lines()
    assert len(drawn.get_xdata()) <= 400
    assert np.mean(drawn.get_xdata()) == pytest.approx(np.mean(steps), rel=1e-3)
    np.testing.assert_allclose(drawn.get_ydata(), 1.0, atol=0.05)


def test_figures_name_their_plots_and_draw_the_marks(tmp_path):
    marks = Marks(resumed=(20,), skipped=(20,))
    panels = training_figure_panels(METRICS)
    figure = run_panels(panels, marks, DARK)
    assert {"loss, nats per target", "learning rate", "gradient norm", "tokens per second", "MFU"} <= texts(figure)
    assert all(any(20 in drawn.get_xdata() for drawn in axes.get_lines()[1:]) for axes in figure.axes)
    save_figure(tmp_path / "run.png", figure)
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


def test_of_speed_all_is_shown_and_of_a_loss_its_first_steps_may_lie_above():
    lines = [line(step, tokens_per_second=5000.0 if step == 1 else 1000.0) for step in range(1, 101)]
    loss, _, _, speed, _ = run_panels(training_figure_panels(lines), Marks()).axes
    assert speed.get_ylabel() == "tokens per second"
    assert speed.get_ylim()[1] > 5000
    assert loss.get_ylim()[1] < 5.0  # that of text at step 1


def test_every_source_has_a_plot_of_its_own():
    curves = [
        Curve(label=name, steps=[1, 2], values=[2.0, 1.0], held_out=held_out)
        for name in ("a", "b", "c", "d")
        for held_out in (False, True)
    ]
    figure = source_panels(curves, Marks())
    plots = {axes.get_title(loc="left"): len(axes.get_lines()) for axes in figure.axes if axes.axison}
    assert plots == {"a": 2, "b": 2, "c": 2, "d": 2}


@pytest.mark.parametrize("draw", [lambda: run_panels([], Marks()), lambda: source_panels([], Marks())])
def test_nothing_to_draw_is_refused(draw):
    with pytest.raises(ValueError, match="no curve to draw"):
        draw()
