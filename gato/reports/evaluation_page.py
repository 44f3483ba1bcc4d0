"""The page of an evaluation: what was measured, scores with intervals, what demonstrations decide, and episodes."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from gato.evaluation.scores import ScoreRecord, aggregate, context_effect, following_rate, groups_of
from gato.reports.context_tables import study_tables
from gato.reports.episode_section import episode_section
from gato.reports.format import counted, interval_text, number, percent, signed_number
from gato.reports.page import Block, Fact, Page, Section, draw_chart
from gato.reports.profile_plot import profile_plot, tasks_above_plot
from gato.reports.sections import score_chart
from gato.reports.settings_table import settings_table
from gato.reports.shown_episodes import ShownEpisode
from gato.reports.table import Table
from gato.reports.tables import SCALE, aggregate_table, left_out, score_table

_MOST_BARS = 80  # a longer chart is not read; the table sorts
_ALL = "all tasks"  # how `groups_of` names the groups that are not of one family


def evaluation_page(
    records: Sequence[ScoreRecord],
    measured: Mapping[str, Any],
    *,
    not_played: Mapping[str, str],
    shown: Sequence[ShownEpisode] = (),
    further: Sequence[tuple[str, Table]] = (),
    remarks: Sequence[str] = (),
    written: Mapping[str, str] | None = None,
    title: str | None = None,
    lead: str | None = None,
    facts: Sequence[Fact] | None = None,
    first_sections: Sequence[Section] = (),
    extra_sections: Sequence[Section] = (),
) -> Page:
    """Lays out the whole page.

    Args:
        records: all scores.
        measured: what decided them, as `scores.json` has it; JSON values.
        not_played: tasks without scores, and why.
        shown: episodes with video and timesteps.
        further: what else was measured, such as baselines: what each table tells, and the table.
        remarks: sentences below these tables.
        written: by what and when the page was written.
        title, lead, facts: in place of those that the scores and the settings give.
        first_sections: before all others.
        extra_sections: of a page that shows more than an evaluation; only the settings come after them.
    """
    sections = [
        *first_sections,
        *_aggregate_sections(records),
        *_study_sections(records),
        _task_section(records, not_played),
    ]
    if further or remarks:
        sections.append(Section(title="Beside the agent's episodes", blocks=(*_told(further), *remarks)))
    if shown:
        sections.append(episode_section(shown))
    sections += extra_sections
    settings = settings_table({**measured, **(written or {})})
    sections.append(Section(title="How it was measured", blocks=(settings,)))
    run = (measured.get("checkpoint") or {}).get("run") or "a checkpoint"
    return Page(
        title=f"Evaluation of {run}" if title is None else title,
        lead=_lead(records, measured, not_played) if lead is None else lead,
        facts=_facts(records) if facts is None else tuple(facts),
        sections=tuple(sections),
    )


def _lead(records: Sequence[ScoreRecord], measured: Mapping[str, Any], not_played: Mapping[str, str]) -> str:
    """Tells in plain words what the settings hold, and passes over what they do not."""
    checkpoint = measured.get("checkpoint") or {}
    prompt, policy = measured.get("prompt") or {}, measured.get("policy") or {}
    tasks = {record.task: record.family for record in records}
    families = len(set(tasks.values()))
    sentences = [
        f"{counted(len(tasks), 'task')} of {counted(families, 'family', 'families')}"
        + (f", {len(not_played)} more not played" if not_played else "")
        + "."
    ]
    if "step" in checkpoint:
        digest = str(checkpoint.get("sha256", ""))[:12]
        sentences.append(f"The checkpoint is of step {checkpoint['step']}{f', SHA-256 {digest}…' if digest else ''}.")
    if "episodes" in measured and "seed" in measured:
        each = "of each prompt in each group of variants" if measured.get("study") else "per task"
        sentences.append(f"{counted(measured['episodes'], 'episode')} {each}, seeds from {measured['seed']} on.")
    if prompt.get("kind") == "none":
        sentences.append("No episode starts with a demonstration.")
    elif "kind" in prompt:
        at_most = f", at most {prompt['max_tokens']} tokens" if "max_tokens" in prompt else ""
        part = f" ({prompt['part']} part{at_most})" if "part" in prompt else ""
        sentences.append(f"Demonstrations before the episodes: {prompt['kind']}{part}.")
    if policy.get("deterministic"):
        sentences.append("The most likely actions are taken.")
    elif "temperature" in policy:
        limits = "".join(f", {name} {policy[name]:g}" for name in ("top_k", "top_p") if policy.get(name) is not None)
        sentences.append(f"Actions are drawn at temperature {policy['temperature']:g}{limits}.")
    sentences.append(f"Of scores, {SCALE}; intervals are 95% intervals over episodes.")
    return " ".join(sentences)


def _facts(records: Sequence[ScoreRecord]) -> tuple[Fact, ...]:
    """Returns the numbers to see first: aggregates, or of a prompt ablation what the demonstrations decide."""
    if any(record.variants != "all" for record in records):
        return _study_facts(records)
    whole = next(iter(_wholes(records).values()), [])
    together = aggregate(whole)
    if together is None:
        return ()
    statistics = {
        "interquartile mean": together.iqm,
        "median": together.median,
        "mean": together.mean,
        "optimality gap: short of the expert": together.optimality_gap,
    }
    note = f"of {counted(len(whole), 'task')}"
    return tuple(
        Fact(value=number(interval.value), label=label, note=f"{interval_text(interval)}, {note}")
        for label, interval in statistics.items()
    )


def _study_facts(records: Sequence[ScoreRecord]) -> tuple[Fact, ...]:
    facts = []
    for variants in ("trained", "held-out"):
        group = [record for record in records if record.variants == variants]
        if (effect := context_effect(group)) is not None:
            facts.append(
                Fact(
                    value=signed_number(effect.interval.value),
                    label=f"context effect, {variants} variants: score after a right minus after a wrong demonstration",
                    note=f"{interval_text(effect.interval)}, mean of {counted(len(effect.tasks), 'task')}",
                )
            )
        wrong = [record for record in group if record.prompt == "wrong" and record.followed is not None]
        if (rate := following_rate(wrong)) is not None:
            chances = [record.followed_by_chance for record in wrong if record.followed_by_chance is not None]
            chance = f"; by chance {sum(chances) / len(chances):.0%}" if chances else ""
            facts.append(
                Fact(
                    value=percent(rate.value),
                    label=f"of wrong demonstrations followed, {variants} variants",
                    note=f"{interval_text(rate, in_percent=True)}{chance}",
                )
            )
    return tuple(facts)


def _wholes(records: Sequence[ScoreRecord]) -> dict[str, list[ScoreRecord]]:
    """Returns the records that have a score, of all tasks together, by setting; settings without any are left out."""
    wholes = {
        label.removeprefix(_ALL).removeprefix(", "): [record for record in group if record.normalized is not None]
        for label, group in groups_of(records).items()
        if label.startswith(_ALL)
    }
    return {setting: group for setting, group in wholes.items() if group}


def _aggregate_sections(records: Sequence[ScoreRecord]) -> list[Section]:
    wholes = _wholes(records)
    if max(map(len, wholes.values()), default=0) < 2:
        return []
    blocks: list[Block] = [
        "Every task weighs the same. The interquartile mean is that of the middle half of all episodes; the "
        "optimality gap is how far episodes fall short of the expert on average, where more than the expert's "
        "score cannot make up for less.",
        _sorted(aggregate_table(records)),
    ]
    for setting, group in wholes.items():
        if group[0].variants != "all":
            continue  # a study is about what changes a score, and has tables of its own
        at_half = sum((record.normalized or 0) >= 0.5 for record in group)
        blocks.append(
            draw_chart(
                tasks_above_plot,
                group,
                alt=f"Number of tasks at or above a share of the expert's score: {at_half} of {len(group)} at half.",
                caption="Tasks whose mean score is at or above a share of the expert's"
                + (f"; {setting}." if setting else "."),
            )
        )
    for variants in dict.fromkeys(record.variants for record in records):
        runs = {setting: group for setting, group in wholes.items() if group[0].variants == variants}
        if runs:
            blocks.append(
                draw_chart(
                    profile_plot,
                    runs,
                    alt="Share of episodes that score more than a threshold, against the threshold.",
                    caption="Performance profile: the share of episodes that score more than a threshold, every task "
                    "weighing the same, with its point-wise 95% band.",
                )
            )
    return [Section(title="All tasks together", blocks=tuple(blocks))]


def _study_sections(records: Sequence[ScoreRecord]) -> list[Section]:
    sections = []
    for variants, title in (("trained", "trained variants"), ("held-out", "variants that were never trained")):
        group = [record for record in records if record.variants == variants]
        if group:
            sections.append(Section(title=f"What a demonstration decides: {title}", blocks=_told(study_tables(group))))
    return sections


def _task_section(records: Sequence[ScoreRecord], not_played: Mapping[str, str]) -> Section:
    blocks: list[Block] = []
    scored = [record for record in records if record.normalized is not None]
    if 0 < len(scored) <= _MOST_BARS:
        blocks.append(score_chart(scored))
    blocks += [
        "Returns are means and standard deviations in the task's own units. A click on a heading sorts.",
        _sorted(score_table(records)),
        *left_out(records),
    ]
    if not_played:
        blocks += [
            "Not played, and so in no number of this page:",
            Table(headings=("task", "reason"), rows=tuple(not_played.items()), num_text_columns=2, sortable=True),
        ]
    return Section(title="Task by task", blocks=tuple(blocks))


def _told(tables: Sequence[tuple[str, Table]]) -> tuple[Block, ...]:
    """Lays out each table below the sentence that says what it tells."""
    return tuple(block for sentence, table in tables for block in (sentence, _sorted(table)))


def _sorted(table: Table) -> Table:
    """Makes the table sortable on the page."""
    return dataclasses.replace(table, sortable=True)
