"""Figure lines, with which the parts of `make bench` end: `name ratio low high`.

A ratio is that of neighbouring turns: what the other side took over what ours took, so above 1 where ours needs less.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Self


@dataclass(frozen=True)
class Figure:
    """A ratio, with the lowest and the highest of all turns."""

    name: str  # parts joined by slashes
    ratio: float
    low: float
    high: float

    @classmethod
    def from_ratios(cls, name: str, ratios: Sequence[float]) -> Self:
        """The median of the turns and their ends."""
        return cls(name, median(ratios), min(ratios), max(ratios))

    @property
    def line(self) -> str:
        """Four words."""
        return f"{self.name.replace(' ', '-')} {self.ratio:.3f} {self.low:.3f} {self.high:.3f}"


def report(figures: Sequence[Figure], path: Path | None) -> None:
    """Prints the lines, and appends them to the file if one is given."""
    lines = "".join(f"{figure.line}\n" for figure in figures)
    print(f"\n{lines}", end="", flush=True)
    if path is not None:
        with path.open("a") as file:
            file.write(lines)
