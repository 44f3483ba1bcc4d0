"""Figures of how scores spread: the performance profile, and how many tasks reach a share of the expert's score.

Sources: Agarwal et al., 2021, section 4.2 (the profile and its band); Gato (Reed et al., 2022), figure 5 (the count).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from gato.evaluation.scores import EXPERT_SHARES, ScoreRecord, by_family, strata_of
from gato.evaluation.statistics import performance_profile, share_above, stratified_intervals
from gato.reports.style import LABEL_SIZE, LIGHT, REFERENCE_DASHES, SMALL_SIZE, Theme, new_axes, plain_legend

_THRESHOLDS = np.linspace(0, 1.2, 121)  # from random to somewhat above the expert
_MOST_FAMILIES = 6  # as many as there are colours; the smaller ones share the last


def profile_plot(runs: Mapping[str, Sequence[ScoreRecord]], theme: Theme = LIGHT) -> Figure:
    """Draws the share of episodes that score more than a threshold, with its point-wise 95 % band.

    Args:
        runs: records by name of what was measured, at most one per task; one or two names read well.
    """
    strata = {name: strata_of(records) for name, records in runs.items()}
    if not any(strata.values()):
        raise ValueError("no record has a normalised score: nothing to draw")
    figure, axes = new_axes(theme, 9, 3.6, grid="y")
    colors = (theme.secondary, theme.primary) if len(runs) == 2 else theme.series
    for (name, scores), color in zip(strata.items(), colors, strict=False):
        band = stratified_intervals(scores, performance_profile(_THRESHOLDS.tolist()), seed=0)
        axes.fill_between(
            _THRESHOLDS, [at.low for at in band], [at.high for at in band], color=color, alpha=0.25, linewidth=0
        )
        axes.plot(_THRESHOLDS, [at.value for at in band], color=color, linewidth=1.8, label=name)
    _reference_ticks(axes, theme)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("normalised score, 95% band", fontsize=SMALL_SIZE)
    axes.set_ylabel("episodes that score more", fontsize=SMALL_SIZE)
    if len(runs) > 1:
        plain_legend(axes, theme, "lower left", size=LABEL_SIZE)
    return figure


def tasks_above_plot(records: Sequence[ScoreRecord], theme: Theme = LIGHT) -> Figure:
    """Draws how many tasks have a mean score at or above a share of the expert's, stacked by family.

    Args:
        records: at most one per task.
    """
    strata = strata_of(records)
    if not strata:
        raise ValueError("no record has a normalised score: nothing to draw")
    scored = [record for record in records if record.normalized is not None]
    parts = _largest(by_family(scored))
    figure, axes = new_axes(theme, 9, 4, grid="y")
    counts = [_number_above(part, _THRESHOLDS) for part in parts.values()]
    axes.stackplot(
        _THRESHOLDS, counts, labels=list(parts), colors=theme.series[: len(parts)], alpha=0.85, step="pre", linewidth=0
    )
    marked = [0.0, *EXPERT_SHARES]
    for threshold, number in zip(marked, _number_above(scored, np.array(marked)), strict=True):
        axes.plot([threshold] * 2, [0, number], color=theme.text, linewidth=0.8, linestyle=(0, (2, 2)))
        axes.annotate(
            f"{number:.0f}",
            (threshold, number),
            (3, 3),
            textcoords="offset points",
            color=theme.text,
            fontsize=LABEL_SIZE,
        )
    _reference_ticks(axes, theme)
    axes.set_ylim(0, len(scored) * 1.08)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.set_xlabel("share of the expert's score", fontsize=SMALL_SIZE)
    axes.set_ylabel(f"tasks at or above it, of {len(scored)}", fontsize=SMALL_SIZE)
    if len(parts) > 1:
        handles, labels = axes.get_legend_handles_labels()
        as_they_lie = {"handles": handles[::-1], "labels": labels[::-1]}  # top first
        plain_legend(axes, theme, "upper left", size=LABEL_SIZE, bbox_to_anchor=(1, 1), **as_they_lie)
    return figure


def _number_above(records: Sequence[ScoreRecord], thresholds: np.ndarray) -> np.ndarray:
    strata = strata_of(records)
    shares = share_above(thresholds.tolist())(strata, [np.ones(len(values)) for values in strata])
    return np.round(shares * len(strata))


def _largest(families: Mapping[str, list[ScoreRecord]]) -> dict[str, list[ScoreRecord]]:
    """Sorts families by number of tasks, largest first; where they are too many, the smallest become "others"."""
    ordered = sorted(families, key=lambda name: -len(families[name]))
    if len(ordered) <= _MOST_FAMILIES:
        return {name: families[name] for name in ordered}
    kept = {name: families[name] for name in ordered[: _MOST_FAMILIES - 1]}
    return {**kept, "others": [record for name in ordered[_MOST_FAMILIES - 1 :] for record in families[name]]}


def _reference_ticks(axes: Axes, theme: Theme) -> None:
    axes.set_xlim(_THRESHOLDS[0], _THRESHOLDS[-1])
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2], ["random", "20%", "40%", "60%", "80%", "expert", "120%"])
    axes.axvline(1, color=theme.muted, linewidth=1, linestyle=REFERENCE_DASHES)
