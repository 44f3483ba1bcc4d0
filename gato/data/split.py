"""Which records of a source are trained on, and which are held out."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gato.config import SourceConfig
from gato.data.episode import Records
from gato.data.returns import episode_returns, good_episodes


def split_records(
    num_records: int, fraction: float, *, held_out: bool, split_groups: Sequence[str] | None = None
) -> np.ndarray:
    """Returns the records trained on, or those held out: ascending indices, the same for every seed and run.

    Args:
        fraction: held out, [0, 1); at least one record if it is above 0, but never all.
        held_out: which side to return.
        split_groups: one name per record; records of one name stay on one side, and the fraction is one of names.
    """
    if split_groups is not None:
        names, name_of_record = np.unique(np.asarray(split_groups), return_inverse=True)
        return np.flatnonzero(np.isin(name_of_record, split_records(len(names), fraction, held_out=held_out)))
    num_held_out = min(max(round(num_records * fraction), int(fraction > 0)), num_records - 1)
    order = np.random.default_rng(num_records).permutation(num_records)
    return np.sort(order[:num_held_out] if held_out else order[num_held_out:])


def training_records(episodes: Records[Any], source: SourceConfig, returns: np.ndarray | None = None) -> np.ndarray:
    """Returns the episodes that rows are made of: ascending indices, neither held out nor below `min_return`.

    Args:
        episodes: the source, opened; encoded ones (hence `Any`) only with their returns.
        returns: (episodes,), where they are known; read from the episodes if they are needed and not given.
    """
    trained = split_records(len(episodes), source.held_out, held_out=False)
    if source.min_return is None:
        return trained
    if returns is None:
        returns = episode_returns(episodes, skip_bad=source.bad_records == "skip")
    return trained[good_episodes(returns, source.min_return)[trained]]


def spread(indices: np.ndarray, most: int) -> np.ndarray:
    """Returns at most so many of the indices, at even distances."""
    return indices if len(indices) <= most else indices[np.linspace(0, len(indices) - 1, most).astype(int)]
