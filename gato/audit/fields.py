"""Continuous fields beside the bins that they fall into: which are lost, squeezed or constant, and what scaling helps.

The bins are those of the tokenizer's own codec, so each rule is stated once: in `gato.tokenizer.leaves`, and in
`gato.data.scaling` where a span is measured.
"""

from dataclasses import dataclass

import numpy as np

from gato.config import FieldScale, TokenizerConfig
from gato.data.scaling import Span, span
from gato.tokenizer.leaves import ContinuousLeaf


@dataclass(frozen=True, kw_only=True)
class FieldAudit:
    """One continuous element of an observation or an action.

    Effective bins are exp(entropy) of the share of values in each bin: as many bins as an even use would take.
    """

    name: str
    num_values: int
    num_non_finite: int
    low: float
    high: float
    mean: float
    std: float
    num_distinct: int
    bins_used: int
    effective_bins: float
    outer_share: float  # of values in the first or the last bin
    effective_bins_mu_law: float  # under each `SourceConfig.scaling`, one of which gives `effective_bins`
    effective_bins_range: float
    effective_bins_quantiles: float


def effective_bins(bins: np.ndarray) -> float:
    """Returns exp(entropy) of a list of bins: 1 where all are one bin, n where n bins are used evenly.

    Source: the perplexity of a distribution; Hill number of order 1.
    """
    shares = np.unique(bins, return_counts=True)[1] / len(bins)
    return float(np.exp(-np.sum(shares * np.log(shares))))


def audit_fields(
    leaf: ContinuousLeaf, values: np.ndarray, non_finite: np.ndarray, config: TokenizerConfig
) -> list[FieldAudit]:
    """Audits each element of a continuous leaf.

    Args:
        leaf: the tokenizer's codec of the leaf.
        values: (n, *shape) as the leaf encodes them; not finite ones are left out of all but their count.
        non_finite: (elements,) int; how many values that are not finite the whole sample holds.
        config: bins and mu-law.
    """
    flat = values.reshape(len(values), -1)
    finite = np.isfinite(flat)
    filled = np.where(finite, flat, 0).astype(values.dtype).reshape(values.shape)

    def bins(codec: ContinuousLeaf) -> np.ndarray:
        return codec.encode(filled).tokens - config.continuous_ids.start

    def bins_of(rule: Span) -> np.ndarray:
        columns = [column[mask][:, None] for column, mask in zip(flat.T, finite.T, strict=True)]
        # Of an element without finite values any span will do: it is left out below.
        low, high = np.concatenate([span(each, rule) if len(each) else np.zeros((2, 1)) for each in columns], axis=1)
        return bins(leaf.rescaled(FieldScale(path=leaf.path, low=tuple(low.tolist()), high=tuple(high.tolist()))))

    now, mu_law, by_range, by_quantiles = bins(leaf), bins(leaf.rescaled(None)), bins_of("range"), bins_of("quantiles")
    audits = []
    for i in range(flat.shape[1]):
        mask = finite[:, i]
        if not mask.any():
            continue
        kept, used = flat[mask, i].astype(np.float64), now[mask, i]
        audits.append(
            FieldAudit(
                name=leaf.path if flat.shape[1] == 1 else f"{leaf.path}[{i}]",
                num_values=len(kept),
                num_non_finite=int(non_finite[i]),
                low=float(kept.min()),
                high=float(kept.max()),
                mean=float(kept.mean()),
                std=float(kept.std()),
                num_distinct=len(np.unique(kept)),
                bins_used=len(np.unique(used)),
                effective_bins=effective_bins(used),
                outer_share=float(np.mean((used == 0) | (used == config.num_bins - 1))),
                effective_bins_mu_law=effective_bins(mu_law[mask, i]),
                effective_bins_range=effective_bins(by_range[mask, i]),
                effective_bins_quantiles=effective_bins(by_quantiles[mask, i]),
            )
        )
    return audits
