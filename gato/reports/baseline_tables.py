"""The agent and the other players of the same episodes side by side."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from gato.evaluation.scores import BaselineScores, Prompt, ScoreRecord, Variants, aggregate
from gato.reports.context_tables import following_table
from gato.reports.page import Table
from gato.reports.table_markup import markdown
from gato.reports.tables import SCALE, interval_text, number

AGENT = "agent"

_Row: TypeAlias = tuple[str, Variants]  # a task and a group of its variants
_Column: TypeAlias = tuple[str, Prompt]  # a player and what stood before its episodes


def baseline_table(records: Sequence[ScoreRecord], baselines: Mapping[str, BaselineScores]) -> Table:
    """Normalised scores with intervals: one column a player, one for each kind of prompt that it was given.

    The last rows are means over the tasks in which every player of the table has a score, so that they compare.

    Args:
        records: the agent's.
        baselines: by player.
    """
    cells: dict[_Column, dict[_Row, ScoreRecord]] = {}
    for player, group in {AGENT: records, **{name: scores.records for name, scores in baselines.items()}}.items():
        for record in group:
            cells.setdefault((player, record.prompt), {})[record.task, record.variants] = record
    rows = list(dict.fromkeys((record.task, record.variants) for record in records))
    lines = [
        (
            task if variants == "all" else f"{task}, {variants}",
            *(_score(found.get((task, variants))) for found in cells.values()),
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
    prompts = [player for player, _ in cells]
    headings = (player if prompts.count(player) == 1 else f"{player}, {prompt}" for player, prompt in cells)
    return Table(headings=("task", *headings), rows=tuple(lines))


def baseline_tables(records: Sequence[ScoreRecord], baselines: Mapping[str, BaselineScores]) -> list[tuple[str, Table]]:
    """What each table tells, and the table: scores, and how often players that were shown something did it."""
    found = [
        (
            f"The agent and other players of the same episodes; normalised scores, where {SCALE}, with 95% bootstrap "
            "intervals.",
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
    """All tables under what they tell, and what was not played."""
    parts = [f"{sentence}\n\n{markdown(table)}" for sentence, table in baseline_tables(records, baselines)]
    return "\n".join([*parts, *(f"{sentence}\n" for sentence in not_played_by(baselines))])


def not_played_by(baselines: Mapping[str, BaselineScores]) -> list[str]:
    """A sentence for each task that a player could not play."""
    return [
        f"Not played by {name}: {task}: {reason}."
        for name, scores in baselines.items()
        for task, reason in scores.left_out.items()
    ]


def _is_scored(record: ScoreRecord | None) -> bool:
    return record is not None and record.normalized is not None


def _score(record: ScoreRecord | None) -> str:
    if record is None:
        return "–"
    if record.normalized is None or record.ci_low is None or record.ci_high is None:
        return f"return {number(record.return_mean)}"
    return f"{number(record.normalized)} ({number(record.ci_low)} to {number(record.ci_high)})"


def _mean(records: Sequence[ScoreRecord]) -> str:
    together = aggregate(records)
    assert together is not None  # all of them are scored
    return f"{number(together.mean.value)} ({interval_text(together.mean)})"
