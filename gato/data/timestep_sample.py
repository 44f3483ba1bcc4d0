"""Uniformly drawn timesteps of a stream of episodes, thinned whenever they become too many."""

import numpy as np


class TimestepSample:
    """Columns of values, one entry per timestep."""

    def __init__(self, max_timesteps: int, rng: np.random.Generator) -> None:
        self._max, self._rng, self._fraction = max_timesteps, rng, 1.0
        self._chunks: list[dict[str, np.ndarray]] = []

    def add(self, columns: dict[str, np.ndarray]) -> None:
        """Adds one column or more of equally many entries, of the same names each time."""
        self._chunks.append(self._thin(columns, self._fraction))
        while sum(map(_length, self._chunks)) > self._max:
            self._fraction /= 2
            self._chunks = [self._thin(chunk, 0.5) for chunk in self._chunks]

    def columns(self) -> dict[str, np.ndarray]:
        """Returns all that is kept; something must have been added."""
        return {name: np.concatenate([chunk[name] for chunk in self._chunks]) for name in self._chunks[0]}

    def _thin(self, columns: dict[str, np.ndarray], fraction: float) -> dict[str, np.ndarray]:
        if fraction == 1:
            return columns
        kept = self._rng.random(_length(columns)) < fraction
        return {name: column[kept] for name, column in columns.items()}


def _length(columns: dict[str, np.ndarray]) -> int:
    return len(next(iter(columns.values())))
