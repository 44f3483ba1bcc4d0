"""What an evaluation measures beside the agent's episodes: baselines, and data that training never saw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gato.evaluation.held_out_scores import held_out_section, language_section
from gato.evaluation.scores import BaselineScores, ScoreRecord, baselines_section
from gato.experiments.held_out import HeldOut
from gato.reports.baseline_tables import baseline_markdown, baseline_tables, not_played_by
from gato.reports.held_out_tables import held_out_markdown, held_out_table, language_table, not_held_out
from gato.reports.table import Table


@dataclass(frozen=True, kw_only=True)
class ExtraResults:
    """Baselines and held-out scores, where they were asked for."""

    baselines: Mapping[str, BaselineScores] = field(default_factory=dict)
    held_out: HeldOut | None = None

    def sections(self) -> dict[str, Any]:
        """Returns JSON values for `gato.evaluation.scores.write_scores`."""
        found: dict[str, Any] = {"baselines": baselines_section(self.baselines)}
        if self.held_out is not None:
            found["held_out"] = held_out_section(self.held_out.scores)
            found["language"] = language_section(self.held_out.language)
        return found

    def markdown(self, records: Sequence[ScoreRecord]) -> list[str]:
        """Returns parts of a Markdown file; `records` are the agent's."""
        parts = [baseline_markdown(records, self.baselines)] if self.baselines else []
        if self.held_out is not None:
            parts.append(held_out_markdown(self.held_out.scores, self.held_out.language, self.held_out.left_out))
        return parts

    def tables(self, records: Sequence[ScoreRecord]) -> list[tuple[str, Table]]:
        """Returns the tables, each with a sentence on what it tells."""
        found = list(baseline_tables(records, self.baselines)) if self.baselines else []
        if self.held_out is not None and self.held_out.scores:
            found.append(
                ("Records that training never saw, as its rows show them.", held_out_table(self.held_out.scores))
            )
        if self.held_out is not None and self.held_out.language:
            found.append(("Captions and answers, letter by letter.", language_table(self.held_out.language)))
        return found

    def latex(self, records: Sequence[ScoreRecord]) -> list[str]:
        """Returns the tables for a paper; what each tells and what could not be measured stand in comments."""
        titled = [f"% {sentence}\n{table.latex()}" for sentence, table in self.tables(records)]
        return [*titled, *(f"% {sentence}\n" for sentence in self.sentences())]

    def sentences(self) -> list[str]:
        """Returns what was asked for and could not be measured."""
        return [
            *not_played_by(self.baselines),
            *([] if self.held_out is None else not_held_out(self.held_out.left_out)),
        ]
