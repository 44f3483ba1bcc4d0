"""The figure of few-shot fine-tuning: score against the number of episodes, from a checkpoint and from scratch.

After figure 9 of Gato (Reed et al., 2022).
"""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from gato.evaluation.few_shot import FewShotResults, Start, curve, starting_score
from gato.reports.style import (
    LABEL_SIZE,
    LIGHT,
    REFERENCE_DASHES,
    SMALL_SIZE,
    Theme,
    legend_above,
    new_axes,
    text_beside,
)

_NAMES: dict[Start, str] = {"checkpoint": "fine-tuned", "scratch": "from scratch"}


def few_shot_plot(results: FewShotResults, theme: Theme = LIGHT) -> Figure:
    """Draws the mean over the cascades as a line, each as a dot, their range as a band; the axis is logarithmic.

    Raises:
        ValueError: there are no runs.
    """
    points = curve(results)
    if not points:
        raise ValueError("no run of a subset is finished: nothing to draw")
    figure, axes = new_axes(theme, 7, 4, grid="y")
    looks: dict[Start, tuple[str, str]] = {"checkpoint": (theme.primary, "o"), "scratch": (theme.secondary, "D")}
    for start, (color, marker) in looks.items():
        line = [point for point in points if point.start == start]
        if not line:
            continue
        numbers = [point.episodes for point in line]
        lows, highs = [min(point.scores) for point in line], [max(point.scores) for point in line]
        axes.fill_between(numbers, lows, highs, color=color, alpha=0.15, linewidth=0)
        axes.plot(numbers, [point.mean for point in line], color=color, linewidth=1.8, label=_NAMES[start])
        dots = np.array([(point.episodes, score) for point in line for score in point.scores])
        axes.scatter(dots[:, 0], dots[:, 1], s=26, color=color, marker=marker, zorder=3, linewidth=0)
    if (before := starting_score(results)) is not None:
        axes.axhline(before, color=theme.primary, linewidth=1.2, linestyle=REFERENCE_DASHES, label="before fine-tuning")
    if results.score_name == "normalised score":
        for reference, name in ((0, "random"), (1, "expert")):
            axes.axhline(reference, color=theme.muted, linewidth=0.8, zorder=1)
            text_beside(axes, reference, name, theme.muted, size=SMALL_SIZE)
    axes.set_xscale("log")
    sizes = sorted({point.episodes for point in points})
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(sizes[0] / 1.3, sizes[-1] * 1.3)
    axes.set_xlabel(f"episodes of {results.task}", fontsize=LABEL_SIZE)
    axes.set_ylabel(f"best smoothed {results.score_name}", fontsize=LABEL_SIZE)
    legend_above(axes, theme, columns=3)
    return figure
