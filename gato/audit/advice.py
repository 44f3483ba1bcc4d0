"""What to do about a mixture, in words: each advice comes from one rule whose threshold stands below.

A rule compares measured numbers with its threshold and nothing else; thresholds are rules of thumb of this project.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from gato.audit.actions import ActionAudit
from gato.audit.control import ControlAudit
from gato.audit.duplicates import Duplicates
from gato.audit.fields import FieldAudit
from gato.audit.mixture import MixtureAudit, SourceAudit
from gato.audit.rows import RowsAudit
from gato.audit.text import LanguageAudit
from gato.config import TokenizerConfig

Verb: TypeAlias = Literal["repair", "drop", "re-weight", "re-scale", "collect", "set", "check"]

MAX_DUPLICATE_SHARE = 0.05  # of records that repeat another
MIN_HELD_OUT = 5  # records; fewer give a held-out loss that is mostly chance
MIN_EPISODES = 20
MIN_EFFECTIVE_BINS = 32.0  # a field with fewer is resolved coarsely ...
MIN_SCALING_GAIN = 4.0  # ... and scaling it is worth a change if it gives so many times more
MIN_DISTINCT = 64  # values that a field takes; with fewer, few bins are enough
MAX_OUTER_SHARE = 0.01  # of an observation's values in the first or last bin
MAX_BANG_BANG_SHARE = 0.5  # of an action's values in the first or last bin
MAX_LOSS_RATIO = 4.0  # between a source's share of the loss and its share of the rows, either way
MAX_REPEAT_SHARE = 0.7  # of actions that equal the one before
MIN_NEIGHBOUR_GAIN = 0.05  # by which the observation must beat the constant action
MIN_WINDOW_TIMESTEPS = 8
MIN_FILL = 0.5  # of a row
MIN_NORMALIZED_RETURN = 0.8  # 0 is random, 1 the expert
MAX_ALONE_SHARE = 0.1  # of episodes that no other episode can prompt
MAX_MAJORITY_SHARE = 0.5  # of answers that are the most common one
MAX_BLIND_SHARE = 0.75  # of answers that the question alone predicts
MAX_CONSTANT_PIXELS = 0.5
MAX_CONSTANT_SHARE = 0.1  # of fields that fall into one bin
_NAMES_SHOWN = 8  # sources named of those with the same advice
MAX_EPOCHS = 16.0  # times that a run shows the training records on average


@dataclass(frozen=True, kw_only=True)
class Advice:
    """One thing to do."""

    source: str
    verb: Verb
    text: str
    rule: str  # what was compared with what


def advise(mixture: MixtureAudit) -> list[Advice]:
    """Returns all advice, source by source in the order of the mixture; what stops training first."""
    found = [
        Advice(source=audit.name, verb=verb, text=text, rule=rule)
        for audit in mixture.sources
        for verb, text, rule in _advise_source(audit, mixture)
    ]
    return sorted(found, key=lambda advice: advice.verb != "repair")


def group(advice: Sequence[Advice]) -> list[tuple[Advice, ...]]:
    """Groups advice by rule: in the order of `Verb`, and within a verb the rules of most sources first."""
    groups: dict[tuple[str, str], list[Advice]] = {}
    for one in advice:
        groups.setdefault((one.verb, one.rule), []).append(one)
    order = get_args(Verb)
    return sorted(map(tuple, groups.values()), key=lambda same: (order.index(same[0].verb), -len(same)))


def name_sources(same: Sequence[Advice]) -> str:
    """Names the sources of a group, the first few of them."""
    names = [one.source for one in same]
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more


_Found: TypeAlias = Iterator[tuple[Verb, str, str]]


def _advise_source(audit: SourceAudit, mixture: MixtureAudit) -> _Found:
    if audit.failure:
        yield "repair", f"it cannot be trained on: {audit.failure}", "rows are drawn as training draws them"
    measured = audit.control or audit.language
    if measured is not None:
        if measured.num_problems:
            yield (
                "repair",
                f"{measured.num_problems} of the sampled records cannot be used, such as: {measured.problems[0]}",
                "every sampled record must be readable and encodable",
            )
        yield from _duplicates(measured.duplicates)
    if audit.control is not None:
        yield from _control(audit, audit.control, mixture.tokenizer)
    if audit.language is not None:
        yield from _language(audit.language)
    if audit.rows is not None:
        yield from _rows(audit, audit.rows, mixture)
    if audit.epochs is not None and audit.epochs > MAX_EPOCHS:
        yield (
            "re-weight",
            f"the run shows its training records {audit.epochs:.3g} times on average: expect them to be learned by "
            "heart; lower its weight, set max_epochs, or collect more",
            f"more than {MAX_EPOCHS:.0f} epochs in a run",
        )


def _duplicates(found: Duplicates) -> _Found:
    repeated = found.num_exact + found.num_near
    if repeated > MAX_DUPLICATE_SHARE * found.num_records:
        yield (
            "drop",
            f"{found.num_exact} of {found.num_records} records compared equal an earlier one and {found.num_near} more "
            f"nearly do: keep one of each, or lower the weight of the source",
            f"more than {MAX_DUPLICATE_SHARE:.0%} of records repeat",
        )
    leaked = found.num_leaked_exact + found.num_leaked_near
    if leaked:
        yield (
            "drop",
            f"{leaked} of {found.num_held_out} held-out records compared also stand in the training part "
            f"({found.num_leaked_exact} equal, {found.num_leaked_near} nearly): the held-out loss rewards memory; "
            "remove duplicates before the split",
            "any held-out record repeats a training record",
        )
    if found.complete and 0 < found.num_held_out < MIN_HELD_OUT:
        yield (
            "set",
            f"it holds out only {found.num_held_out} of its records: raise held_out, or trust its held-out loss little",
            f"fewer than {MIN_HELD_OUT} held-out records",
        )


def _control(audit: SourceAudit, control: ControlAudit, tokenizer: TokenizerConfig) -> _Found:
    if control.num_episodes < MIN_EPISODES:
        yield "collect", f"it holds only {control.num_episodes} episodes", f"fewer than {MIN_EPISODES} episodes"
    references = audit.references
    if references is not None and references.expert is not None and references.expert > references.random:
        score = (control.returns.mean - references.random) / (references.expert - references.random)
        if score < MIN_NORMALIZED_RETURN:
            yield (
                "collect",
                f"its mean return is {control.returns.mean:.4g}, {score:.2f} of the way from random "
                f"({references.random:.4g}) to the expert ({references.expert:.4g}): imitation will not do better; "
                "keep the best episodes (min_return), or record better ones",
                f"normalised return below {MIN_NORMALIZED_RETURN}",
            )
    if audit.source.prompt.probability and control.num_alone > MAX_ALONE_SHARE * control.num_episodes:
        yield (
            "collect",
            f"{control.num_alone} of {control.num_episodes} episodes are the only ones of their task, so nothing can "
            "prompt them",
            f"more than {MAX_ALONE_SHARE:.0%} of episodes stand alone, and prompts are wanted",
        )
    window = control.window_timesteps
    if window is not None and window.median < min(MIN_WINDOW_TIMESTEPS, control.lengths.median):
        yield (
            "set",
            f"a row holds {window.median:.0f} timesteps of {sum(control.tokens.values()):.4g} tokens, "
            f"{control.window_share:.0%} of an episode: raise context_length or max_patches, {_shorter(tokenizer)}",
            f"the median window is shorter than {MIN_WINDOW_TIMESTEPS} timesteps and than the episode",
        )
    pixels = control.constant_pixels
    if pixels is not None and pixels > MAX_CONSTANT_PIXELS:
        yield (
            "drop",
            f"{pixels:.0%} of its pixels never change: crop or shrink the pictures and spend fewer patches",
            f"more than {MAX_CONSTANT_PIXELS:.0%} of pixels are constant",
        )
    fixed, discrete = control.constant_discrete
    if fixed > MAX_CONSTANT_SHARE * discrete:
        yield (
            "drop",
            f"{fixed} of {discrete} observed discrete numbers never change in the sample: they take "
            f"{_taken(tokenizer)} and tell nothing",
            f"more than {MAX_CONSTANT_SHARE:.0%} of discrete numbers are constant",
        )
    yield from _fields(control, tokenizer)
    for action in control.actions:
        yield from _action(action, tokenizer)


def _fields(control: ControlAudit, tokenizer: TokenizerConfig) -> _Found:
    fields = [field for field in control.fields if field.name.startswith("observation")]
    broken = [field for field in control.fields if field.num_non_finite]
    if broken:
        yield (
            "drop",
            f"{len(broken)} fields hold values that are not finite, most in {broken[0].name}",
            "any value is NaN or infinite",
        )
    constant = [field for field in fields if field.bins_used == 1 and field.num_distinct < MIN_DISTINCT]
    if len(constant) > MAX_CONSTANT_SHARE * len(fields):
        yield (
            "drop",
            f"{len(constant)} of {len(fields)} observed numbers always fall into the same bin, {_names(constant)}: "
            f"they take {_taken(tokenizer)} and tell nothing",
            f"more than {MAX_CONSTANT_SHARE:.0%} of fields use one bin and take fewer than {MIN_DISTINCT} values",
        )
    coarse = [
        field
        for field in fields
        if field.effective_bins < MIN_EFFECTIVE_BINS
        and field.num_distinct >= MIN_DISTINCT
        and max(_scaled_bins(field).values()) >= MIN_SCALING_GAIN * field.effective_bins
    ]
    if coarse:
        worst = min(coarse, key=lambda field: field.effective_bins)
        bins = _scaled_bins(worst)
        best, other = sorted(bins, key=lambda rule: -bins[rule])
        yield (
            "re-scale",
            f"{len(coarse)} of {len(fields)} observed numbers are encoded coarsely, {_names(coarse)}; {worst.name} "
            f"spreads over {worst.effective_bins:.0f} effective bins: scaling {best!r} of its source would use "
            f"{bins[best]:.0f}, {other!r} {bins[other]:.0f}",
            f"fewer than {MIN_EFFECTIVE_BINS:.0f} effective bins, and scaling gives {MIN_SCALING_GAIN:.0f} times more",
        )
    saturated = [field for field in fields if field.outer_share > MAX_OUTER_SHARE]
    if saturated:
        worst = max(saturated, key=lambda field: field.outer_share)
        yield (
            "re-scale",
            f"{len(saturated)} of {len(fields)} observed numbers reach the outer bins, {_names(saturated)}; "
            f"{worst.outer_share:.0%} of {worst.name}, which spans {worst.low:.4g} to {worst.high:.4g}: what lies "
            "there looks all the same",
            f"more than {MAX_OUTER_SHARE:.0%} of a field's values in the first or last bin",
        )
    bound = [field for field in control.fields if field not in fields and field.outer_share > MAX_BANG_BANG_SHARE]
    if bound:
        yield (
            "check",
            f"{_names(bound)} are mostly at their bounds: a discrete action, or wider bounds, would say the same",
            f"more than {MAX_BANG_BANG_SHARE:.0%} of an action's values in the first or last bin",
        )


def _scaled_bins(field: FieldAudit) -> dict[str, float]:
    """Returns the effective bins under each `SourceConfig.scaling` that departs from the paper's rule."""
    return {"quantiles": field.effective_bins_quantiles, "range": field.effective_bins_range}


def _shorter(tokenizer: TokenizerConfig) -> str:
    """Says what makes a timestep shorter."""
    if tokenizer.has_groups:
        return "raise values_per_token, or shrink the observations"
    return "let numbers share tokens (values_per_token), or shrink the observations"


def _taken(tokenizer: TokenizerConfig) -> str:
    """Says what a number takes."""
    return "places of tokens" if tokenizer.has_groups else "tokens"


def _action(action: ActionAudit, tokenizer: TokenizerConfig) -> _Found:
    seen = tokenizer.own_actions != "hidden"  # what is not seen cannot be copied
    if seen and action.repeat_share is not None and action.repeat_share > MAX_REPEAT_SHARE:
        yield (
            "check",
            f"{action.repeat_share:.0%} of {action.path} only repeat the action before: a copycat scores well on loss "
            "and plays badly; watch accuracy on changed actions, set repeated_action_share, or add demonstrations with "
            "noise",
            f"more than {MAX_REPEAT_SHARE:.0%} of actions repeat",
        )
    if action.neighbour_score is None:
        return
    if action.neighbour_score < action.constant_score + MIN_NEIGHBOUR_GAIN:
        yield (
            "check",
            f"{action.path} cannot be told from similar observations ({_measure(action)} {action.neighbour_score:.2f}, "
            f"the constant action {action.constant_score:.2f}): it needs history, finer comparison or more data, or "
            "the demonstrator is random",
            f"nearest neighbours gain less than {MIN_NEIGHBOUR_GAIN} on the constant action",
        )
    elif seen and action.repeat_score is not None and action.repeat_score >= action.neighbour_score:
        yield (
            "check",
            f"the last action tells {action.path} better than similar observations do ({_measure(action)} "
            f"{action.repeat_score:.2f} against {action.neighbour_score:.2f}): copying is the easier lesson",
            "repeating scores at least as well as nearest neighbours",
        )


def _language(language: LanguageAudit) -> _Found:
    answers = language.answers
    if answers is not None and answers.majority_share > MAX_MAJORITY_SHARE:
        yield (
            "collect",
            f"{answers.majority_share:.0%} of {answers.num_answers} answers are {answers.common[0][0]!r}: collect or "
            "weigh the others, or accuracy says little",
            f"more than {MAX_MAJORITY_SHARE:.0%} of answers are the same",
        )
    if answers is not None and answers.blind_share is not None and answers.blind_share > MAX_BLIND_SHARE:
        yield (
            "collect",
            f"the question alone tells {answers.blind_share:.0%} of the answers: balance the answers of each question, "
            "or the picture is not needed",
            f"more than {MAX_BLIND_SHARE:.0%} right without the picture",
        )
    if language.pictures is not None and language.pictures.num_leaked:
        yield (
            "check",
            f"{language.pictures.num_leaked} of {language.duplicates.num_held_out} held-out records show a picture "
            "that training shows too: split by picture if unseen pictures are to be tested",
            "any held-out picture equals a training picture",
        )


def _rows(audit: SourceAudit, rows: RowsAudit, mixture: MixtureAudit) -> _Found:
    if rows.fill < MIN_FILL:
        remedy = "join short records"
        if audit.language and audit.language.pictures:
            remedy = "raise pairs_per_row"
        elif audit.control is not None and not mixture.data.pack_windows:
            remedy = "set pack_windows"
        yield (
            "set",
            f"its rows are {rows.fill:.0%} full and otherwise padding: shorten context_length, or {remedy}",
            f"rows less than {MIN_FILL:.0%} full",
        )
    text = rows.loss_weight.get("text", 0.0)
    acted = sum(weight for kind, weight in rows.loss_weight.items() if kind.endswith("actions"))
    if audit.control is not None and text > acted:
        yield (
            "set",
            f"text in its observations takes {text / (text + acted):.0%} of its loss, its actions the rest: set "
            "text_observation_loss to false",
            "observed text outweighs actions in the loss",
        )
    if len(mixture.sources) > 1 and audit.loss_share:
        ratio = audit.loss_share / audit.row_share
        if not 1 / MAX_LOSS_RATIO <= ratio <= MAX_LOSS_RATIO:
            weight = audit.source.weight / ratio**mixture.data.weight_temperature
            yield (
                "re-weight",
                f"it gives {audit.row_share:.1%} of the rows but {audit.loss_share:.1%} of the loss: a weight of "
                f"about {weight:.2g} would make the two shares alike, as would a row_loss_exponent near 1 for all",
                f"shares of loss and rows differ more than {MAX_LOSS_RATIO:.0f} times",
            )


def _measure(action: ActionAudit) -> str:
    return "variance explained" if action.kind == "continuous" else "accuracy"


def _names(fields: Sequence[FieldAudit]) -> str:
    """Lists the first few names."""
    shown = ", ".join(field.name for field in fields[:3])
    return shown if len(fields) <= 3 else f"{shown} and {len(fields) - 3} more"
