"""Which ids each action token of each slot may take, and how it is chosen: what a step is compiled and called with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from gato.config import PolicyConfig, TokenizerConfig
from gato.inference.sampling import legal_rows


@dataclass(frozen=True, kw_only=True)
class ActionTable:
    """B slots, A tokens of the longest action. A token that a slot's action does not have takes the first row."""

    rows: slice  # of the vocabulary: all that are legal anywhere
    low: np.ndarray  # (B, A) int32; smallest legal id
    high: np.ndarray  # (B, A) int32; one more than the largest
    first_rows: np.ndarray  # (B,) int32; smallest legal id of each slot
    temperatures: np.ndarray  # (B, A) float32

    @classmethod
    def of(
        cls,
        ranges: Sequence[np.ndarray],
        policy: PolicyConfig,
        tokenizer: TokenizerConfig,
        include: slice | None = None,
    ) -> Self:
        """The table of slots with these legal ids.

        Args:
            ranges: of each slot, (its action tokens, 2) legal ids [low, high).
            policy: temperatures.
            tokenizer: tells continuous tokens from others.
            include: rows that shall be among `rows` too.
        """
        needed = [(int(own[:, 0].min()), int(own[:, 1].max())) for own in ranges]
        rows = legal_rows(needed if include is None else [*needed, (include.start, include.stop)])
        low = np.full((len(ranges), max(map(len, ranges))), rows.start, np.int32)
        high = low + 1
        for index, own in enumerate(ranges):
            low[index, : len(own)], high[index, : len(own)] = own.T
        continuous = tokenizer.continuous_ids
        is_continuous = (low == continuous.start) & (high == continuous.stop)
        of_continuous = policy.temperature if policy.continuous_temperature is None else policy.continuous_temperature
        return cls(
            rows=rows,
            low=low,
            high=high,
            first_rows=np.array([first for first, _ in needed], np.int32),
            temperatures=np.where(is_continuous, of_continuous, policy.temperature).astype(np.float32),
        )

    @property
    def num_tokens(self) -> int:
        return self.low.shape[1]

    @property
    def is_sampled(self) -> bool:
        """Whether any token is drawn rather than the most likely one."""
        return bool((self.temperatures > 0).any())

    @property
    def is_mixed(self) -> bool:
        """Whether slots differ in where their legal rows begin."""
        return bool((self.first_rows != self.rows.start).any())
