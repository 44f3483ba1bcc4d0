"""Figures of a training run over its steps, with marks where it was resumed and where steps were skipped."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, PercentFormatter

from gato.reports.curves import Curve
from gato.reports.style import (
    HELD_OUT_DASHES,
    LABEL_SIZE,
    LIGHT,
    SMALL_SIZE,
    VERMILLION,
    Theme,
    new_figure,
    plain_axes,
    plain_legend,
)

_MOST_POINTS = 400  # of a curve; a longer one is drawn as means of neighbouring points
_COLUMNS = 3  # of small plots


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One plot of a figure."""

    label: str  # of the vertical axis
    curves: tuple[Curve, ...]
    scale: str = "linear"  # or "log"
    percent: bool = False  # values are shares
    cut: bool = False  # its few highest values, as those of a loss's first steps, may lie above what is shown


@dataclass(frozen=True, kw_only=True)
class Marks:
    """Steps worth a mark."""

    resumed: tuple[int, ...] = ()  # the last step before each resumption
    skipped: tuple[int, ...] = ()  # the log steps up to which steps were newly skipped


def run_panels(panels: Sequence[Panel], marks: Marks, theme: Theme = LIGHT) -> Figure:
    """Draws plots one below another over the same steps.

    Raises:
        ValueError: there is nothing to draw.
    """
    if not any(panel.curves for panel in panels):
        raise ValueError("no curve to draw")
    figure = new_figure(theme, 9, 0.7 + 2.1 * len(panels))
    for axes, panel in zip(figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0], panels, strict=True):
        plain_axes(axes, theme, grid="y")
        _draw(axes, panel.curves, theme)
        _fit(axes, panel.curves, log=panel.scale == "log", cut=panel.cut)
        axes.set_ylabel(panel.label, fontsize=SMALL_SIZE)
        if panel.percent:
            whole = axes.get_ylim()[1] > 0.05  # percents are enough
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0 if whole else None))
        else:
            axes.yaxis.set_major_formatter("{x:,g}")
        _mark(axes, marks, theme)
        if len(panel.curves) > 1:
            plain_legend(axes, theme, "upper right", ncols=2)
    last = figure.axes[-1]
    last.set_xlim(0, max(float(curve.steps[-1]) for panel in panels for curve in panel.curves))
    last.xaxis.set_major_formatter("{x:,.0f}")
    last.set_xlabel("training step", fontsize=SMALL_SIZE)
    figure.align_ylabels()
    return figure


def source_panels(curves: Sequence[Curve], marks: Marks, theme: Theme = LIGHT) -> Figure:
    """Draws a small plot for each label: its curve, and the one of held-out data dashed.

    Raises:
        ValueError: there is nothing to draw.
    """
    if not curves:
        raise ValueError("no curve to draw")
    labels = list(dict.fromkeys(curve.label for curve in curves))
    columns = min(_COLUMNS, len(labels))
    num_rows = math.ceil(len(labels) / columns)
    figure = new_figure(theme, 9, 0.6 + 1.55 * num_rows)
    grid = figure.subplots(num_rows, columns, sharex=True, squeeze=False)
    for axes in grid.flat[len(labels) :]:
        axes.set_axis_off()
    for axes, label in zip(grid.flat, labels, strict=False):
        plain_axes(axes, theme, grid="y")
        own = [curve for curve in curves if curve.label == label]
        for curve in own:
            color, line = (theme.secondary, HELD_OUT_DASHES) if curve.held_out else (theme.primary, "-")
            axes.plot(*_thinned(curve), color=color, linestyle=line, linewidth=1.4)
        _fit(axes, own, log=False, cut=True)
        _mark(axes, marks, theme)
        axes.set_title(label, loc="left", fontsize=LABEL_SIZE, color=theme.text)
    figure.axes[0].set_xlim(0, max(float(curve.steps[-1]) for curve in curves))
    for axes in figure.axes[max(len(labels) - columns, 0) : len(labels)]:  # the lowest of each column
        axes.tick_params(labelbottom=True)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.locator_params(axis="x", nbins=4)
        axes.set_xlabel("training step", fontsize=SMALL_SIZE)
    return figure


def _draw(axes: Axes, curves: Sequence[Curve], theme: Theme) -> None:
    names = list(dict.fromkeys(curve.label for curve in curves))
    for curve in curves:
        axes.plot(
            *_thinned(curve),
            color=theme.series[names.index(curve.label) % len(theme.series)],
            linestyle=HELD_OUT_DASHES if curve.held_out else "-",
            linewidth=1.6,
            marker="o" if len(curve.steps) == 1 else None,
            label=f"{curve.label}, held out" if curve.held_out else curve.label,
        )


def _fit(axes: Axes, curves: Sequence[Curve], *, log: bool, cut: bool) -> None:
    """Shows all values, or, on a linear scale that is cut, nearly all."""
    values = np.concatenate([np.asarray(curve.values, dtype=float) for curve in curves])
    values = values[np.isfinite(values)]
    if log and (values > 0).any():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        return
    top = float(np.percentile(values, 98 if cut else 100)) if values.size else 1.0
    axes.set_ylim(min(0.0, float(values.min(initial=0.0))), 1.1 * top if top > 0 else 1.0)


def _mark(axes: Axes, marks: Marks, theme: Theme) -> None:
    for step in marks.resumed:
        axes.axvline(step, color=theme.muted, linewidth=1, linestyle=(0, (1, 2)), zorder=1)
    if marks.skipped:
        axes.plot(
            marks.skipped,
            np.full(len(marks.skipped), 0.03),
            transform=axes.get_xaxis_transform(),
            color=VERMILLION,
            marker="^",
            markersize=5,
            linestyle="",
            clip_on=False,
        )


def _thinned(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Returns steps and values of at most `_MOST_POINTS` points, each the mean of its neighbours."""
    steps, values = np.asarray(curve.steps, dtype=float), np.asarray(curve.values, dtype=float)
    if len(steps) <= _MOST_POINTS:
        return steps, values
    parts = [np.array_split(numbers, _MOST_POINTS) for numbers in (steps, values)]
    return np.array([part.mean() for part in parts[0]]), np.array([part.mean() for part in parts[1]])
