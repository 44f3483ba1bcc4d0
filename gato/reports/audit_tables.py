"""The tables of a data audit, for the console and the page."""

from collections.abc import Mapping, Sequence

from gato.audit.control import ControlAudit
from gato.audit.duplicates import Duplicates
from gato.audit.fields import FieldAudit
from gato.audit.mixture import MixtureAudit, SourceAudit
from gato.audit.text import LanguageAudit
from gato.reports.format import UNKNOWN, big_number, low_to_high, minus, percent
from gato.reports.table import Table

_FIELDS_LISTED = 40


def summary_table(mixture: MixtureAudit) -> Table:
    """Lists the sources, one row each."""
    return Table.from_rows([_summary(audit) for audit in mixture.sources])


def kind_table(mixture: MixtureAudit) -> Table:
    """Lists what each kind of source gives to the rows, the tokens and the loss of the mixture."""
    kinds = dict.fromkeys(audit.source.kind for audit in mixture.sources)
    tokens = {
        audit.name: audit.row_share * sum(audit.rows.tokens.values())
        for audit in mixture.sources
        if audit.rows is not None
    }
    total = sum(tokens.values()) or 1.0
    rows = []
    for kind in kinds:
        own = [audit for audit in mixture.sources if audit.source.kind == kind]
        shares = {
            "rows": sum(audit.row_share for audit in own),
            "tokens": sum(tokens.get(audit.name, 0.0) for audit in own) / total,
            "loss": sum(audit.loss_share for audit in own),
        }
        told = {name: percent(share, 1) for name, share in shares.items()}
        rows.append({"kind": kind, "sources": f"{len(own)}", **told})
    return Table.from_rows(rows)


def field_table(fields: Sequence[FieldAudit]) -> Table:
    """Lists the fields, those encoded most coarsely first."""
    shown = sorted(fields, key=lambda field: field.effective_bins)[:_FIELDS_LISTED]
    return Table.from_rows(
        [
            {
                "field": field.name,
                **{name: minus(f"{getattr(field, name):.3g}") for name in ("low", "high", "mean", "std")},
                "not finite": str(field.num_non_finite),
                "bins": str(field.bins_used),
                "effective": f"{field.effective_bins:.1f}",
                "mu-law": f"{field.effective_bins_mu_law:.1f}",
                "range": f"{field.effective_bins_range:.1f}",
                "quantiles": f"{field.effective_bins_quantiles:.1f}",
                "outer": percent(field.outer_share, 1),
            }
            for field in shown
        ]
    )


def control_table(audit: SourceAudit, control: ControlAudit) -> Table:
    """Lists what is known of a control source."""
    returns, window, rows, references = control.returns, control.window_timesteps, audit.rows, audit.references
    facts = {
        "episodes": f"{control.num_episodes:,}, of which {control.num_sampled:,} were read",
        "returns": f"{returns.mean:.4g} ± {returns.std:.3g}, {low_to_high(returns.low, returns.high)}",
        "lengths": f"{control.lengths.mean:.4g} timesteps, {low_to_high(control.lengths.low, control.lengths.high)}",
        "ends": f"{control.terminated_share:.0%} terminated, the rest truncated",
        "tokens per timestep": _by_kind(control.tokens, control.numbers) or "nothing could be encoded",
        "a window shows": UNKNOWN
        if window is None
        else f"{window.median:.0f} timesteps, {percent(control.window_share, 1)} of an episode on average",
        "tasks": f"{control.num_groups:,}; {control.num_alone:,} of them with a single episode",
        "actions not imitated": percent(control.masked_share, 1),
        "duplicates": _duplicates(control.duplicates),
    }
    if control.tokens and not any(kind.endswith("actions") for kind in control.tokens):
        facts["tokens per timestep"] += "; actions take none, but in demonstrations"
    if references is not None:
        expert = "unknown" if references.expert is None else f"{references.expert:.4g}"
        facts["returns"] += f"; random {references.random:.4g}, expert {expert}"
    if control.constant_pixels is not None:
        facts["pixels that never change"] = percent(control.constant_pixels, 1)
    fixed, discrete = control.constant_discrete
    if discrete:
        facts["discrete numbers that never change"] = f"{fixed} of {discrete} observed"
    if rows is not None:
        facts["trained on"] = f"{rows.num_records:,} of {control.num_episodes:,} episodes"
        predicted = f"predicted tokens: {_by_kind(rows.targets)}"
        if "grouped actions" in rows.targets:
            predicted = f"targets, each number of an action for itself: {_by_kind(rows.targets)}"
        parts = f" in {rows.parts:.3g} parts that do not see each other" if rows.parts > 1 else ""
        shown = f"{rows.fill:.0%} full, {rows.timesteps:.4g} timesteps{parts}"
        facts["a row"] = f"{shown}; {predicted} (mean of {rows.num_rows} rows)"
    return Table(headings=("what", "value"), rows=tuple(facts.items()), num_text_columns=2)


def language_table(language: LanguageAudit) -> Table:
    """Lists what is known of a source of text or images."""
    facts = {
        "records": f"{language.num_records:,}, of which {language.num_sampled:,} were read",
        "characters per record": f"{language.characters.mean:.4g}, median {language.characters.median:.4g}",
        "duplicates": _duplicates(language.duplicates),
    }
    if language.tokens is not None:
        per = language.characters.mean / max(language.tokens.mean, 1)
        facts["text tokens per record"] = f"{language.tokens.mean:.4g}; {per:.2f} characters per token"
        facts["longer than a row"] = percent(language.cut_share, 1)
    if language.turns is not None:
        facts["turns per dialogue"] = f"{language.turns.mean:.3g}"
    if (images := language.pictures) is not None:
        sizes = ", ".join(f"{size} ({count:,})" for size, count in images.sizes[:4])
        more = "" if images.num_sizes <= 4 else f" and {images.num_sizes - 4:,} more sizes"
        facts["image sizes"] = f"{sizes}{more}"
        if images.patches is not None:
            facts["patches per image"] = f"{images.patches.mean:.4g}, at most {images.patches.high:.0f}"
        facts["equal images"] = f"{images.num_equal:,} of {images.num_pictures:,}"
    if (answers := language.answers) is not None:
        facts["most common answer"] = f"{answers.common[0][0]!r}, right in {answers.majority_share:.1%}"
        if answers.blind_share is not None:
            blind = f"{answers.blind_share:.1%} right from the question alone"
            if answers.blind_share < answers.majority_share:
                blind += ", less than always the most common: the answers of each question are balanced, or it is rare"
            facts["without the image"] = blind
    return Table(headings=("what", "value"), rows=tuple(facts.items()), num_text_columns=2)


def _summary(audit: SourceAudit) -> dict[str, str]:
    records = timesteps = tokens = returns = repeated = leaked = UNKNOWN
    if (control := audit.control) is not None:
        records = f"{control.num_episodes:,}"
        count = control.num_episodes * control.lengths.mean
        timesteps = big_number(count)
        tokens = big_number(count * sum(control.tokens.values()))
        mean = control.returns.mean
        returns = f"{mean:,.0f}" if abs(mean) >= 1e4 else f"{mean:.4g}"
    if (language := audit.language) is not None:
        records = f"{language.num_records:,}"
        if lengths := language.length_values:
            tokens = big_number(language.num_records * sum(lengths) / len(lengths))
    measured = control or language
    if measured is not None:
        found = measured.duplicates
        sign = "" if found.complete else "≥"
        repeated = f"{sign}{found.num_exact + found.num_near}"
        leaked = f"{sign}{found.num_leaked_exact + found.num_leaked_near}"
    epochs = audit.epochs
    return {
        "source": audit.name,
        "records": records,
        "timesteps": timesteps,
        "tokens": tokens,
        "rows": percent(audit.row_share, 1),
        "loss": UNKNOWN if audit.rows is None else percent(audit.loss_share, 1),
        "epochs": UNKNOWN if epochs is None else f"{epochs:.2g}" if epochs < 10 else f"{epochs:,.0f}",
        "return": returns,
        "repeated": repeated,
        "leaked": leaked,
        "bad": str((0 if measured is None else measured.num_problems) + bool(audit.failure)),
    }


def _by_kind(counts: Mapping[str, float], numbers: Mapping[str, float] | None = None) -> str:
    """Lists counts by kind, and how many numbers tokens hold that may hold several."""
    held = {kind: f" of {count:.4g} numbers" for kind, count in (numbers or {}).items()}
    return ", ".join(f"{kind} {count:.4g}{held.get(kind, '')}" for kind, count in counts.items())


def _duplicates(found: Duplicates) -> str:
    sample = "" if found.complete else " (a sample: lower bounds)"
    pairs = "".join(f", {later} repeats {earlier}" for later, earlier in found.pairs[:3])
    return (
        f"{found.num_exact} equal and {found.num_near} nearly equal of {found.num_records:,}; "
        f"{found.num_leaked_exact} + {found.num_leaked_near} of {found.num_held_out} held-out ones leaked"
        f"{sample}{pairs}"
    )
