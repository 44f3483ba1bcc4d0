"""Tables, charts and page of an evaluation, written beside its scores, with the films that the page shows."""

import datetime
import platform
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gato
from gato.evaluation.journal import EpisodeResult
from gato.evaluation.plan import EpisodeKey, Plan
from gato.evaluation.scores import ScoreRecord
from gato.evaluation.time_shares import time_spent_on
from gato.experiments.extra_results import ExtraResults
from gato.experiments.replay import replay
from gato.experiments.reporter import Reporter
from gato.experiments.session import EvaluationSession
from gato.files import replace_file
from gato.reports.context_tables import study_markdown, study_tables
from gato.reports.evaluation_page import evaluation_page
from gato.reports.page import write_page
from gato.reports.plots import score_bars
from gato.reports.profile_plot import profile_plot, tasks_above_plot
from gato.reports.shown_episodes import ShownEpisode, best_and_worst
from gato.reports.style import save_figure
from gato.reports.tables import aggregate_table, left_out, score_table, scores_latex, scores_markdown

REPORT_FILE = "report.html"
FILMS_FOLDER = "films"
_PACKAGES = ("jax", "flax", "numpy", "gymnasium")  # whose versions are stated


def write_tables(
    out: Path, records: Sequence[ScoreRecord], not_played: Mapping[str, str], extra: ExtraResults, *, latex: bool
) -> None:
    """Writes the tables and charts of what was measured."""
    parts = [scores_markdown(records), *(f"{sentence}\n" for sentence in _not_played(not_played))]
    if any(record.variants != "all" for record in records):
        parts.append(study_markdown(records))
    parts += extra.markdown(records)
    replace_file(out / "scores.md", "\n".join(parts))
    if latex:
        replace_file(out / "scores.tex", "\n".join([scores_latex(records), *extra.latex(records)]))
    scored = [record for record in records if record.normalized is not None]
    if scored:
        save_figure(out / "scores.png", score_bars(scored))
    if len({record.task for record in scored}) == len(scored) > 1:  # under several prompts a task would weigh twice
        save_figure(out / "profile.png", profile_plot({"": scored}))
        save_figure(out / "tasks_above.png", tasks_above_plot(scored))


def write_report(
    out: Path,
    session: EvaluationSession,
    plan: Plan,
    results: Mapping[EpisodeKey, EpisodeResult],
    records: Sequence[ScoreRecord],
    *,
    measured: Mapping[str, Any],
    extra: ExtraResults,
    num_tasks: int,
    reporter: Reporter,
) -> None:
    """Writes the page and its films; an error in them is reported and costs nothing else.

    Args:
        out: folder of the scores.
        session: that the episodes were played in.
        plan: all of them.
        results: by key.
        records: the agent's.
        measured: JSON values that state how.
        extra: what was measured beside them.
        num_tasks: of the first so many tasks, episodes are shown.
        reporter: shows what went wrong.
    """
    with time_spent_on("page"), reporter.bar(REPORT_FILE, None):
        try:
            shown = replay(session, best_and_worst(plan.specs, results, num_tasks=num_tasks))
            page = evaluation_page(
                records,
                measured,
                not_played=plan.left_out,
                shown=shown,
                further=extra.tables(records),
                remarks=extra.sentences(),
                written=_written(),
            )
            write_page(out / REPORT_FILE, page)
            _write_films(out / FILMS_FOLDER, shown)
        except Exception as error:  # the scores are complete without their page, whatever may be wrong with it
            reporter.say(f"{REPORT_FILE} could not be written: {type(error).__name__}: {error}")


def score_paragraphs(records: Sequence[ScoreRecord], not_played: Mapping[str, str], extra: ExtraResults) -> list[str]:
    """Returns everything that was measured, as text."""
    found = [str(score_table(records))]
    if len(records) > 1:
        found.append(f"\n{aggregate_table(records)}")
    tables = study_tables(records) if any(record.variants != "all" for record in records) else []
    found += [f"\n{sentence}\n{table}" for sentence, table in (*tables, *extra.tables(records))]
    return [*found, *left_out(records), *_not_played(not_played), *extra.sentences()]


def score_line(record: ScoreRecord) -> str:
    """Returns one record as a line."""
    setting = "" if record.variants == "all" else f", {record.prompt} prompt, {record.variants} variants"
    score = "" if record.normalized is None else f", normalised {record.normalized:z.2f}"
    return f"{record.task}{setting}: return {record.return_mean:.4g}{score}"


def _not_played(reasons: Mapping[str, str]) -> Iterator[str]:
    return (f"Not played: {name}: {reason}." for name, reason in reasons.items())


def _write_films(folder: Path, shown: Sequence[ShownEpisode]) -> None:
    for episode in shown:
        if episode.video is not None:
            spec, rank = episode.spec, episode.rank.replace(" ", "-")
            setting = "" if spec.variants == "all" else f"-{spec.prompt}-{spec.variants}"
            folder.mkdir(exist_ok=True)
            (folder / f"{spec.task}{setting}-{rank}.gif").write_bytes(episode.video)


def _written() -> dict[str, str]:
    versions = (f"{name} {version(name)}" for name in _PACKAGES)
    return {
        "page written": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "by": f"gato {gato.__version__}, Python {platform.python_version()}, {', '.join(versions)}",
    }
