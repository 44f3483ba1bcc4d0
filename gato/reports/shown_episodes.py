"""Which episodes of an evaluation are shown, and what a page shows of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gato.evaluation.evaluate import cells_by_record
from gato.evaluation.journal import EpisodeResult, key_of
from gato.evaluation.plan import Cell


@dataclass(frozen=True, kw_only=True)
class Choice:
    """An episode that is to be shown, and why."""

    cell: Cell
    result: EpisodeResult  # as it was scored
    rank: str  # "best", "worst", or "all alike"


@dataclass(frozen=True, kw_only=True)
class ShownEpisode:
    """An episode played once more for the page."""

    choice: Choice
    replayed_return: float | None = None  # None where it could not be played again
    replayed_length: int | None = None  # steps
    video: bytes | None = None  # GIF
    content: Mapping[str, Any] | None = None  # of a `gato.reports.page.Scrubber`
    problem: str = ""  # why something is missing


def best_and_worst(
    cells: Sequence[Cell], results: Mapping[tuple[str, str, str, int], EpisodeResult], *, num_tasks: int
) -> list[Choice]:
    """Chooses the episodes of highest and lowest return of each record of the first tasks; one where all are alike.

    Among equals it is the first one. Records of which an episode is missing have none.

    Args:
        cells: of the whole plan.
        results: by key.
        num_tasks: how many tasks, in the order of the cells.
    """
    names = list(dict.fromkeys(cell.task for cell in cells))[:num_tasks]
    chosen = []
    for (name, _, _), group in cells_by_record(cells).items():
        if name not in names or not all(key_of(cell) in results for cell in group):
            continue
        ranked = [(results[key_of(cell)], cell) for cell in group]
        best = max(ranked, key=lambda one: one[0].episode_return)
        worst = min(ranked, key=lambda one: one[0].episode_return)
        alike = best[0].episode_return == worst[0].episode_return
        for rank, (result, cell) in ({"all alike": best} if alike else {"best": best, "worst": worst}).items():
            chosen.append(Choice(cell=cell, result=result, rank=rank))
    return chosen
