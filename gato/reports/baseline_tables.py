"""Tables of the agent beside the baselines that played the same episodes."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from gato.evaluation.scores import BaselineScores, Prompt, ScoreRecord, Variants, aggregate
from gato.reports.context_tables import following_table
from gato.reports.format import score_text, with_interval
from gato.reports.table import Table, titled_markdown
from gato.reports.tables import SCALE

AGENT = "agent"

_Row: TypeAlias = tuple[str, Variants]  # a task and a group of its variants
_Column: TypeAlias = tuple[str, Prompt]  # a policy and what stood before its episodes


def baseline_table(records: Sequence[ScoreRecord], baselines: Mapping[str, BaselineScores]) -> Table:
    """Lists normalised scores with intervals: one column per policy and kind of prompt that it was given.

    The last rows are means over the tasks in which every policy of the table has a score, so that they compare.

    Args:
        records: the agent's.
        baselines: by name.
    """
    cells: dict[_Column, dict[_Row, ScoreRecord]] = {}
    for policy, group in {AGENT: records, **{name: scores.records for name, scores in baselines.items()}}.items():
        for record in group:
            cells.setdefault((policy, record.prompt), {})[record.task, record.variants] = record
    rows = list(dict.fromkeys((record.task, record.variants) for record in records))
    lines = [
        (
            task if variants == "all" else f"{task}, {variants}",
            *(score_text(found.get((task, variants))) for found in cells.values()),
        )
        for task, variants in rows
    ]
    for variants in dict.fromkeys(variants for _, variants in rows):
        shared = [
            row for row in rows if row[1] == variants and all(_is_scored(found.get(row)) for found in cells.values())
        ]
        if len(shared) > 1:
            label = f"mean of {len(shared)} tasks" if variants == "all" else f"mean of {len(shared)}, {variants}"
            lines.append((label, *(_mean([found[row] for row in shared]) for found in cells.values())))
    policies = [policy for policy, _ in cells]
    headings = (policy if policies.count(policy) == 1 else f"{policy}, {prompt}" for policy, prompt in cells)
    return Table(headings=("task", *headings), rows=tuple(lines))


def baseline_tables(records: Sequence[ScoreRecord], baselines: Mapping[str, BaselineScores]) -> list[tuple[str, Table]]:
    """Returns the scores, and how often baselines did what they were shown, each with a sentence on what it tells."""
    found = [
        (
            f"Normalised scores of the agent and of the baselines on the same episodes, where {SCALE}, with 95% "
            "bootstrap intervals.",
            baseline_table(records, baselines),
        )
    ]
    for name, scores in baselines.items():
        if any(record.followed is not None for record in scores.records):
            found.append(
                (
                    f"Episodes in which {name} did what the demonstration showed, with 95% Wilson intervals.",
                    following_table(scores.records),
                )
            )
    return found


def baseline_markdown(records: Sequence[ScoreRecord], baselines: Mapping[str, BaselineScores]) -> str:
    """Returns all tables as Markdown, and what was not played."""
    sentences = (f"{sentence}\n" for sentence in not_played_by(baselines))
    return "\n".join([titled_markdown(baseline_tables(records, baselines)), *sentences])


def not_played_by(baselines: Mapping[str, BaselineScores]) -> list[str]:
    """Returns a sentence for each task that a baseline could not play."""
    return [
        f"Not played by {name}: {task}: {reason}."
        for name, scores in baselines.items()
        for task, reason in scores.left_out.items()
    ]


def _is_scored(record: ScoreRecord | None) -> bool:
    return record is not None and record.normalized is not None


def _mean(records: Sequence[ScoreRecord]) -> str:
    together = aggregate(records)
    assert together is not None  # all of them are scored
    return with_interval(together.mean)
