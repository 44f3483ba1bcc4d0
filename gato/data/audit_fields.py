"""Continuous fields beside the bins that they fall into: which are lost, squeezed or constant, and what scaling helps.

The bins are those of the tokenizer's own codec, so the scaling rule is stated once, in `gato.tokenizer.leaves`.
"""

from dataclasses import dataclass

import numpy as np

from gato.config import TokenizerConfig
from gato.tokenizer.continuous import mu_law_encode, to_bins
from gato.tokenizer.leaves import ActionLeaf, ObservationLeaf


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
    effective_bins_standardized: float  # after (value - mean) / std, then mu-law as for any observation
    effective_bins_min_max: float  # after mapping [low, high] linearly to [-1, 1]


def effective_bins(bins: np.ndarray) -> float:
    """exp(entropy) of a list of bins: 1 where all are one bin, n where n bins are used evenly.

    Source: the perplexity of a distribution; Hill number of order 1.
    """
    shares = np.unique(bins, return_counts=True)[1] / len(bins)
    return float(np.exp(-np.sum(shares * np.log(shares))))


def audit_fields(
    leaf: ObservationLeaf | ActionLeaf, values: np.ndarray, non_finite: np.ndarray, config: TokenizerConfig
) -> list[FieldAudit]:
    """One record an element of a continuous leaf.

    Args:
        leaf: the tokenizer's codec of the leaf.
        values: (n, *shape) as the leaf encodes them; not finite ones are left out of all but their count.
        non_finite: (elements,) int; how many values that are not finite the whole sample holds.
        config: bins and mu-law.
    """
    flat = values.reshape(len(values), -1)
    finite = np.isfinite(flat)
    tokens = leaf.encode(np.where(finite, flat, 0).astype(values.dtype).reshape(values.shape)).tokens
    bins = tokens - config.continuous_ids.start
    width = flat.shape[1]
    return [
        _audit_field(
            leaf.path if width == 1 else f"{leaf.path}[{i}]",
            flat[finite[:, i], i].astype(np.float64),
            bins[finite[:, i], i],
            int(non_finite[i]),
            config,
        )
        for i in range(width)
        if finite[:, i].any()
    ]


def _audit_field(
    name: str, values: np.ndarray, bins: np.ndarray, num_non_finite: int, config: TokenizerConfig
) -> FieldAudit:
    low, high, mean, std = (float(f(values)) for f in (np.min, np.max, np.mean, np.std))
    standardized = mu_law_encode((values - mean) / (std or 1.0), config.mu, config.mu_scale)
    spread = 2 * (values - low) / ((high - low) or 1.0) - 1
    return FieldAudit(
        name=name,
        num_values=len(values),
        num_non_finite=num_non_finite,
        low=low,
        high=high,
        mean=mean,
        std=std,
        num_distinct=len(np.unique(values)),
        bins_used=len(np.unique(bins)),
        effective_bins=effective_bins(bins),
        outer_share=float(np.mean((bins == 0) | (bins == config.num_bins - 1))),
        effective_bins_standardized=effective_bins(to_bins(standardized, config.num_bins)),
        effective_bins_min_max=effective_bins(to_bins(spread, config.num_bins)),
    )
