"""Held-out losses and exact matches as tables."""

from collections.abc import Mapping, Sequence

from gato.evaluation.held_out_scores import HeldOutScores
from gato.evaluation.language_scores import LanguageScore
from gato.reports.page import Table
from gato.reports.table_markup import markdown
from gato.reports.tables import interval_text, number


def held_out_table(scores: HeldOutScores) -> Table:
    """One row a source and modality."""
    rows = [
        (
            source,
            kind,
            f"{score.targets:,}",
            f"{score.loss_nats:.3f}",
            f"{score.accuracy:.1%}",
            "–" if score.accuracy_changed is None else f"{score.accuracy_changed:.1%}",
            "–" if score.bits_per_byte is None else f"{score.bits_per_byte:.3f}",
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
    """One row a source of pictures with text."""
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
    """The tables under what they tell, and the sources that have no part in them."""
    parts: list[str] = []
    if scores:
        parts += ["Records that training never saw, as its rows show them.\n", markdown(held_out_table(scores))]
    if language:
        parts += [
            "Captions and answers, letter by letter, with 95% Wilson intervals.\n",
            markdown(language_table(language)),
        ]
    return "\n".join([*parts, *(f"{sentence}\n" for sentence in not_held_out(left_out))])


def not_held_out(left_out: Mapping[str, str]) -> Sequence[str]:
    """A sentence for each source without held-out measures."""
    return [f"Not measured on held-out data: {source}: {reason}." for source, reason in left_out.items()]
