"""The tables of a data audit, for the console and the page."""

from collections.abc import Sequence

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
    return Table(
        headings=(
            "source",
            "records",
            "timesteps",
            "tokens",
            "rows",
            "loss",
            "epochs",
            "return",
            "repeated",
            "leaked",
            "bad",
        ),
        rows=tuple(_summary(audit) for audit in mixture.sources),
        num_text_columns=1,
    )


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
        shares = (
            sum(audit.row_share for audit in own),
            sum(tokens.get(audit.name, 0.0) for audit in own) / total,
            sum(audit.loss_share for audit in own),
        )
        rows.append((kind, f"{len(own)}", *(percent(share, 1) for share in shares)))
    return Table(headings=("kind", "sources", "rows", "tokens", "loss"), rows=tuple(rows))


def field_table(fields: Sequence[FieldAudit]) -> Table:
    """Lists the fields, those encoded most coarsely first."""
    shown = sorted(fields, key=lambda field: field.effective_bins)[:_FIELDS_LISTED]
    return Table(
        headings=(
            "field",
            "low",
            "high",
            "mean",
            "std",
            "not finite",
            "bins",
            "effective",
            "mu-law",
            "range",
            "quantiles",
            "outer",
        ),
        rows=tuple(
            (
                field.name,
                *(minus(f"{value:.3g}") for value in (field.low, field.high, field.mean, field.std)),
                str(field.num_non_finite),
                str(field.bins_used),
                f"{field.effective_bins:.1f}",
                f"{field.effective_bins_mu_law:.1f}",
                f"{field.effective_bins_range:.1f}",
                f"{field.effective_bins_quantiles:.1f}",
                percent(field.outer_share, 1),
            )
            for field in shown
        ),
    )


def control_table(audit: SourceAudit, control: ControlAudit) -> Table:
    """Lists what is known of a control source."""
    window = control.window_timesteps
    rows = audit.rows
    returns = control.returns
    tokens = ", ".join(f"{kind} {count:.4g}" for kind, count in control.tokens.items())
    facts = [
        ("episodes", f"{control.num_episodes:,}, of which {control.num_sampled:,} were read"),
        (
            "returns",
            f"{returns.mean:.4g} ± {returns.std:.3g}, from {returns.low:.4g} to {returns.high:.4g}"
            + ("" if audit.references is None else f"; {_against(audit)}"),
        ),
        ("lengths", f"{control.lengths.mean:.4g} timesteps, {low_to_high(control.lengths.low, control.lengths.high)}"),
        ("ends", f"{control.terminated_share:.0%} terminated, the rest truncated"),
        ("tokens per timestep", tokens or "nothing could be encoded"),
        (
            "a window shows",
            UNKNOWN
            if window is None
            else f"{window.median:.0f} timesteps, {percent(control.window_share, 1)} of an episode on average",
        ),
        ("tasks", f"{control.num_groups:,}; {control.num_alone:,} of them with a single episode"),
        ("actions not imitated", percent(control.masked_share, 1)),
        ("duplicates", _duplicates(control.duplicates)),
    ]
    if control.constant_pixels is not None:
        facts.append(("pixels that never change", percent(control.constant_pixels, 1)))
    fixed, discrete = control.constant_discrete
    if discrete:
        facts.append(("discrete numbers that never change", f"{fixed} of {discrete} observed"))
    if rows is not None:
        facts.append(("trained on", f"{rows.num_records:,} of {control.num_episodes:,} episodes"))
        facts.append(("a row", _row(audit)))
    return Table(headings=("what", "value"), rows=tuple(facts), num_text_columns=2)


def language_table(language: LanguageAudit) -> Table:
    """Lists what is known of a source of text or images."""
    facts = [
        ("records", f"{language.num_records:,}, of which {language.num_sampled:,} were read"),
        ("characters per record", f"{language.characters.mean:.4g}, median {language.characters.median:.4g}"),
        ("duplicates", _duplicates(language.duplicates)),
    ]
    if language.tokens is not None:
        per = language.characters.mean / max(language.tokens.mean, 1)
        facts.append(("text tokens per record", f"{language.tokens.mean:.4g}; {per:.2f} characters per token"))
        facts.append(("longer than a row", percent(language.cut_share, 1)))
    if language.turns is not None:
        facts.append(("turns per dialogue", f"{language.turns.mean:.3g}"))
    if language.pictures is not None:
        images = language.pictures
        sizes = ", ".join(f"{size} ({count:,})" for size, count in images.sizes[:4])
        more = "" if images.num_sizes <= 4 else f" and {images.num_sizes - 4:,} more sizes"
        facts.append(("image sizes", f"{sizes}{more}"))
        if images.patches is not None:
            facts.append(("patches per image", f"{images.patches.mean:.4g}, at most {images.patches.high:.0f}"))
        facts.append(("equal images", f"{images.num_equal:,} of {images.num_pictures:,}"))
    if language.answers is not None:
        answers = language.answers
        facts.append(("most common answer", f"{answers.common[0][0]!r}, right in {answers.majority_share:.1%}"))
        if answers.blind_share is not None:
            blind = f"{answers.blind_share:.1%} right from the question alone"
            if answers.blind_share < answers.majority_share:
                blind += ", less than always the most common: the answers of each question are balanced, or it is rare"
            facts.append(("without the image", blind))
    return Table(headings=("what", "value"), rows=tuple(facts), num_text_columns=2)


def _summary(audit: SourceAudit) -> tuple[str, ...]:
    measured = audit.control or audit.language
    timesteps = tokens = returns = UNKNOWN
    if audit.control is not None:
        count = audit.control.num_episodes * audit.control.lengths.mean
        timesteps = big_number(count)
        tokens = big_number(count * sum(audit.control.tokens.values()))
        mean = audit.control.returns.mean
        returns = f"{mean:,.0f}" if abs(mean) >= 1e4 else f"{mean:.4g}"
    elif audit.language is not None and audit.language.length_values:
        values = audit.language.length_values
        tokens = big_number(audit.language.num_records * sum(values) / len(values))
    if measured is None:
        records, repeated, leaked = UNKNOWN, UNKNOWN, UNKNOWN
    else:
        found = measured.duplicates
        sign = "" if found.complete else "≥"
        records = f"{measured.num_episodes if isinstance(measured, ControlAudit) else measured.num_records:,}"
        repeated = f"{sign}{found.num_exact + found.num_near}"
        leaked = f"{sign}{found.num_leaked_exact + found.num_leaked_near}"
    problems = (measured.num_problems if measured is not None else 0) + bool(audit.failure)
    return (
        audit.name,
        records,
        timesteps,
        tokens,
        percent(audit.row_share, 1),
        percent(audit.loss_share, 1) if audit.rows is not None else UNKNOWN,
        UNKNOWN if audit.epochs is None else f"{audit.epochs:.2g}" if audit.epochs < 10 else f"{audit.epochs:,.0f}",
        returns,
        repeated,
        leaked,
        str(problems),
    )


def _row(audit: SourceAudit) -> str:
    assert audit.rows is not None
    targets = ", ".join(f"{kind} {count:.4g}" for kind, count in audit.rows.targets.items())
    return f"{audit.rows.fill:.0%} full; predicted tokens: {targets} (mean of {audit.rows.num_rows} rows)"


def _against(audit: SourceAudit) -> str:
    assert audit.references is not None
    expert = "unknown" if audit.references.expert is None else f"{audit.references.expert:.4g}"
    return f"random {audit.references.random:.4g}, expert {expert}"


def _duplicates(found: Duplicates) -> str:
    sample = "" if found.complete else " (a sample: lower bounds)"
    pairs = "".join(f", {later} repeats {earlier}" for later, earlier in found.pairs[:3])
    return (
        f"{found.num_exact} equal and {found.num_near} nearly equal of {found.num_records:,}; "
        f"{found.num_leaked_exact} + {found.num_leaked_near} of {found.num_held_out} held-out ones leaked"
        f"{sample}{pairs}"
    )
