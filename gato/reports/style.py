"""One look for plots and pages: two themes, colour-blind-safe colours, figures without pyplot's global state.

Data colours are Okabe and Ito's (2008), which stay apart under the common colour vision deficiencies.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.layout_engine import ConstrainedLayoutEngine

BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"

REFERENCE_DASHES, HELD_OUT_DASHES = (0, (4, 3)), (0, (3, 2))  # of matplotlib's line styles

TITLE_SIZE, LABEL_SIZE, SMALL_SIZE = 12, 10, 9  # points, on figures about nine inches wide


@dataclass(frozen=True, kw_only=True)
class Theme:
    """The colours of a page and of the figures on it."""

    page: str
    surface: str  # of tiles and code
    text: str
    muted: str  # of secondary text and axes
    line: str  # of rules and grids
    primary: str  # of the main series
    secondary: str  # of what it is compared with
    neutral: str  # of series without a claim
    density: tuple[str, str]  # empty and full

    @property
    def series(self) -> tuple[str, ...]:
        """Returns colours that stay apart, for what is drawn side by side."""
        return self.primary, self.secondary, GREEN, PURPLE, VERMILLION, self.neutral


LIGHT = Theme(
    page="#ffffff",
    surface="#f5f6f8",
    text="#1c2128",
    muted="#5b6470",
    line="#dfe3e8",
    primary=BLUE,
    secondary="#D98A00",
    neutral="#98a1ac",
    density=("#f1f4f8", BLUE),
)
DARK = Theme(
    page="#14171c",
    surface="#1d2229",
    text="#e6e9ee",
    muted="#a0a9b5",
    line="#333a44",
    primary=SKY,
    secondary=ORANGE,
    neutral="#7b8593",
    density=("#1d2229", SKY),
)


def svg(figure: Figure) -> str:
    """Returns the figure as SVG, whose bytes depend on the data only."""
    with matplotlib.rc_context({"svg.hashsalt": "gato"}), io.StringIO() as buffer:
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
        return buffer.getvalue()


def save_figure(path: Path, figure: Figure) -> None:
    """Writes a figure as a file of its own, in the format of the path's suffix (.png, .svg, .pdf)."""
    figure.savefig(path, dpi=200)


def new_figure(theme: Theme, width: float, height: float) -> Figure:
    """Makes an empty figure of a size in inches, in the colours of the theme."""
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)
    return Figure(figsize=(width, height), facecolor=theme.page, layout=layout)


def plain_axes(axes: Axes, theme: Theme, *, grid: Literal["x", "y"] | None = None) -> None:
    """Removes from the axes what carries no information; `grid` names the axis whose grid lines are drawn."""
    axes.set_facecolor(theme.page)
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=theme.muted, labelsize=SMALL_SIZE, length=0)
    axes.xaxis.label.set_color(theme.muted)
    axes.yaxis.label.set_color(theme.muted)
    if grid is not None:
        axes.grid(axis=grid, color=theme.line, linewidth=0.8)
        axes.set_axisbelow(True)


def new_axes(
    theme: Theme, width: float, height: float, *, grid: Literal["x", "y"] | None = None
) -> tuple[Figure, Axes]:
    """Makes a figure with one plot: `new_figure` and `plain_axes`."""
    figure = new_figure(theme, width, height)
    axes = figure.subplots()
    plain_axes(axes, theme, grid=grid)
    return figure, axes


def name_rows(
    axes: Axes, names: Sequence[str], theme: Theme, *, size: float = LABEL_SIZE, margin: float = 0.6
) -> np.ndarray:
    """Names horizontal rows from the top down, and returns their places; `margin` is what the outer ones take."""
    rows = np.arange(len(names))
    axes.set_yticks(rows, names, color=theme.text, fontsize=size)
    axes.set_ylim(len(names) - 1 + margin, -margin)
    return rows


def legend_above(axes: Axes, theme: Theme, *, columns: int, size: float = SMALL_SIZE, **options: Any) -> None:
    """Places a legend without a frame on top of the axes, from their left end.

    Args:
        size: of its text, points.
        options: further ones of `Axes.legend`, whose types are its own.
    """
    plain_legend(
        axes, theme, "lower left", size=size, bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0.2, **options
    )


def plain_legend(place: Axes | FigureBase, theme: Theme, loc: str, *, size: float = SMALL_SIZE, **options: Any) -> None:
    """Places a legend without a frame; `options` are further ones of `legend`, whose types are its own."""
    place.legend(loc=loc, frameon=False, fontsize=size, labelcolor=theme.text, **options)


def text_beside(
    axes: Axes, y: float, text: str, color: str, *, x: float = 1.01, size: float = LABEL_SIZE, weight: str = "normal"
) -> None:
    """Writes a text right of the axes, at a height in data units and at x in widths of the axes."""
    place = axes.get_yaxis_transform()
    axes.text(x, y, text, transform=place, va="center", color=color, fontsize=size, fontweight=weight)


def text_above(axes: Axes, x: float, text: str, theme: Theme) -> None:
    """Writes the name of a vertical reference line on top of the axes, at a place in data units."""
    place = axes.get_xaxis_transform()
    axes.text(x, 1.0, text, transform=place, ha="center", va="bottom", color=theme.muted, fontsize=SMALL_SIZE)
