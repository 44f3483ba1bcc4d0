"""Which ids each action token of each slot may take, and how it is chosen: what a step is compiled and called with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from gato.config import PolicyConfig, TokenizerConfig
from gato.inference.sampling import GREEDY, Sampling, legal_ids


@dataclass(frozen=True, kw_only=True)
class ActionTable:
    """B slots, A tokens of the longest action. A token that a slot's action does not have may take one id only."""

    token_ids: slice  # of the vocabulary: all that are legal anywhere
    low: np.ndarray  # (B, A) int32; smallest legal id
    high: np.ndarray  # (B, A) int32; one more than the largest
    first_ids: np.ndarray  # (B,) int32; smallest legal id of each slot
    temperatures: np.ndarray  # (B, A) float32
    sampling: Sampling  # greedy where no temperature is above 0; else at `temperatures` instead of its own

    @classmethod
    def of(
        cls,
        ranges: Sequence[np.ndarray],
        policy: PolicyConfig,
        tokenizer: TokenizerConfig,
        include: slice | None = None,
    ) -> Self:
        """Makes the table of slots with these legal ids.

        Args:
            ranges: of each slot, (its action tokens, 2) legal ids [low, high).
            policy: temperatures, and what draws are limited to.
            tokenizer: tells continuous tokens from others.
            include: ids that shall be among `token_ids` too.
        """
        needed = [(int(own[:, 0].min()), int(own[:, 1].max())) for own in ranges]
        token_ids = legal_ids(needed if include is None else [*needed, (include.start, include.stop)])
        low = np.full((len(ranges), max(map(len, ranges))), token_ids.start, np.int32)
        high = low + 1
        for index, own in enumerate(ranges):
            low[index, : len(own)], high[index, : len(own)] = own.T
        continuous = tokenizer.continuous_ids
        is_continuous = (low == continuous.start) & (high == continuous.stop)
        of_continuous = policy.temperature if policy.continuous_temperature is None else policy.continuous_temperature
        temperatures = np.where(is_continuous, of_continuous, policy.temperature).astype(np.float32)
        drawn = Sampling(temperature=1.0, top_k=policy.top_k, top_p=policy.top_p)
        return cls(
            token_ids=token_ids,
            low=low,
            high=high,
            first_ids=np.array([first for first, _ in needed], np.int32),
            temperatures=temperatures,
            sampling=drawn if (temperatures > 0).any() else GREEDY,
        )

    @property
    def num_tokens(self) -> int:
        return self.low.shape[1]

    @property
    def is_mixed(self) -> bool:
        """Returns whether slots differ in where their legal ids begin."""
        return bool((self.first_ids != self.token_ids.start).any())
