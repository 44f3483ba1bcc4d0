"""What the rows of a source consist of: tokens and loss by modality, from rows drawn as for training.

The rows come from `open_rows` and `make_batch`, so windows, prompts, joined pairs and row weights are those of a run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gato.audit.sample import AuditContext
from gato.batch import Batch
from gato.config import TokenizerConfig
from gato.data.collate import make_batch
from gato.data.encoded import SequenceCache
from gato.data.mixture import open_rows

TOKEN_KINDS = (
    "text",
    "patches",
    "discrete observations",
    "continuous observations",
    "grouped observations",  # tokens of one or several numbers each, where numbers may share a token
    "separators",
    "discrete actions",
    "continuous actions",
    "grouped actions",
    "text actions",
)
PADDING = -1  # the kind of a token that is none
_ROWS_PER_BATCH = 4
_CACHE_BYTES = 1 << 28


@dataclass(frozen=True, kw_only=True)
class RowsAudit:
    """Means over rows of one source; tokens by kind."""

    num_rows: int
    num_records: int  # that rows start from: neither held out nor filtered out by min_return
    num_tokens: float  # of all those records, each once; estimated
    fill: float  # share of the context that holds tokens, the rest being padding
    timesteps: float  # per row, demonstrations included
    parts: float  # per row, that do not see each other
    tokens: Mapping[str, float]  # per row, by kind
    targets: Mapping[str, float]  # per row, by kind: tokens that carry loss, numbers where an action is one token
    loss_weight: Mapping[str, float]  # targets times the weight of their row, per row, by kind
    examples: Batch  # the first rows, to be looked at


def token_kinds(
    tokens: np.ndarray,
    local_positions: np.ndarray,
    patch_mask: np.ndarray,
    tokenizer: TokenizerConfig,
    *,
    values: np.ndarray | None = None,
    control: bool,
    discrete_first: bool,
) -> np.ndarray:
    """Returns the index in `TOKEN_KINDS` of each token, `PADDING` for padding.

    Args:
        tokens: (...) int32 ids.
        local_positions: (...) int32.
        patch_mask: (...) bool; True where the token is an image patch.
        tokenizer: vocabulary.
        values: (..., j) numbers of each token, where it may hold several; the padding id where there is none.
        control: whether the tokens are of episodes; if not, they are text and patches.
        discrete_first: with `paper_literal`, discrete values share ids with text; True takes these for discrete.

    Returns:
        int8 array of the same shape.
    """
    kinds = np.full(tokens.shape, TOKEN_KINDS.index("text"), np.int8)
    action = local_positions == tokenizer.action_position
    if control:
        ids = tokenizer.discrete_ids
        discrete = (tokens >= ids.start) & (tokens < ids.stop)
        if tokenizer.paper_literal and not discrete_first:
            discrete[...] = False
        ids = tokenizer.continuous_ids
        continuous = (tokens >= ids.start) & (tokens < ids.stop)
        kinds[action] = TOKEN_KINDS.index("text actions")
        for name, mask in (("discrete", discrete), ("continuous", continuous)):
            kinds[mask & ~action] = TOKEN_KINDS.index(f"{name} observations")
            kinds[mask & action] = TOKEN_KINDS.index(f"{name} actions")
        kinds[tokens == tokenizer.separator_id] = TOKEN_KINDS.index("separators")
    kinds[tokens == tokenizer.padding_id] = PADDING
    kinds[patch_mask] = TOKEN_KINDS.index("patches")
    if values is not None:
        holds_numbers = (values != tokenizer.padding_id).any(axis=-1)
        for name, mask in (("observations", ~action), ("actions", action)):
            kinds[holds_numbers & mask] = TOKEN_KINDS.index(f"grouped {name}")
    return kinds


def batch_kinds(batch: Batch, tokenizer: TokenizerConfig, *, control: bool, discrete_first: bool) -> np.ndarray:
    """Returns the `token_kinds` of all rows of a batch."""
    patch_mask = np.zeros((len(batch.tokens), batch.tokens.shape[1] + 1), bool)
    np.put_along_axis(patch_mask, batch.patch_indices, True, axis=1)  # absent patches point behind the row
    return token_kinds(
        batch.tokens,
        batch.local_positions,
        patch_mask[:, :-1],
        tokenizer,
        values=batch.values,
        control=control,
        discrete_first=discrete_first,
    )


def count_kinds(kinds: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float]:
    """Counts the tokens of each kind, or sums their weights; kinds without any are left out."""
    present = kinds != PADDING
    sums = np.bincount(
        kinds[present], None if weights is None else np.broadcast_to(weights, kinds.shape)[present], len(TOKEN_KINDS)
    )
    return {name: float(value) for name, value in zip(TOKEN_KINDS, sums, strict=True) if value}


def count_targets(batch: Batch, kinds: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """Sums the weights of the targets of each kind: tokens that carry loss, and numbers of actions of one token.

    Args:
        batch: rows.
        kinds: (B, L), of their tokens.
        weights: (B,), of a target of each row.
    """
    counts = count_kinds(kinds, batch.loss_mask * weights[:, None])
    if batch.action_mask is not None:
        num_numbers = batch.action_mask.sum(axis=1) * (batch.action_ranges[..., 1] > 0).sum(axis=1)
        if num_numbers.any():
            counts["grouped actions"] = float((num_numbers * weights).sum())
    return counts


def audit_rows(context: AuditContext, *, control: bool, discrete_first: bool) -> RowsAudit:
    """Draws rows of one source as training does.

    Raises:
        FileNotFoundError, ValueError: what training would stop at.
    """
    data, tokenizer, num_rows = context.data, context.tokenizer, context.limits.rows
    cache = SequenceCache(_CACHE_BYTES)
    rows = open_rows(data, context.source_id, tokenizer, context.text, cache, context.limits.seed, False)
    totals: list[dict[str, float]] = [{}, {}, {}]
    num_tokens = num_timesteps = num_parts = 0
    examples: Batch | None = None
    for start in range(0, num_rows, _ROWS_PER_BATCH):
        drawn = [rows[i] for i in range(start, min(start + _ROWS_PER_BATCH, num_rows))]
        batch = make_batch(drawn, data, tokenizer)
        examples = examples or batch
        num_tokens += int(batch.lengths.sum())
        num_timesteps += sum(row.sequence.num_timesteps for row in drawn)
        num_parts += sum(len(row.parts) for row in drawn)
        kinds = batch_kinds(batch, tokenizer, control=control, discrete_first=discrete_first)
        targets = [count_targets(batch, kinds, weights) for weights in (np.ones(len(drawn)), batch.row_weights)]
        for total, counts in zip(totals, (count_kinds(kinds), *targets), strict=True):
            for name, value in counts.items():
                total[name] = total.get(name, 0.0) + value / num_rows
    assert examples is not None
    return RowsAudit(
        num_rows=num_rows,
        num_records=len(rows.records),
        num_tokens=rows.estimate_tokens(num_rows),
        fill=num_tokens / (num_rows * data.context_length),
        timesteps=num_timesteps / num_rows,
        parts=num_parts / num_rows,
        tokens=totals[0],
        targets=totals[1],
        loss_weight=totals[2],
        examples=examples,
    )


def loss_shares(audits: Sequence[RowsAudit | None], weights: Sequence[float]) -> list[dict[str, float]]:
    """Computes each source's share of the loss by kind, at the weights of the mixture; they add up to 1.

    Args:
        audits: one per source; None for a source that gives no rows.
        weights: how often the mixture draws from each source, in any unit.
    """
    total = sum(
        weight * sum(audit.loss_weight.values())
        for audit, weight in zip(audits, weights, strict=True)
        if audit is not None
    )
    return [
        {name: weight * value / total for name, value in audit.loss_weight.items()} if audit and total else {}
        for audit, weight in zip(audits, weights, strict=True)
    ]
