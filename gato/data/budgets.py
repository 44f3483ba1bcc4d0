"""How often a run shows each source: weights, cut where a source would be shown more than its budget allows.

What a cut source leaves is shared by the others in proportion to their weights, until all keep their budgets. Budgets
count tokens, prompts and repeated reading included; an epoch is as many as all training records have once.
Both are estimated from a sample of rows and records, which is the same for every process.
"""

from collections.abc import Sequence

import numpy as np

from gato.config import DataConfig
from gato.data.rows import Rows

_SAMPLED = 64  # rows, and records, from which the mean lengths of a source are estimated


def row_shares(rows: Sequence[Rows], data: DataConfig, num_rows: int | None) -> list[float]:
    """Computes the share of a run's rows that each source gets; 0 for one without records.

    Args:
        rows: one per source, in the order of the config.
        num_rows: that the run takes in all; None leaves budgets out.

    Raises:
        ValueError: a budget is too small for a single row, or all of them together for the run.
    """
    weights = np.array(
        [weight if len(part.records) else 0.0 for weight, part in zip(data.row_weights, rows, strict=True)]
    )
    if num_rows is None:
        return (weights / weights.sum()).tolist()
    limits = np.array([_most_rows(part, data, index) for index, part in enumerate(rows)])
    for source, limit in zip(data.sources, limits, strict=True):
        if limit < 1:
            raise ValueError(f"source {source.name!r}: its budget is less than one row: raise it or drop the source")
    return share_out(weights, limits / num_rows).tolist()


def share_out(weights: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Computes shares in proportion to the weights, none above its limit, that sum to 1.

    Args:
        weights: (n,), not negative.
        limits: (n,), in shares; infinite where there is none.

    Raises:
        ValueError: the limits of the weighted entries do not sum to 1.
    """
    shares = np.zeros(len(weights))
    free = weights > 0
    while free.any():
        left = 1 - shares[~free].sum()
        shares[free] = left * weights[free] / weights[free].sum()
        over = free & (shares > limits)
        if not over.any():
            return shares
        shares[over] = limits[over]
        free &= ~over
    if shares.sum() < 1 - 1e-9:
        raise ValueError(
            f"the budgets of all sources are used up after {shares.sum():.1%} of the run's rows: raise max_epochs or "
            "max_tokens of some, or take fewer steps"
        )
    return shares


def _most_rows(rows: Rows, data: DataConfig, index: int) -> float:
    """Estimates in how many rows a source's budget is used up; infinite where it has none."""
    source = data.sources[index]
    if (source.max_epochs is None and source.max_tokens is None) or not len(rows.records):
        return np.inf
    budgets = [] if source.max_tokens is None else [float(source.max_tokens)]
    if source.max_epochs is not None:
        budgets.append(source.max_epochs * rows.estimate_tokens(_SAMPLED))
    tokens_per_row = np.mean([len(rows[number].sequence) for number in range(_SAMPLED)])
    return float(min(budgets) / tokens_per_row)
