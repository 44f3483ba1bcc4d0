"""The figure of a prompt ablation in a room of cells: same start, another demonstration, another way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from gato.evaluation.evaluate import PromptAblation
from gato.evaluation.scores import Prompt, Variants
from gato.evaluation.statistics import Interval, wilson_interval
from gato.reports.style import (
    LABEL_SIZE,
    LIGHT,
    SMALL_SIZE,
    TITLE_SIZE,
    Theme,
    legend_above,
    new_figure,
    plain_axes,
    plain_legend,
    text_beside,
)

Cell = tuple[int, int]  # row, column

_TITLES: Mapping[Prompt, str] = {
    "right": "right demonstration",
    "wrong": "wrong demonstration",
    "none": "no demonstration",
}
_CLEAR_DISTANCE = 4  # cells between start, goal and shown cell in the episode that serves as the example


@dataclass(frozen=True, kw_only=True)
class RoomTrial:
    """One episode of the study, in cells."""

    prompt: Prompt
    variants: Variants
    goal: Cell  # scored
    shown: Cell | None  # where the demonstration ended
    path: np.ndarray  # (T + 1, 2) int, row and column

    @property
    def end(self) -> Cell:
        row, column = self.path[-1]
        return int(row), int(column)


def room_trials(study: PromptAblation, size: int) -> list[RoomTrial]:
    """Reads the trials of an environment that shows the agent its own cell.

    Args:
        study: its reset options hold `goal`, numbered row * size + column, and its observations are (row, column).
    """
    return [
        RoomTrial(
            prompt=spec.prompt,
            variants=spec.variants,
            goal=divmod(study.variants[spec.variant]["goal"], size),
            shown=None if spec.shown is None else divmod(study.variants[spec.shown.variant]["goal"], size),
            path=rollout.episode.observations,
        )
        for spec, rollout in study.episodes
    ]


def room_figure(trials: Sequence[RoomTrial], size: int, theme: Theme = LIGHT) -> Figure:
    """Draws one example and all final cells for each prompt, beside the shares that reached the goal.

    The example is the first episode whose start, goal and shown cell lie well apart, held-out goals first; how it
    ended plays no part in the choice.
    """
    example = _example(trials)
    figure = new_figure(theme, 10, 5.4)
    rooms, bars = np.asarray(figure.subfigures(1, 2, width_ratios=(6.6, 3.4)))
    axes = rooms.subplots(2, 3)
    for column, prompt in enumerate(get_args(Prompt)):
        _draw_room(axes[0, column], example[prompt], size, theme)
        axes[0, column].set_title(_TITLES[prompt], color=theme.text, fontsize=TITLE_SIZE)
        _draw_ends(axes[1, column], [trial for trial in trials if trial.prompt == prompt], size, theme)
    axes[0, 0].set_ylabel("one episode", color=theme.muted, fontsize=LABEL_SIZE)
    axes[1, 0].set_ylabel("all episodes: last cell,\nseen from the goal", color=theme.muted, fontsize=LABEL_SIZE)
    signs = {
        "the agent's way": Line2D([], [], color=theme.primary, linewidth=2.2, marker="o", markersize=7),
        "goal (invisible)": Line2D([], [], color=theme.secondary, linestyle="none", marker="*", markersize=13),
        "where the demonstration ended": Line2D(
            [], [], color=theme.text, linestyle="none", marker="D", markersize=8, fillstyle="none"
        ),
    }
    plain_legend(rooms, theme, "outside lower center", ncols=3, handles=signs.values(), labels=signs.keys())
    _draw_shares(bars.subplots(), trials, theme)
    return figure


def _example(trials: Sequence[RoomTrial]) -> dict[Prompt, RoomTrial]:
    """Picks the same episode under each prompt."""
    groups = sorted({trial.variants for trial in trials}, key=lambda group: group != "held-out")
    for distance in (_CLEAR_DISTANCE, 0):
        for group in groups:
            by_prompt = [
                [trial for trial in trials if trial.variants == group and trial.prompt == prompt]
                for prompt in get_args(Prompt)
            ]
            for episode in zip(*by_prompt, strict=True):
                _, wrong, _ = episode
                start = (int(wrong.path[0, 0]), int(wrong.path[0, 1]))
                assert wrong.shown is not None
                cells = (start, wrong.goal, wrong.shown)
                if min(_moves(cells[i], cells[j]) for i, j in ((0, 1), (0, 2), (1, 2))) >= distance:
                    return {trial.prompt: trial for trial in episode}
    raise ValueError("the study has no trials: nothing to draw")


def _moves(first: Cell, second: Cell) -> int:
    return abs(first[0] - second[0]) + abs(first[1] - second[1])


def _draw_room(axes: Axes, trial: RoomTrial, size: int, theme: Theme) -> None:
    _square(axes, theme)
    for row in range(size):
        for column in range(size):
            corner = (column - 0.46, row - 0.46)
            axes.add_patch(Rectangle(corner, 0.92, 0.92, facecolor=theme.surface, edgecolor="none"))
    marks = axes.plot(*trial.goal[::-1], marker="*", markersize=22, color=theme.secondary, linestyle="none", zorder=2)
    if trial.shown is not None:
        marks += axes.plot(*trial.shown[::-1], marker="D", markersize=20, color=theme.text, zorder=3)
        marks[-1].set(fillstyle="none", markeredgewidth=1.5)
    for mark in marks:
        mark.set_clip_on(False)
    path = trial.path.astype(float)[:, ::-1]  # x and y
    axes.plot(*path.T, color=theme.primary, linewidth=2.4, zorder=4, solid_joinstyle="round")
    axes.plot(*path[0], marker="o", markersize=6, color=theme.page, markeredgecolor=theme.primary, zorder=5)
    axes.plot(*path[-1], marker="o", markersize=7, color=theme.primary, zorder=5)
    axes.set_xlim(-0.55, size - 0.45)
    axes.set_ylim(size - 0.45, -0.55)


def _draw_ends(axes: Axes, trials: Sequence[RoomTrial], size: int, theme: Theme) -> None:
    """Draws the share of episodes by last cell minus goal: a dot in the middle where the goal is found."""
    _square(axes, theme)
    shares = np.zeros((2 * size - 1, 2 * size - 1))
    for trial in trials:
        shares[trial.end[0] - trial.goal[0] + size - 1, trial.end[1] - trial.goal[1] + size - 1] += 1 / len(trials)
    # The square root lets rare cells show beside a full one.
    axes.pcolormesh(
        np.arange(-size + 0.5, size),
        np.arange(-size + 0.5, size),
        np.sqrt(shares),
        vmin=0,
        vmax=1,
        cmap=LinearSegmentedColormap.from_list("density", theme.density),
        edgecolors=theme.page,
        linewidth=0.4,
    )
    axes.add_patch(Rectangle((-0.5, -0.5), 1, 1, facecolor="none", edgecolor=theme.secondary, linewidth=2))
    axes.invert_yaxis()
    centre = shares[size - 1, size - 1]
    axes.set_xlabel(f"{centre:.0%} end at the goal", color=theme.text, fontsize=LABEL_SIZE)


def _square(axes: Axes, theme: Theme) -> None:
    plain_axes(axes, theme)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])


def _draw_shares(axes: Axes, trials: Sequence[RoomTrial], theme: Theme) -> None:
    """Draws the measured shares with Wilson intervals; trained and held-out goals side by side."""
    plain_axes(axes, theme)
    axes.axvline(0, color=theme.muted, linewidth=1)
    groups = [group for group in get_args(Variants) if any(trial.variants == group for trial in trials)]
    measures: list[tuple[str, Prompt, bool]] = [
        ("right demonstration:\nends at the goal", "right", False),
        ("wrong demonstration:\nends at the goal", "wrong", False),
        ("wrong demonstration:\nends where it was shown", "wrong", True),
        ("no demonstration:\nends at the goal", "none", False),
    ]
    colors = dict(zip(groups, (theme.neutral, theme.primary) if len(groups) > 1 else (theme.primary,), strict=False))
    height = 0.5 / len(groups)
    for row, (label, prompt, to_shown) in enumerate(measures):
        axes.text(0.015, row - 0.32, label, color=theme.text, fontsize=LABEL_SIZE, va="bottom")
        for index, group in enumerate(groups):
            share = _share([t for t in trials if t.prompt == prompt and t.variants == group], to_shown)
            middle = row - 0.24 + height * (index + 0.5)
            axes.barh(middle, share.value, height=height * 0.86, color=colors[group], zorder=2)
            axes.hlines(middle, share.low, share.high, color=theme.text, linewidth=1.2, zorder=3)
            text_beside(axes, middle, f"{share.value:.2f}", theme.text, x=1.03)
    axes.set_yticks([])
    axes.set_xlim(0, 1)
    axes.set_ylim(len(measures) - 0.55, -0.85)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_xlabel("share of episodes, 95% interval", fontsize=SMALL_SIZE)
    handles = [Rectangle((0, 0), 1, 1, facecolor=colors[group], label=f"{group} goals") for group in groups]
    legend_above(axes, theme, columns=3, handles=handles, handlelength=1, handleheight=1)


def _share(trials: Sequence[RoomTrial], to_shown: bool) -> Interval:
    hits = sum(trial.end == (trial.shown if to_shown else trial.goal) for trial in trials)
    return wilson_interval(hits, len(trials))
