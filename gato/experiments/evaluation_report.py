"""The page of an evaluation, written beside its scores together with the films that it shows."""

import datetime
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

import gato
from gato.evaluation.journal import EpisodeResult
from gato.evaluation.plan import Plan
from gato.evaluation.scores import ScoreRecord
from gato.experiments.extra_results import Further
from gato.experiments.replay import replay
from gato.experiments.session import Match
from gato.reports.evaluation_page import evaluation_page
from gato.reports.page import write_page
from gato.reports.shown_episodes import ShownEpisode, best_and_worst

REPORT_FILE = "report.html"
FILMS_FOLDER = "films"
_PACKAGES = ("jax", "flax", "numpy", "gymnasium")  # whose versions are told


def write_report(
    out: Path,
    match: Match,
    plan: Plan,
    results: Mapping[tuple[str, str, str, int], EpisodeResult],
    records: Sequence[ScoreRecord],
    *,
    measured: Mapping[str, Any],
    further: Further,
    num_tasks: int,
    console: Console,
) -> None:
    """Writes the page and its films; what goes wrong with them is told on the console and costs nothing else.

    Args:
        out: folder of the scores.
        match: that the episodes were played in.
        plan: all of them.
        results: by key.
        records: the agent's.
        measured: JSON values that tell how.
        further: what was measured beside them.
        num_tasks: of the first so many tasks, episodes are shown.
        console: is told what went wrong.
    """
    with match.shares.of("page"), console.status(REPORT_FILE):
        try:
            shown = replay(match, best_and_worst(plan.cells, results, num_tasks=num_tasks))
            page = evaluation_page(
                records,
                measured,
                not_played=plan.left_out,
                shown=shown,
                further=further.tables(records),
                remarks=further.sentences(),
                written=_written(),
            )
            write_page(out / REPORT_FILE, page)
            _write_films(out / FILMS_FOLDER, shown)
        except Exception as error:  # the scores are complete without their page, whatever may be wrong with it
            console.print(
                f"{REPORT_FILE} could not be written: {type(error).__name__}: {error}", markup=False, soft_wrap=True
            )


def _write_films(folder: Path, shown: Sequence[ShownEpisode]) -> None:
    for episode in shown:
        if episode.video is not None:
            cell, rank = episode.choice.cell, episode.choice.rank.replace(" ", "-")
            setting = "" if cell.variants == "all" else f"-{cell.prompt}-{cell.variants}"
            folder.mkdir(exist_ok=True)
            (folder / f"{cell.task}{setting}-{rank}.gif").write_bytes(episode.video)


def _written() -> dict[str, str]:
    versions = (f"{name} {version(name)}" for name in _PACKAGES)
    return {
        "page written": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "by": f"gato {gato.__version__}, Python {platform.python_version()}, {', '.join(versions)}",
    }
