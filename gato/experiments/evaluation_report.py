"""Tables, charts and page of an evaluation, written beside its scores, with the films that the page shows."""

import datetime
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gato
from gato.evaluation.held_out_scores import held_out_section, language_section
from gato.evaluation.scores import BaselineScores, ScoreRecord, baselines_section, write_scores
from gato.evaluation.time_shares import time_spent_on
from gato.experiments.held_out import HeldOut
from gato.experiments.replay import replay
from gato.experiments.reporter import Reporter
from gato.experiments.session import EvaluationSession
from gato.files import replace_file
from gato.reports.baseline_tables import baseline_markdown, baseline_tables, not_played_by
from gato.reports.context_tables import study_tables
from gato.reports.evaluation_page import evaluation_page
from gato.reports.held_out_tables import held_out_markdown, held_out_table, language_table, not_held_out
from gato.reports.page import write_page
from gato.reports.plots import score_bars
from gato.reports.profile_plot import profile_plot, tasks_above_plot
from gato.reports.shown_episodes import ShownEpisode
from gato.reports.style import save_figure
from gato.reports.table import Table, titled_markdown
from gato.reports.tables import aggregate_table, left_out, score_table, scores_latex, scores_markdown
from gato.run_files import SCORES_FILE

REPORT_FILE = "report.html"
FILMS_FOLDER = "films"
_PACKAGES = ("jax", "flax", "numpy", "gymnasium")  # whose versions are stated


@dataclass(frozen=True, kw_only=True)
class Results:
    """All that an evaluation measured."""

    records: Sequence[ScoreRecord]  # the agent's
    measured: Mapping[str, Any]  # JSON values that state how
    not_played: Mapping[str, str]  # tasks with the reason
    baselines: Mapping[str, BaselineScores]
    held_out: HeldOut | None  # where it was asked for

    @property
    def study_tables(self) -> list[tuple[str, Table]]:
        return study_tables(self.records) if any(record.variants != "all" for record in self.records) else []

    @property
    def further_tables(self) -> list[tuple[str, Table]]:
        """Tables of what was measured beside the agent's episodes, each with a sentence on what it tells."""
        found = list(baseline_tables(self.records, self.baselines)) if self.baselines else []
        if self.held_out is not None and self.held_out.scores:
            found.append(
                ("Records that training never saw, as its rows show them.", held_out_table(self.held_out.scores))
            )
        if self.held_out is not None and self.held_out.language:
            found.append(("Captions and answers, letter by letter.", language_table(self.held_out.language)))
        return found

    @property
    def not_played_sentences(self) -> list[str]:
        return [f"Not played: {name}: {reason}." for name, reason in self.not_played.items()]

    @property
    def missing_sentences(self) -> list[str]:
        """What was asked for beside the agent's episodes and could not be measured."""
        not_measured = [] if self.held_out is None else not_held_out(self.held_out.left_out)
        return [*not_played_by(self.baselines), *not_measured]


def write_tables(out: Path, results: Results, *, latex: bool) -> None:
    """Writes the scores, and the tables and charts of what was measured."""
    records, held_out = results.records, results.held_out
    sections: dict[str, Any] = {"baselines": baselines_section(results.baselines)}
    parts = [scores_markdown(records), *(f"{sentence}\n" for sentence in results.not_played_sentences)]
    if results.study_tables:
        parts.append(titled_markdown(results.study_tables))
    if results.baselines:
        parts.append(baseline_markdown(records, results.baselines))
    if held_out is not None:
        sections |= {"held_out": held_out_section(held_out.scores), "language": language_section(held_out.language)}
        parts.append(held_out_markdown(held_out.scores, held_out.language, held_out.left_out))
    write_scores(out / SCORES_FILE, records, {**results.measured, "left_out": results.not_played}, sections=sections)
    replace_file(out / "scores.md", "\n".join(parts))
    if latex:
        titled = [f"% {sentence}\n{table.latex()}" for sentence, table in results.further_tables]
        comments = [f"% {sentence}\n" for sentence in results.missing_sentences]
        replace_file(out / "scores.tex", "\n".join([scores_latex(records), *titled, *comments]))
    scored = [record for record in records if record.normalized is not None]
    if scored:
        save_figure(out / "scores.png", score_bars(scored))
    if len({record.task for record in scored}) == len(scored) > 1:  # under several prompts a task would weigh twice
        save_figure(out / "profile.png", profile_plot({"": scored}))
        save_figure(out / "tasks_above.png", tasks_above_plot(scored))


def write_report(
    out: Path, session: EvaluationSession, chosen: Sequence[ShownEpisode], results: Results, reporter: Reporter
) -> None:
    """Writes the page and its films; an error in them is reported and costs nothing else.

    Args:
        out: folder of the scores.
        session: that the episodes were played in.
        chosen: the episodes to show.
        results: everything that was measured.
        reporter: shows what went wrong.
    """
    with time_spent_on("page"), reporter.bar(REPORT_FILE, None):
        try:
            shown = replay(session, chosen)
            page = evaluation_page(
                results.records,
                results.measured,
                not_played=results.not_played,
                shown=shown,
                further=results.further_tables,
                remarks=results.missing_sentences,
                written=_written(),
            )
            write_page(out / REPORT_FILE, page)
            _write_films(out / FILMS_FOLDER, shown)
        except Exception as error:  # the scores are complete without their page, whatever may be wrong with it
            reporter.say(f"{REPORT_FILE} could not be written: {type(error).__name__}: {error}")


def score_paragraphs(results: Results) -> list[str]:
    """Returns everything that was measured, as text."""
    records = results.records
    found = [str(score_table(records))]
    if len(records) > 1:
        found.append(f"\n{aggregate_table(records)}")
    tables = [*results.study_tables, *results.further_tables]
    found += [f"\n{sentence}\n{table}" for sentence, table in tables]
    return [*found, *left_out(records), *results.not_played_sentences, *results.missing_sentences]


def score_line(record: ScoreRecord) -> str:
    """Returns one record as a line."""
    setting = "" if record.variants == "all" else f", {record.prompt} prompt, {record.variants} variants"
    score = "" if record.normalized is None else f", normalised {record.normalized:z.2f}"
    return f"{record.task}{setting}: return {record.return_mean:.4g}{score}"


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
