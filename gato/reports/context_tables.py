"""Tables of what demonstrations decide: scores and their difference, what was followed, first actions."""

from collections.abc import Sequence

from gato.evaluation.scores import Prompt, ScoreRecord, context_effect, following_rate
from gato.reports.format import UNKNOWN, percent, with_interval
from gato.reports.table import Table

_Group = dict[Prompt, ScoreRecord]  # of one task and one group of variants

_PROMPTS: tuple[Prompt, ...] = ("right", "wrong", "none")
_SHOWING: tuple[Prompt, ...] = ("right", "wrong")


def effect_table(records: Sequence[ScoreRecord]) -> Table:
    """Lists normalised scores under each prompt, and the context effect."""
    rows = []
    for label, group in _groups(records).items():
        episodes = min(record.episodes for record in group.values())
        scores = (with_interval(group[prompt].interval) if prompt in group else UNKNOWN for prompt in _PROMPTS)
        effect = context_effect(list(group.values()), seed=group["right"].seed) if "right" in group else None
        told = with_interval(None if effect is None else effect.interval, signed=True)
        rows.append((label, str(episodes), *scores, told))
    return Table(headings=("task", "episodes", *_PROMPTS, "context effect"), rows=tuple(rows))


def following_table(records: Sequence[ScoreRecord]) -> Table:
    """Lists how often the agent did what it was shown, beside random actions where those were measured."""
    with_chance = any(record.followed_by_chance is not None for record in records)
    rows = []
    for label, group in _groups(records).items():
        cells: list[str] = []
        for prompt in _SHOWING:
            shown = [group[prompt]] if prompt in group else []
            cells.append(with_interval(following_rate(shown), in_percent=True))
            if with_chance:
                cells += [percent(record.followed_by_chance) for record in shown] or [UNKNOWN]
        rows.append((label, *cells))
    headings = [
        heading for prompt in _SHOWING for heading in (f"followed, {prompt}", *(("by chance",) if with_chance else ()))
    ]
    return Table(headings=("task", *headings), rows=tuple(rows))


def likelihood_table(records: Sequence[ScoreRecord]) -> Table:
    """Lists the negative log-likelihood of an expert's first actions under each prompt."""
    rows = []
    for label, group in _groups(records).items():
        found = [group[prompt].first_actions_nll if prompt in group else None for prompt in _PROMPTS]
        rows.append((label, *(UNKNOWN if nll is None else f"{nll:.2f}" for nll in found)))
    return Table(headings=("task", *_PROMPTS), rows=tuple(rows))


def study_tables(records: Sequence[ScoreRecord]) -> list[tuple[str, Table]]:
    """Returns the three tables, each with a sentence on what it tells."""
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


def _groups(records: Sequence[ScoreRecord]) -> dict[str, _Group]:
    """Groups the records of each task and group of variants by prompt."""
    groups: dict[str, _Group] = {}
    for record in records:
        if record.variants != "all":
            groups.setdefault(f"{record.task}, {record.variants}", {})[record.prompt] = record
    return groups
