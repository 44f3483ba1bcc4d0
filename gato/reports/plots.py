"""Figures of scores, losses and the copycat check; each function takes data and a theme."""

import itertools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gato.evaluation.scores import ScoreRecord, labels_of
from gato.reports.curves import CopycatPoint, Curve
from gato.reports.format import minus
from gato.reports.style import (
    HELD_OUT_DASHES,
    LABEL_SIZE,
    LIGHT,
    REFERENCE_DASHES,
    SMALL_SIZE,
    Theme,
    legend_above,
    name_rows,
    new_axes,
    text_above,
    text_beside,
)

_SHOWN_SCORES = (-0.5, 1.5)  # a bar beyond is cut there; its label still tells the value


def score_bars(records: Sequence[ScoreRecord], theme: Theme = LIGHT) -> Figure:
    """Draws one bar per record: normalised score and its 95 % interval between the lines of random and expert."""
    scored = [record for record in records if record.normalized is not None]
    if not scored:
        raise ValueError("no record has a normalised score: nothing to draw")
    values, lows, highs = np.array([(r.normalized, r.ci_low, r.ci_high) for r in scored], dtype=float).T
    left = min(-0.06, float(np.clip(lows.min(), *_SHOWN_SCORES)) - 0.04)
    right = max(1.06, float(np.clip(highs.max(), *_SHOWN_SCORES)) + 0.04)
    figure, axes = new_axes(theme, 9, 0.9 + 0.36 * len(scored))
    rows = name_rows(axes, labels_of(scored), theme, margin=0.55)
    axes.barh(rows, np.clip(values, left, right), height=0.62, color=theme.primary, alpha=0.85, zorder=2)
    axes.hlines(
        rows, np.clip(lows, left, right), np.clip(highs, left, right), color=theme.text, linewidth=1.4, zorder=3
    )
    for reference, name in ((0, "random"), (1, "expert")):
        axes.axvline(
            reference, color=theme.muted, linewidth=1, linestyle=REFERENCE_DASHES if reference else "-", zorder=1
        )
        text_above(axes, reference, name, theme)
    for row, value in enumerate(values):
        text_beside(axes, row, minus(f"{value:.2f}"), theme.text)
    axes.set_xlim(left, right)
    axes.set_xlabel("normalised score, 95% interval", fontsize=SMALL_SIZE)
    return figure


def loss_curves(curves: Sequence[Curve], theme: Theme = LIGHT) -> Figure:
    """Draws the loss against the training step, one colour per label; names stand at the ends of their lines."""
    if not curves:
        raise ValueError("no curve to draw")
    names = dict.fromkeys(curve.label for curve in curves)
    color_of = dict(zip(names, itertools.cycle(theme.series), strict=False))
    figure, axes = new_axes(theme, 9, 3.6, grid="y")
    for curve in curves:
        axes.plot(
            curve.steps,
            curve.values,
            color=color_of[curve.label],
            linewidth=1.8,
            linestyle=HELD_OUT_DASHES if curve.held_out else "-",
        )
    all_values = np.concatenate([np.asarray(curve.values, dtype=float) for curve in curves])
    axes.set_ylim(0, float(np.nanpercentile(all_values, 99)) * 1.08)
    axes.set_xlim(0, max(float(curve.steps[-1]) for curve in curves))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("training step", fontsize=SMALL_SIZE)
    axes.set_ylabel("loss, nats per token", fontsize=SMALL_SIZE)
    _name_line_ends(axes, [curve for curve in curves if not curve.held_out] or curves, color_of)
    if any(curve.held_out for curve in curves):
        handles = [
            Line2D([], [], color=theme.muted, linewidth=1.8, label="training"),
            Line2D([], [], color=theme.muted, linewidth=1.8, linestyle=HELD_OUT_DASHES, label="held out"),
        ]
        axes.legend(handles=handles, frameon=False, fontsize=SMALL_SIZE, labelcolor=theme.muted, loc="upper right")
    return figure


def _name_line_ends(axes: Axes, curves: Sequence[Curve], color_of: dict[str, str]) -> None:
    """Writes each name right of its line's last point, pushed apart where they would overlap."""
    span = axes.get_ylim()[1]
    height = -np.inf
    for value, name in sorted((min(float(curve.values[-1]), span), curve.label) for curve in curves):
        height = max(value, height + 0.07 * span)
        text_beside(axes, height, name, color_of[name])


def copycat_plot(points: Sequence[CopycatPoint], theme: Theme = LIGHT) -> Figure:
    """Draws two dots per task: accuracy on all actions, and where the action changes; a long line shows a copycat."""
    if not points:
        raise ValueError("no task to draw")
    figure, axes = new_axes(theme, 9, 1.1 + 0.34 * len(points), grid="x")
    rows = name_rows(axes, [point.task for point in points], theme)
    overall = [point.accuracy for point in points]
    changed = [point.changed_accuracy for point in points]
    axes.hlines(rows, changed, overall, color=theme.neutral, linewidth=2, zorder=2)
    axes.scatter(overall, rows, s=52, color=theme.primary, zorder=3, label="all actions")
    axes.scatter(changed, rows, s=52, color=theme.secondary, marker="D", zorder=3, label="actions that change")
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("share of action tokens predicted", fontsize=SMALL_SIZE)
    legend_above(axes, theme, columns=2, size=LABEL_SIZE, handletextpad=0.3)
    return figure
