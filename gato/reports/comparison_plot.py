"""The figure of a comparison: for each task the scores of A and B with their intervals, largest gain first."""

import numpy as np
from matplotlib.figure import Figure

from gato.evaluation.comparison import Comparison
from gato.evaluation.scores import ScoreRecord
from gato.reports.format import signed_number
from gato.reports.style import (
    LABEL_SIZE,
    LIGHT,
    REFERENCE_DASHES,
    SMALL_SIZE,
    Theme,
    legend_above,
    name_rows,
    new_axes,
    text_beside,
)

_SHOWN_SCORES = (-0.5, 1.5)  # what lies beyond is drawn at the border; the difference still tells the value
_APART = 0.17  # rows, so that the intervals of one task do not cover each other


def comparison_plot(comparison: Comparison, theme: Theme = LIGHT) -> Figure:
    """Draws one row per task, sorted by the difference B - A, which is bold where its interval leaves out 0."""
    tasks = [task for task in comparison.tasks if task.difference is not None]
    if not tasks:
        raise ValueError("no task has a normalised score on both sides: nothing to draw")
    tasks.sort(key=lambda task: -task.difference.value if task.difference is not None else 0)
    figure, axes = new_axes(theme, 9, 1.2 + 0.4 * len(tasks))
    rows = name_rows(axes, [task.label for task in tasks], theme, margin=0.5)
    scores = {
        side: np.clip([_score_and_ends(getattr(task, side)) for task in tasks], *_SHOWN_SCORES) for side in ("a", "b")
    }
    for low, high, row in zip(scores["a"][:, 0], scores["b"][:, 0], rows, strict=True):
        axes.plot([low, high], [row - _APART, row + _APART], color=theme.line, linewidth=3, zorder=1)
    for side, name, color, offset in (
        ("a", f"A: {comparison.name_a}", theme.secondary, -_APART),
        ("b", f"B: {comparison.name_b}", theme.primary, _APART),
    ):
        values, lows, highs = scores[side].T
        axes.hlines(rows + offset, lows, highs, color=color, linewidth=1.6, zorder=2)
        axes.scatter(values, rows + offset, s=42, color=color, zorder=3, label=name)
    for row, task in zip(rows, tasks, strict=True):
        difference = task.difference
        assert difference is not None
        certain = difference.low > 0 or difference.high < 0
        color, weight = (theme.text, "bold") if certain else (theme.muted, "normal")
        text_beside(axes, row, signed_number(difference.value), color, weight=weight)
    for reference, style in ((0, "-"), (1, REFERENCE_DASHES)):
        axes.axvline(reference, color=theme.muted, linewidth=1, linestyle=style, zorder=0)
    everything = np.concatenate([scores["a"], scores["b"]])
    axes.set_xlim(min(-0.06, everything.min() - 0.04), max(1.06, everything.max() + 0.04))
    axes.set_xlabel("normalised score (0 random, 1 expert), 95% interval; on the right B − A", fontsize=SMALL_SIZE)
    legend_above(axes, theme, columns=2, size=LABEL_SIZE, handletextpad=0.3)
    return figure


def _score_and_ends(record: ScoreRecord) -> np.ndarray:
    """Returns (3,) score, lower and upper end of a record that has them."""
    return np.array([record.normalized, record.ci_low, record.ci_high], dtype=float)
