"""Held-out losses and exact matches as tables."""

from collections.abc import Mapping, Sequence

from gato.evaluation.held_out_scores import HeldOutScores
from gato.evaluation.language_scores import LanguageScore
from gato.reports.format import UNKNOWN, interval_text, number, percent
from gato.reports.table import Table, titled_markdown


def held_out_table(scores: HeldOutScores) -> Table:
    """Lists the losses of each source and modality."""
    rows = [
        (
            source,
            kind,
            f"{score.targets:,}",
            f"{score.loss_nats:.3f}",
            percent(score.accuracy, 1),
            percent(score.accuracy_changed, 1),
            UNKNOWN if score.bits_per_byte is None else f"{score.bits_per_byte:.3f}",
        )
        for source, kinds in scores.items()
        for kind, score in kinds.items()
    ]
    return Table(
        headings=("source", "targets", "number", "loss (nats)", "accuracy", "changed actions", "bits per byte"),
        rows=tuple(rows),
        num_text_columns=2,
    )


def language_table(scores: Mapping[str, LanguageScore]) -> Table:
    """Lists the exact matches of each source of images with text."""
    return Table(
        headings=("source", "text", "number", "exactly right", "95% interval"),
        rows=tuple(
            (
                source,
                score.kind,
                str(score.num_trials),
                number(score.accuracy.value),
                interval_text(score.accuracy),
            )
            for source, score in scores.items()
        ),
        num_text_columns=2,
    )


def held_out_markdown(scores: HeldOutScores, language: Mapping[str, LanguageScore], left_out: Mapping[str, str]) -> str:
    """Returns the tables as Markdown, and the sources that have no part in them."""
    tables: list[tuple[str, Table]] = []
    if scores:
        tables.append(("Records that training never saw, as its rows show them.", held_out_table(scores)))
    if language:
        tables.append(("Captions and answers, letter by letter, with 95% Wilson intervals.", language_table(language)))
    parts = [titled_markdown(tables)] if tables else []
    return "\n".join([*parts, *(f"{sentence}\n" for sentence in not_held_out(left_out))])


def not_held_out(left_out: Mapping[str, str]) -> Sequence[str]:
    """Returns a sentence for each source without held-out measures."""
    return [f"Not measured on held-out data: {source}: {reason}." for source, reason in left_out.items()]
