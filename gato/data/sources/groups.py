"""Group numbers of episodes: those of one group show the same task and may prompt one another."""

from collections.abc import Hashable, Iterable

import numpy as np


def group_ids(keys: Iterable[Hashable]) -> np.ndarray:
    """Numbers equal keys alike, in the order in which they first come; (episodes,) int64."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
