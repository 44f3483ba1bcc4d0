"""The audit of a mixture: every source measured before anything is trained, and what each weighs in the loss."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from gato.audit.control import ControlAudit, audit_control
from gato.audit.example import RowExample, decode_row
from gato.audit.rows import RowsAudit, audit_rows, loss_shares
from gato.audit.sample import AuditContext, AuditLimits
from gato.audit.text import LanguageAudit, audit_language
from gato.config import DataConfig, SourceConfig, TokenizerConfig
from gato.data.budgets import share_out
from gato.data.episode import ControlSource
from gato.data.prepared import PreparedSource
from gato.data.scaling import measure
from gato.tokenizer.text import TextTokenizer
from gato.tokenizer.tree import leaf_spaces


@dataclass(frozen=True, kw_only=True)
class References:
    """Mean returns that a source's own are compared with."""

    random: float
    expert: float | None = None


@dataclass(frozen=True, kw_only=True)
class SourceAudit:
    """Everything measured of one source; what training could not use is None, and `failure` says why."""

    source: SourceConfig
    row_share: float  # of the rows of the mixture, within its budget where the length of the run is known
    epochs: float | None = None  # how often the run shows its training records on average; None: length not known
    control: ControlAudit | None = None
    language: LanguageAudit | None = None
    rows: RowsAudit | None = None
    example: RowExample | None = None
    loss_shares: Mapping[str, float] = dataclasses.field(default_factory=dict)  # of the mixture's loss, by kind
    references: References | None = None
    failure: str = ""  # why the source cannot be opened, measured or trained on

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def loss_share(self) -> float:
        """Returns the source's share of the mixture's loss."""
        return sum(self.loss_shares.values())


@dataclass(frozen=True, kw_only=True)
class MixtureAudit:
    """All sources of a config."""

    sources: tuple[SourceAudit, ...]
    data: DataConfig
    tokenizer: TokenizerConfig
    limits: AuditLimits


def audit_mixture(
    data: DataConfig,
    tokenizer: TokenizerConfig,
    text: TextTokenizer | None,
    open_source: Callable[[SourceConfig], Any],
    *,
    limits: AuditLimits,
    references: Mapping[str, References] | None = None,
    num_rows: int | None = None,
    report_progress: Callable[[str], None] = lambda name: None,
) -> MixtureAudit:
    """Measures each source and what it weighs; a source that fails is reported and the others go on.

    Args:
        data: the sources and the sizes of a row.
        tokenizer: vocabulary and constants.
        text: needed where a source holds text.
        open_source: `gato.data.sources.opening.open_source`; `Any`, as sources are of any kind.
        limits: how much is read.
        references: returns to compare with, by the name of the source.
        num_rows: that the run takes in all, for epochs and budgets; None leaves both out.
        report_progress: called with the name of each source before it is read.

    Raises:
        ValueError: the config has no sources, or their budgets are used up before the run ends.
    """
    if not data.sources:
        raise ValueError("the data config has no sources, expected at least one")
    weights = data.row_weights
    audits = []
    for source_id, source in enumerate(data.sources):
        report_progress(source.name)
        audit = SourceAudit(
            source=source, row_share=weights[source_id] / sum(weights), references=(references or {}).get(source.name)
        )
        try:
            context = AuditContext(data=data, source_id=source_id, tokenizer=tokenizer, text=text, limits=limits)
            audit = _audit_source(audit, open_source, context)
        except (ValueError, FileNotFoundError, ImportError) as error:
            audit = dataclasses.replace(audit, failure=str(error))
        audits.append(audit)
    if num_rows is not None:
        audits = _within_budgets(audits, weights, num_rows)
    shares = loss_shares([audit.rows for audit in audits], [audit.row_share for audit in audits])
    return MixtureAudit(
        sources=tuple(
            dataclasses.replace(audit, loss_shares=share) for audit, share in zip(audits, shares, strict=True)
        ),
        data=data,
        tokenizer=tokenizer,
        limits=limits,
    )


def _within_budgets(audits: Sequence[SourceAudit], weights: Sequence[float], num_rows: int) -> list[SourceAudit]:
    """Sets shares and epochs for a run of so many rows; a source without rows keeps its share, as if it were repaired.

    Source: the rule of `gato.data.budgets`, on what was measured here.
    """
    limits = np.full(len(audits), np.inf)
    for i, audit in enumerate(audits):
        rows, source = audit.rows, audit.source
        if rows is not None and rows.num_records:
            budgets = [np.inf if source.max_tokens is None else source.max_tokens]
            budgets += [np.inf if source.max_epochs is None else source.max_epochs * rows.num_tokens]
            limits[i] = min(budgets) / sum(rows.tokens.values()) / num_rows
    shares = share_out(np.array(weights), limits)
    placed = []
    for audit, share in zip(audits, shares.tolist(), strict=True):
        rows, epochs = audit.rows, None
        if rows is not None and rows.num_records:
            epochs = share * num_rows * sum(rows.tokens.values()) / rows.num_tokens
        placed.append(dataclasses.replace(audit, row_share=share, epochs=epochs))
    return placed


def _audit_source(audit: SourceAudit, open_source: Callable[[SourceConfig], Any], context: AuditContext) -> SourceAudit:
    """Measures the records first, which is possible where rows cannot be drawn; then the rows.

    Of a prepared source it measures rows only: that holds its records as tokens, without spaces, returns and texts.
    """
    prepared = audit.source.kind == "prepared"
    opened: Any = PreparedSource(audit.source.path, audit.name) if prepared else open_source(audit.source)
    control = opened if isinstance(opened, ControlSource) else None
    discrete_first = control is None or not _holds_text(control)
    if control is not None:
        limit = context.limits.episodes
        source = measure(control, audit.source, context.tokenizer, context.text, max_episodes=limit)
        sources = [source if i == context.source_id else other for i, other in enumerate(context.data.sources)]
        context = dataclasses.replace(context, data=dataclasses.replace(context.data, sources=tuple(sources)))
        audit = dataclasses.replace(audit, source=source, control=audit_control(control, context))
    elif not prepared:
        audit = dataclasses.replace(audit, language=audit_language(opened, context))
    try:
        is_control = opened.facts.kind == "control" if prepared else control is not None
        rows = audit_rows(context, control=is_control, discrete_first=discrete_first)
    except ValueError as error:
        return dataclasses.replace(audit, failure=str(error))
    if prepared:
        return dataclasses.replace(audit, rows=rows)
    fullest = int(np.argmax(rows.examples.lengths))  # of the first rows; it shows most
    example = decode_row(rows.examples, fullest, context, control, discrete_first=discrete_first)
    return dataclasses.replace(audit, rows=rows, example=example)


def plain(value: Any) -> Any:
    """Turns an audit into JSON values; rows and images are left out, numbers that JSON lacks become null.

    `Any`: whatever stands in an audit's records.
    """
    if dataclasses.is_dataclass(value):
        left_out = ("examples", "example", "return_values", "length_values")
        return {name: plain(part) for name, part in vars(value).items() if name not in left_out}
    if isinstance(value, Mapping):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(part) for part in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _holds_text(control: ControlSource) -> bool:
    both = leaf_spaces(spaces.Tuple([control.observation_space, control.action_space]), "")
    return any(isinstance(space, spaces.Text) for _, space in both)
