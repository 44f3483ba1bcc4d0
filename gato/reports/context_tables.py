"""What demonstrations decide, as tables: scores and their difference, what was followed, first actions."""

from collections.abc import Sequence

from gato.evaluation.scores import Prompt, ScoreRecord, strata_of
from gato.evaluation.statistics import Interval, difference_interval, mean_of_tasks, wilson_interval
from gato.reports.page import Table
from gato.reports.table_markup import markdown
from gato.reports.tables import interval_text, number, signed_number

_Group = dict[Prompt, ScoreRecord]  # of one task and one group of variants


def context_effect(right: ScoreRecord, wrong: ScoreRecord) -> Interval | None:
    """Normalised score under the right prompt minus that under a wrong one; None where the expert is not above random.

    Raises:
        ValueError: the two records are not of one task.
    """
    if right.task != wrong.task:
        raise ValueError(f"records of {right.task!r} and {wrong.task!r}, expected two of one task")
    first, second = strata_of([right]), strata_of([wrong])
    return difference_interval(first, second, mean_of_tasks, seed=right.seed) if first and second else None


def following_rate(record: ScoreRecord) -> Interval | None:
    """Share of episodes that did what the demonstration showed, with its Wilson interval; None without one."""
    if record.followed is None:
        return None
    return wilson_interval(round(record.followed * record.episodes), record.episodes)


def effect_table(records: Sequence[ScoreRecord]) -> Table:
    """Normalised scores under each prompt, and the context effect."""
    rows = []
    for label, group in _groups(records).items():
        effect = context_effect(group["right"], group["wrong"]) if {"right", "wrong"} <= group.keys() else None
        told = (
            "–"
            if effect is None
            else f"{signed_number(effect.value)} ({signed_number(effect.low)} to {signed_number(effect.high)})"
        )
        rows.append((label, str(_episodes(group)), *(_score(group.get(prompt)) for prompt in _PROMPTS), told))
    return Table(headings=("task", "episodes", *_PROMPTS, "context effect"), rows=tuple(rows))


def following_table(records: Sequence[ScoreRecord]) -> Table:
    """How often the agent did what it was shown, beside random actions where those were measured."""
    with_chance = any(record.followed_by_chance is not None for record in records)
    rows = []
    for label, group in _groups(records).items():
        cells: list[str] = []
        for prompt in _SHOWING:
            record = group.get(prompt)
            rate = None if record is None else following_rate(record)
            chance = None if record is None else record.followed_by_chance
            cells.append("–" if rate is None else f"{rate.value:.0%} ({interval_text(rate, percent=True)})")
            if with_chance:
                cells.append("–" if chance is None else f"{chance:.0%}")
        rows.append((label, *cells))
    headings = [
        heading for prompt in _SHOWING for heading in (f"followed, {prompt}", *(("by chance",) if with_chance else ()))
    ]
    return Table(headings=("task", *headings), rows=tuple(rows))


def likelihood_table(records: Sequence[ScoreRecord]) -> Table:
    """Negative log-likelihood of an expert's first actions under each prompt."""
    rows = []
    for label, group in _groups(records).items():
        found = [group[prompt].first_actions_nll if prompt in group else None for prompt in _PROMPTS]
        rows.append((label, *("–" if nll is None else f"{nll:.2f}" for nll in found)))
    return Table(headings=("task", *_PROMPTS), rows=tuple(rows))


def study_tables(records: Sequence[ScoreRecord]) -> list[tuple[str, Table]]:
    """What each table tells, and the table."""
    return [
        (
            "Normalised scores by demonstration; the context effect is the right one's score minus a wrong one's.",
            effect_table(records),
        ),
        (
            "Episodes that did what the demonstration showed, with 95% Wilson intervals, beside random actions.",
            following_table(records),
        ),
        (
            "Negative log-likelihood of the first actions of an expert's episode, in nats: less is better.",
            likelihood_table(records),
        ),
    ]


def study_markdown(records: Sequence[ScoreRecord]) -> str:
    """All tables of a study under what they tell."""
    return "\n".join(f"{sentence}\n\n{markdown(table)}" for sentence, table in study_tables(records))


_PROMPTS: tuple[Prompt, ...] = ("right", "wrong", "none")
_SHOWING: tuple[Prompt, ...] = ("right", "wrong")


def _groups(records: Sequence[ScoreRecord]) -> dict[str, _Group]:
    groups: dict[str, _Group] = {}
    for record in records:
        if record.variants != "all":
            groups.setdefault(f"{record.task}, {record.variants}", {})[record.prompt] = record
    return groups


def _episodes(group: _Group) -> int:
    """Of each prompt."""
    return min(record.episodes for record in group.values())


def _score(record: ScoreRecord | None) -> str:
    if record is None or record.normalized is None or record.ci_low is None or record.ci_high is None:
        return "–"
    return f"{number(record.normalized)} ({number(record.ci_low)} to {number(record.ci_high)})"
