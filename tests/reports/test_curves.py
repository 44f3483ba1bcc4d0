"""Curves and last values of the lines of a run's metrics."""

import pytest

from gato.reports.curves import copycat_points_of, curve_of, loss_curves_of, recent_median

METRICS = [
    {"step": 50, "loss_text": 3.0, "loss_action": 2.0},
    {"step": 100, "loss_text": None, "loss_action": 1.0, "accuracy/lander": 0.5, "accuracy_changed/lander": 0.1},
    {"step": 100, "held_out/loss_text": 2.5, "held_out/accuracy/lander": 0.4, "held_out/accuracy_changed/lander": 0.05},
    {"step": 150, "loss_text": 1.0, "accuracy/lander": 0.75, "accuracy/captions": 0.9},
]


def test_values_that_were_not_finite_are_left_out():
    assert curve_of(METRICS, "loss_text", "text").steps == (50, 150)
    assert curve_of(METRICS, "loss_text", "text", held_out=True).values == (2.5,)
    assert curve_of(METRICS, "absent", "none") is None


def test_loss_curves_skip_what_was_not_measured():
    text, held_out, actions = loss_curves_of(METRICS)
    assert (text.label, list(text.steps), list(text.values), text.held_out) == ("text", [50, 150], [3.0, 1.0], False)
    assert (held_out.label, list(held_out.values), held_out.held_out) == ("text", [2.5], True)
    assert (actions.label, list(actions.steps)) == ("actions", [50, 100])


def test_copycat_points_are_the_last_ones_of_sources_with_actions():
    (point,) = copycat_points_of(METRICS)
    assert (point.task, point.accuracy, point.changed_accuracy) == ("lander", 0.75, 0.1)
    (held_out,) = copycat_points_of(METRICS, prefix="held_out/")
    assert (held_out.accuracy, held_out.changed_accuracy) == (0.4, 0.05)


@pytest.mark.parametrize("losses, median", [([5.0], 5.0), ([1.0, 9.0, 2.0], 2.0), ([100.0] * 15 + [1.0] * 12, 1.0)])
def test_the_value_now_is_the_median_of_the_last_lines(losses, median):
    lines = [{"step": step, "loss": loss} for step, loss in enumerate(losses)]
    assert recent_median(lines, "loss") == median
    assert recent_median(lines, "mfu") is None
