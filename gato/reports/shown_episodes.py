"""Which episodes of an evaluation are shown, and what a page shows of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gato.evaluation.evaluate import specs_by_record
from gato.evaluation.journal import EpisodeResult
from gato.evaluation.plan import EpisodeKey, EpisodeSpec


@dataclass(frozen=True, kw_only=True)
class ShownEpisode:
    """An episode that is shown, and why; then what came of playing it once more for the page."""

    spec: EpisodeSpec
    result: EpisodeResult  # as it was scored
    rank: str  # "best", "worst", or "all alike"
    replayed_return: float | None = None  # None where it was not, or could not be, played again
    replayed_length: int | None = None  # steps
    video: bytes | None = None  # GIF
    content: Mapping[str, Any] | None = None  # of a `gato.reports.page.Scrubber`
    problem: str = ""  # why something is missing


def best_and_worst(
    specs: Sequence[EpisodeSpec], results: Mapping[EpisodeKey, EpisodeResult], *, num_tasks: int
) -> list[ShownEpisode]:
    """Chooses the episodes of highest and lowest return of each record of the first tasks; one where all are alike.

    Among equals it is the first one. Records of which an episode is missing have none.

    Args:
        specs: of the whole plan.
        results: by key.
        num_tasks: how many tasks, in the order of the specs.
    """
    names = list(dict.fromkeys(spec.task for spec in specs))[:num_tasks]
    chosen = []
    for (name, _, _), group in specs_by_record(specs).items():
        if name not in names or not all(spec.key in results for spec in group):
            continue
        ranked = [(results[spec.key], spec) for spec in group]
        best = max(ranked, key=lambda one: one[0].episode_return)
        worst = min(ranked, key=lambda one: one[0].episode_return)
        alike = best[0].episode_return == worst[0].episode_return
        for rank, (result, spec) in ({"all alike": best} if alike else {"best": best, "worst": worst}).items():
            chosen.append(ShownEpisode(spec=spec, result=result, rank=rank))
    return chosen
