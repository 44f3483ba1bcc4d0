"""Reads curves and last values out of the lines of a training run's metrics."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

# A line of metrics holds numbers and, where one was not finite, null: hence `Any`.
Metrics: TypeAlias = Sequence[Mapping[str, Any]]

_RECENT_LINES = 20  # of metrics, whose median stands for the value now


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One line of a plot over the training steps."""

    label: str
    steps: Sequence[float]
    values: Sequence[float]
    held_out: bool = False  # drawn dashed, in the colour of the training curve of the same label


@dataclass(frozen=True, kw_only=True)
class CopycatPoint:
    """How often the next action token is predicted, on all actions and on those that differ from the one before.

    An agent that merely repeats its last action is good at the first and bad at the second.
    """

    task: str
    accuracy: float
    changed_accuracy: float


def curve_of(metrics: Metrics, name: str, label: str, *, held_out: bool = False) -> Curve | None:
    """Reads one metric over the steps; None if no line has it. Held-out metrics have names of their own."""
    key = f"held_out/{name}" if held_out else name
    points = [(line["step"], line[key]) for line in metrics if line.get(key) is not None]
    if not points:
        return None
    steps, values = zip(*points, strict=True)
    return Curve(label=label, steps=steps, values=values, held_out=held_out)


def curve_pair(metrics: Metrics, name: str, label: str) -> list[Curve]:
    """Reads one metric of training and of held-out data, as far as the lines have them."""
    pair = (curve_of(metrics, name, label, held_out=held_out) for held_out in (False, True))
    return [curve for curve in pair if curve is not None]


def loss_curves_of(metrics: Metrics) -> list[Curve]:
    """Reads training and held-out loss of text and of actions, as far as the lines have them."""
    return [*curve_pair(metrics, "loss_text", "text"), *curve_pair(metrics, "loss_action", "actions")]


def recent_median(metrics: Metrics, name: str) -> float | None:
    """Returns the median of a metric over its last lines; None if no line has it."""
    curve = curve_of(metrics, name, name)
    return None if curve is None else statistics.median_high(curve.values[-_RECENT_LINES:])


def copycat_points_of(metrics: Metrics, *, prefix: str = "") -> list[CopycatPoint]:
    """Reads the last accuracies of each source that reports both; prefix "held_out/" reads the held-out ones."""
    last = {name: value for line in metrics for name, value in line.items() if value is not None}
    start = f"{prefix}accuracy_changed/"
    return [
        CopycatPoint(task=task, accuracy=last[f"{prefix}accuracy/{task}"], changed_accuracy=value)
        for name, value in last.items()
        if name.startswith(start)
        for task in [name.removeprefix(start)]
    ]
