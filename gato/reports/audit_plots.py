"""Figures of a data audit; each function takes data and a theme."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from gato.audit.actions import ActionAudit
from gato.audit.example import RowExample
from gato.audit.fields import FieldAudit
from gato.audit.mixture import References
from gato.audit.rows import TOKEN_KINDS
from gato.reports.format import minus
from gato.reports.style import (
    BLUE,
    GREEN,
    LIGHT,
    ORANGE,
    PURPLE,
    REFERENCE_DASHES,
    SKY,
    SMALL_SIZE,
    VERMILLION,
    Theme,
    legend_above,
    name_rows,
    new_axes,
    new_figure,
    plain_axes,
    text_above,
)

# What may share a token never stands beside the same in tokens of its own, so those colours may be near.
_OBSERVATIONS, _ACTIONS = (SKY, BLUE, "#4C78C8"), (ORANGE, VERMILLION, "#C4483A", GREEN)
KIND_COLORS = dict(zip(TOKEN_KINDS, (PURPLE, "#8C6D31", *_OBSERVATIONS, "#98a1ac", *_ACTIONS), strict=True))
_ROW_COLUMNS = 64  # tokens per line of a drawn row
_ROW_LINES = 10
CELL = (28, 20)  # height and width of a token of a drawn row, pixels
MAX_DRAWN = _ROW_COLUMNS * _ROW_LINES  # tokens of a row that are drawn


def share_bars(shares: Mapping[str, Mapping[str, float]], label: str, theme: Theme = LIGHT) -> Figure:
    """Draws one bar per source, divided by kind.

    Args:
        shares: by source and kind, in any unit that adds up.
        label: of the axis.
        theme: colours.
    """
    figure, axes = new_axes(theme, 9, 1.2 + 0.34 * len(shares), grid="x")
    rows = name_rows(axes, list(shares), theme, margin=0.55)
    used = [kind for kind in TOKEN_KINDS if any(kind in parts for parts in shares.values())]
    for row, parts in zip(rows, shares.values(), strict=True):
        left = 0.0
        for kind in used:
            axes.barh(row, parts.get(kind, 0.0), left=left, height=0.62, color=KIND_COLORS[kind])
            left += parts.get(kind, 0.0)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))  # as many decimals as the ticks need
    axes.set_xlabel(label, fontsize=SMALL_SIZE)
    _legend(axes, used, theme)
    return figure


def episode_histograms(
    returns: Sequence[float], lengths: Sequence[int], references: References | None, theme: Theme = LIGHT
) -> Figure:
    """Draws returns, beside those of random and expert if they are known, and lengths of episodes."""
    figure = new_figure(theme, 9, 2.5)
    left, right = figure.subplots(1, 2)
    known = {} if references is None else dataclasses.asdict(references)
    marks = {name: value for name, value in known.items() if value is not None}
    for axes, values, title in ((left, returns, "return"), (right, lengths, "timesteps")):
        plain_axes(axes, theme, grid="y")
        shown = [*values, *marks.values()] if axes is left else [*values]
        low, high = float(min(shown)), float(max(shown))
        pad = 0.02 * (high - low) or 15.5
        axes.hist(values, bins=np.linspace(low - pad, high + pad, 32).tolist(), color=theme.primary)
        axes.set_xlabel(f"{title} of an episode", fontsize=SMALL_SIZE)
        axes.set_ylabel("episodes", fontsize=SMALL_SIZE)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    for name, value in marks.items():
        left.axvline(value, color=theme.secondary, linewidth=1.4, linestyle=REFERENCE_DASHES)
        text_above(left, value, name, theme)
    return figure


def length_histogram(lengths: Sequence[int], context_length: int, theme: Theme = LIGHT) -> Figure:
    """Draws the tokens of the records of a text or image source, and where a row ends."""
    figure, axes = new_axes(theme, 9, 2.3, grid="y")
    high = float(max(*lengths, 1))
    axes.hist(lengths, bins=np.linspace(0, high, 41).tolist(), color=theme.primary)
    if context_length <= 1.2 * high:
        axes.axvline(context_length, color=theme.secondary, linewidth=1.4, linestyle=REFERENCE_DASHES)
    axes.set_xlabel(f"tokens of a record (a row takes {context_length})", fontsize=SMALL_SIZE)
    axes.set_ylabel("records", fontsize=SMALL_SIZE)
    return figure


def field_bars(fields: Sequence[FieldAudit], theme: Theme = LIGHT) -> Figure:
    """Draws the effective bins of each field now and after scaling, on a logarithmic axis."""
    figure, axes = new_axes(theme, 9, 1.2 + 0.27 * len(fields), grid="x")
    rows = name_rows(axes, [field.name for field in fields], theme, size=SMALL_SIZE)
    now = [field.effective_bins for field in fields]
    axes.barh(rows, now, height=0.55, color=theme.primary, label="now")
    quantiles = [field.effective_bins_quantiles for field in fields]
    axes.scatter(quantiles, rows, s=34, color=theme.secondary, zorder=3, label="quantiles to [−1, 1]")
    by_range = [field.effective_bins_range for field in fields]
    axes.scatter(by_range, rows, s=34, color=GREEN, marker="D", zorder=3, label="range to [−1, 1]")
    axes.set_xscale("log")
    axes.set_xlim(0.9, 1100)
    axes.set_xticks([1, 3, 10, 32, 100, 320, 1000], ["1", "3", "10", "32", "100", "320", "1000"])
    axes.minorticks_off()
    axes.set_xlabel("effective bins", fontsize=SMALL_SIZE)
    legend_above(axes, theme, columns=3)
    return figure


def action_bars(action: ActionAudit, theme: Theme = LIGHT) -> Figure:
    """Draws, left, how often each action is taken; right, what predicts it."""
    figure = new_figure(theme, 9, 2.6)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    plain_axes(left, theme, grid="y")
    places = np.arange(len(action.counts))
    left.bar(places, [count for _, count in action.counts], color=theme.primary, width=0.8)
    step = max(1, len(places) // 10)
    left.set_xticks(places[::step], [name for name, _ in action.counts][::step], fontsize=SMALL_SIZE)
    if max(len(name) for name, _ in action.counts) > 3:
        left.tick_params(axis="x", rotation=30)
    left.set_ylabel("timesteps" if action.kind != "continuous" else "values", fontsize=SMALL_SIZE)
    left.set_xlabel("share of the range" if action.kind == "continuous" else "action", fontsize=SMALL_SIZE)
    plain_axes(right, theme, grid="x")
    scores = {
        "constant action": action.constant_score,
        "repeat the last one": action.repeat_score,
        "similar observations": action.neighbour_score,
        "… where it changes": action.neighbour_changed_score,
    }
    known = {name: value for name, value in scores.items() if value is not None}
    rows = name_rows(right, list(known), theme, size=SMALL_SIZE)
    values = np.array(list(known.values()))
    right.barh(rows, np.clip(values, -0.25, 1), height=0.6, color=theme.primary)
    for row, value in zip(rows, values, strict=True):
        shown = minus(f"{value:.2f}")
        right.text(max(min(value, 1), 0) + 0.03, row, shown, va="center", color=theme.text, fontsize=SMALL_SIZE)
    right.set_xlim(min(0, max(float(values.min()), -0.25)), 1.2)
    measure = "variance explained" if action.kind == "continuous" else "share predicted exactly"
    right.set_xlabel(measure, fontsize=SMALL_SIZE)
    return figure


def count_bars(counts: Sequence[tuple[str, int]], label: str, theme: Theme = LIGHT) -> Figure:
    """Draws the frequencies of a few texts."""
    figure, axes = new_axes(theme, 9, 0.9 + 0.27 * len(counts), grid="x")
    names = [name if len(name) <= 60 else f"{name[:59]}…" for name, _ in counts]
    # A dollar sign would start a formula.
    rows = name_rows(axes, [name.replace("$", r"\$") for name in names], theme, size=SMALL_SIZE)
    axes.barh(rows, [count for _, count in counts], height=0.62, color=theme.primary)
    axes.set_xlabel(label, fontsize=SMALL_SIZE)
    return figure


def row_figure(example: RowExample, theme: Theme = LIGHT) -> Figure:
    """Draws a row token by token, in reading order: coloured by kind, underlined where it carries loss.

    Where actions are one token, the tokens that predict what carries loss are underlined. Patches are shown as images;
    a thin line starts each timestep.
    """
    shown = min(len(example.kinds), MAX_DRAWN)
    lines = -(-shown // _ROW_COLUMNS)
    figure, axes = new_axes(theme, 9, 0.75 + 0.24 * lines)
    # One image instead of one artist per token keeps the page small.
    axes.imshow(row_pixels(example, theme), extent=(0, _ROW_COLUMNS, lines, 0), aspect="auto", interpolation="nearest")
    axes.set_xlim(0, _ROW_COLUMNS)
    axes.set_ylim(lines, 0)
    axes.set_xticks([])
    axes.set_yticks(np.arange(lines) + 0.4, [str(line * _ROW_COLUMNS) for line in range(lines)])
    used = [kind for index, kind in enumerate(TOKEN_KINDS) if (example.kinds[:shown] == index).any()]
    told = "underlined: carries loss" + ", or predicts an action that does" * bool(example.action_mask.any())
    _legend(axes, used, theme, loss=told)
    return figure


def row_pixels(example: RowExample, theme: Theme) -> np.ndarray:
    """Returns (height, width, 3) uint8: the first `MAX_DRAWN` tokens as cells of `CELL` pixels, line by line."""
    shown = min(len(example.kinds), MAX_DRAWN)
    height, width = CELL
    pixels = np.full((-(-shown // _ROW_COLUMNS) * height, _ROW_COLUMNS * width, 3), _rgb(theme.page), np.uint8)
    colors = [_rgb(KIND_COLORS[kind]) for kind in TOKEN_KINDS]
    patches = dict(zip(example.patch_indices.tolist(), example.patches, strict=True))
    for i in range(shown):
        line, column = divmod(i, _ROW_COLUMNS)
        cell = pixels[line * height : (line + 1) * height, column * width : (column + 1) * width]
        body = cell[1 : height - 8, 2 : width - 2]
        if i in patches:
            patch = patches[i]
            rows, columns = (np.arange(size) * patch.shape[0] // size for size in body.shape[:2])
            body[...] = patch[rows][:, columns]
        else:
            body[...] = colors[example.kinds[i]]
        if example.loss_mask[i] or example.action_mask[i]:
            cell[height - 6 : height - 2, 2 : width - 2] = _rgb(theme.text)
        if i and example.timesteps[i] != example.timesteps[i - 1]:
            cell[:, :2] = _rgb(theme.text)  # a single column of pixels is lost where the figure is shown smaller
    return pixels


def _rgb(color: str) -> np.ndarray:
    return (np.array(to_rgb(color)) * 255).round().astype(np.uint8)


def _legend(axes: Axes, kinds: Sequence[str], theme: Theme, *, loss: str = "") -> None:
    handles = [Patch(color=KIND_COLORS[kind], label=kind) for kind in kinds]
    if loss:
        handles.append(Patch(color=theme.text, label=loss))
    legend_above(axes, theme, columns=4, handles=handles, handlelength=1, columnspacing=1.2)
