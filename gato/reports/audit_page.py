"""The page of a data audit: advice, the mixture, and a section for every source."""

from collections.abc import Sequence

from gato.audit.actions import ActionAudit
from gato.audit.advice import Advice, group, name_sources
from gato.audit.control import ControlAudit
from gato.audit.example import RowExample, row_text
from gato.audit.mixture import MixtureAudit, SourceAudit
from gato.audit.rows import TOKEN_KINDS
from gato.audit.text import LanguageAudit
from gato.reports.audit_plots import (
    MAX_DRAWN,
    action_bars,
    count_bars,
    episode_histograms,
    field_bars,
    length_histogram,
    row_figure,
    share_bars,
)
from gato.reports.audit_tables import control_table, field_table, kind_table, language_table, summary_table
from gato.reports.format import big_number, low_to_high, percent
from gato.reports.page import Block, Chart, Code, Fact, Page, Section, draw_chart

_FIELDS_DRAWN = 24
_ACTIONS_DRAWN = 3
_ROW_LINES = 160  # of a decoded row


def audit_page(mixture: MixtureAudit, advice: Sequence[Advice], *, title: str, text_note: str = "") -> Page:
    """Lays out the whole page.

    Args:
        mixture: what was measured.
        advice: from `gato.audit.advice.advise`.
        title: names the mixture.
        text_note: how text was tokenized.
    """
    limits = mixture.limits
    lead = (
        f"What the data holds, measured as training will read it. Of each source at most {limits.episodes:,} episodes "
        f"or {limits.records:,} other records, and {limits.size_bytes >> 20:,} MiB, were read and {limits.rows} rows "
        f"drawn, with seed {limits.seed}; where a source is larger, its numbers describe that sample. "
        f"{text_note}"
    )
    return Page(
        title=title,
        lead=lead.strip(),
        facts=_facts(mixture, advice),
        sections=(
            _advice_section(advice),
            _mixture_section(mixture),
            *(
                _source_section(audit, mixture, [one for one in advice if one.source == audit.name])
                for audit in mixture.sources
            ),
        ),
    )


def _facts(mixture: MixtureAudit, advice: Sequence[Advice]) -> tuple[Fact, ...]:
    controls = [audit.control for audit in mixture.sources if audit.control is not None]
    usable = sum(not audit.failure for audit in mixture.sources)
    timesteps = sum(control.num_episodes * control.lengths.mean for control in controls)
    shares = [(kind, share) for audit in mixture.sources for kind, share in audit.loss_shares.items()]
    acted = sum(share for kind, share in shares if kind.endswith("actions"))
    text = sum(share for kind, share in shares if kind == "text")
    return (
        Fact(value=f"{usable} of {len(mixture.sources)}", label="sources can be trained on"),
        Fact(
            value=big_number(sum(control.num_episodes for control in controls)),
            label="episodes",
            note=f"about {big_number(timesteps)} timesteps",
        ),
        Fact(value=percent(acted), label="of the loss falls on actions", note=f"{percent(text)} on text"),
        Fact(value=str(len(advice)), label="pieces of advice", note="each from a rule with a stated threshold"),
    )


def _advice_section(advice: Sequence[Advice]) -> Section:
    if not advice:
        return Section(title="Advice", blocks=("No rule found anything to change.",))
    blocks: list[Block] = [
        "Sources found by the same rule are grouped, with the text for one of them; the section of each "
        "source has its own. Thresholds are rules of thumb: look at the source before you follow one.",
    ]
    blocks += [_same_advice(same) for same in group(advice)]
    return Section(title="Advice", blocks=tuple(blocks))


def _same_advice(same: Sequence[Advice]) -> str:
    first = same[0]
    if len(same) == 1:
        return f"{first.verb} – {first.source}: {first.text}. (Rule: {first.rule}.)"
    named = f"{len(same)} sources: {name_sources(same)}"
    return f"{first.verb} – {named}. Such as {first.source}: {first.text}. (Rule: {first.rule}.)"


def _mixture_section(mixture: MixtureAudit) -> Section:
    data = mixture.data
    blocks: list[Block] = [
        f"A row takes {data.context_length} tokens and {data.max_patches} patches. 'rows' and 'loss' are "
        "the shares of the mixture at its weights: of the rows, and of the weight of all that is predicted. "
        "'epochs' is how often the run, as long as its config says, shows the training records on average. "
        "'repeated' are records that equal or nearly equal an earlier one; 'leaked' held-out records that also "
        "stand in the training part; 'bad' those that cannot be used. A ≥ marks counts from a sample.",
        kind_table(mixture),
        summary_table(mixture),
    ]
    shares = {audit.name: audit.loss_shares for audit in mixture.sources if audit.loss_shares}
    if shares:
        spoken = "; ".join(f"{name} {sum(parts.values()):.1%}" for name, parts in shares.items())
        blocks.append(
            draw_chart(
                share_bars,
                shares,
                "share of the mixture's loss",
                alt=f"Share of the loss by source: {spoken}.",
                caption="Who the loss listens to: a source with many targets per row outweighs others of the same "
                "weight.",
            )
        )
    own = {
        audit.name: {kind: value / sum(audit.rows.tokens.values()) for kind, value in audit.rows.tokens.items()}
        for audit in mixture.sources
        if audit.rows is not None
    }
    if own:
        blocks.append(
            draw_chart(
                share_bars,
                own,
                "share of the source's tokens",
                alt="What the rows of each source consist of: "
                + "; ".join(
                    f"{name}: " + ", ".join(f"{kind} {share:.0%}" for kind, share in parts.items())
                    for name, parts in own.items()
                ),
                caption="What the context is spent on.",
            )
        )
    return Section(title="The mixture", blocks=tuple(blocks))


def _source_section(audit: SourceAudit, mixture: MixtureAudit, advice: Sequence[Advice]) -> Section:
    epochs = "" if audit.epochs is None else f", {audit.epochs:.3g} epochs in the run"
    shares = f"{audit.row_share:.1%} of the rows, {audit.loss_share:.1%} of the loss{epochs}"
    blocks: list[Block] = [f"Kind {audit.source.kind}; {shares}."]
    blocks += [f"{one.verb}: {one.text}. (Rule: {one.rule}.)" for one in advice]
    if audit.source.kind == "prepared":
        blocks.append("Prepared: only its rows are measured. Audit the source that it was prepared from for the rest.")
    if audit.control is not None:
        blocks += _control_blocks(audit, audit.control)
    if audit.language is not None:
        blocks += _language_blocks(audit.language, mixture)
    if audit.example is not None:
        blocks += _example_blocks(audit.example)
    measured = audit.control or audit.language
    if measured is not None and measured.problems:
        blocks.append(Code(text="\n".join(measured.problems), folded_under=f"{measured.num_problems} problems"))
    return Section(title=audit.name, blocks=tuple(blocks))


def _control_blocks(audit: SourceAudit, control: ControlAudit) -> list[Block]:
    blocks: list[Block] = [control_table(audit, control)]
    references = audit.references
    blocks.append(
        draw_chart(
            episode_histograms,
            control.return_values,
            control.length_values,
            references,
            alt=f"Returns {low_to_high(control.returns.low, control.returns.high)}, mean {control.returns.mean:.4g}; "
            f"lengths {low_to_high(control.lengths.low, control.lengths.high)}, mean {control.lengths.mean:.4g}.",
            caption=f"{control.num_sampled:,} of {control.num_episodes:,} episodes."
            + (
                ""
                if references is None
                else " Dashed: mean returns of random actions and of the expert, from the task catalogue."
            ),
        )
    )
    for action in control.actions[:_ACTIONS_DRAWN]:
        blocks.append(_action_chart(action))
    fields = [field for field in control.fields if field.name.startswith("observation")]
    if fields:
        worst = sorted(fields, key=lambda field: field.effective_bins)[:_FIELDS_DRAWN]
        blocks.append(
            draw_chart(
                field_bars,
                worst,
                alt="; ".join(f"{field.name} {field.effective_bins:.0f} effective bins" for field in worst),
                caption=f"The {len(worst)} of {len(fields)} observed numbers that are encoded most coarsely. Effective "
                "bins: how many bins an even use would take. Marks right of the bar: what the same values would use "
                "after subtracting the mean and dividing by the deviation, or after mapping their range to [−1, 1].",
            )
        )
    if control.fields:
        blocks.append(field_table(control.fields))
    return blocks


def _action_chart(action: ActionAudit) -> Chart:
    spoken = ", ".join(f"{name} {count}" for name, count in action.counts[:12])
    return draw_chart(
        action_bars,
        action,
        alt=f"{action.path}: {spoken}.",
        caption=f"{action.path}, {action.num_timesteps:,} sampled timesteps; {percent(action.repeat_share, 1)} repeat "
        f"the action before. Right: what predicts it, for {action.num_queries} timesteps; similar observations are the "
        "5 nearest of other episodes. If repeating wins, a copycat has an easy life.",
    )


def _language_blocks(language: LanguageAudit, mixture: MixtureAudit) -> list[Block]:
    blocks: list[Block] = [language_table(language)]
    if language.length_values:
        blocks.append(
            draw_chart(
                length_histogram,
                language.length_values,
                mixture.data.context_length,
                alt=f"Tokens of a record: {low_to_high(min(language.length_values), max(language.length_values))}.",
            )
        )
    if language.answers is not None:
        common = language.answers.common
        label = "captions" if language.answers.blind_share is None else "answers"
        blocks.append(
            draw_chart(
                count_bars,
                common,
                label,
                alt="; ".join(f"{answer} {count}" for answer, count in common),
                caption=f"The most common of {language.answers.num_distinct:,} different {label}.",
            )
        )
    return blocks


def _example_blocks(example: RowExample) -> list[Block]:
    counts = ", ".join(
        f"{kind} {int((example.kinds == index).sum())}"
        for index, kind in enumerate(TOKEN_KINDS)
        if (example.kinds == index).any()
    )
    cut = len(example.kinds) > MAX_DRAWN
    lines = row_text(example).splitlines()
    heading = "    place time   loss=* field and value as the network reads it"
    underlined = "underlined tokens are predicted"
    if example.action_mask.any():
        heading += "; -> the action that the token above predicts"
        underlined = "what is learned is predicted from underlined tokens"
    more = [] if len(lines) <= _ROW_LINES else [f"... {len(lines) - _ROW_LINES} more lines"]
    return [
        draw_chart(
            row_figure,
            example,
            alt=f"One row of {len(example.kinds)} tokens: {counts}.",
            caption=f"One row of {len(example.kinds)} tokens as training draws it"
            + (f"; the first {MAX_DRAWN} are drawn." if cut else ".")
            + f" Read line by line; a vertical line starts a timestep, {underlined}."
            + (f" It holds {len(example.parts)} parts that do not see each other." if example.parts[1:] else ""),
        ),
        Code(
            text="\n".join([heading, *lines[:_ROW_LINES], *more]),
            folded_under="The same row in words",
        ),
    ]
