"""A sequence of tokens: what the tokenizer makes, rows are cut from, and acting feeds to the network."""

import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np


@dataclass(frozen=True, kw_only=True)
class GroupedNumbers:
    """What n tokens hold where several numbers may share one: at most j numbers per token, a per action.

    Numbers are the ids that they would have as tokens of their own; the padding id stands where there is none.
    """

    values: np.ndarray  # (n, j) int32 or uint16
    action_values: np.ndarray  # (n, a); the action that a token predicts; a is 0 where actions are no groups
    action_mask: np.ndarray  # (n,) bool; True where that action carries loss
    action_ranges: np.ndarray  # (a, 2) int32; legal ids [low, high) of each number of an action

    def __getitem__(self, chosen: slice | np.ndarray) -> Self:
        """Returns what some of the tokens hold."""
        return dataclasses.replace(
            self,
            values=self.values[chosen],
            action_values=self.action_values[chosen],
            action_mask=self.action_mask[chosen],
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Joins what consecutive tokens of one tokenizer hold."""
        return dataclasses.replace(
            parts[0],
            values=np.concatenate([part.values for part in parts]),
            action_values=np.concatenate([part.action_values for part in parts]),
            action_mask=np.concatenate([part.action_mask for part in parts]),
        )


@dataclass(frozen=True, kw_only=True)
class TokenSequence:
    """A run of n tokens, p of them image patches, divided into consecutive timesteps.

    A document is one timestep; so is an image with its text.
    """

    tokens: np.ndarray  # (n,) int32; the padding id where the token is a patch or holds several numbers
    local_positions: np.ndarray  # (n,) int32
    loss_mask: np.ndarray  # (n,) bool
    # (n,) bool; True at tokens of an action that differs from the previous timestep's; where actions take one token, at
    # the token that predicts it.
    changed_mask: np.ndarray
    patches: np.ndarray  # (p, patch, patch, 3) uint8
    patch_indices: np.ndarray  # (p,) int32, ascending: where in the sequence each patch stands
    patch_intervals: np.ndarray  # (p, 4) int32; quantised row low, row high, column low, column high
    starts: np.ndarray  # (timesteps + 1,) int64, ascending from 0; the last entry is n
    numbers: GroupedNumbers | None = None  # None where every number is a token

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        patches = f"{len(self.patches)} patches of {self.patches.shape[1:]}"
        return f"TokenSequence({self.num_timesteps} timesteps, {len(self)} tokens, {patches})"

    @property
    def num_timesteps(self) -> int:
        return len(self.starts) - 1

    def timesteps(self, first: int, stop: int) -> Self:
        """Returns the timesteps [first, stop) as a view."""
        low, high = self.starts[first], self.starts[stop]
        return self._view(low, high, self.starts[first : stop + 1] - low)

    def slice(self, low: int, high: int) -> Self:
        """Returns the tokens [low, high) as a view of one timestep, wherever timesteps begin."""
        return self._view(low, high, np.array([0, high - low]))

    def _view(self, low: int, high: int, starts: np.ndarray) -> Self:
        patch_low, patch_high = self.patch_indices.searchsorted((low, high)) if len(self.patches) else (0, 0)
        return type(self)(
            tokens=self.tokens[low:high],
            local_positions=self.local_positions[low:high],
            loss_mask=self.loss_mask[low:high],
            changed_mask=self.changed_mask[low:high],
            patches=self.patches[patch_low:patch_high],
            patch_indices=self.patch_indices[patch_low:patch_high] - np.int32(low),
            patch_intervals=self.patch_intervals[patch_low:patch_high],
            starts=starts,
            numbers=None if self.numbers is None else self.numbers[low:high],
        )

    def extend(self, other: Self) -> Self:
        """Returns a copy whose last timestep goes on with the tokens of another sequence."""
        joined = self.concatenate([self, other])
        return dataclasses.replace(joined, starts=np.append(self.starts[:-1], len(joined)))

    def without_targets(self) -> Self:
        """Returns the same tokens, none of which carries loss."""
        numbers = self.numbers
        if numbers is not None:
            numbers = dataclasses.replace(numbers, action_mask=np.zeros_like(numbers.action_mask))
        return dataclasses.replace(self, loss_mask=np.zeros_like(self.loss_mask), numbers=numbers)

    def keep(self, kept: np.ndarray) -> Self:
        """Returns the tokens of a mask (n,) bool, all patches among them; timesteps stay, though they may be empty."""
        counts = np.concatenate([[0], np.cumsum(kept)])
        return dataclasses.replace(
            self,
            tokens=self.tokens[kept],
            local_positions=self.local_positions[kept],
            loss_mask=self.loss_mask[kept],
            changed_mask=self.changed_mask[kept],
            patch_indices=counts[self.patch_indices].astype(np.int32),
            starts=counts[self.starts],
            numbers=None if self.numbers is None else self.numbers[kept],
        )

    def num_fitting(self, first: int, max_tokens: int, max_patches: int | None = None) -> int:
        """Counts the whole timesteps from `first` on that fit into the given numbers of tokens and patches."""
        stop = int(np.searchsorted(self.starts, self.starts[first] + max_tokens, side="right")) - 1
        if max_patches is not None:
            patch_counts = np.searchsorted(self.patch_indices, self.starts[first : stop + 1])
            stop = first + int(np.searchsorted(patch_counts, patch_counts[0] + max_patches, side="right")) - 1
        return max(stop - first, 0)

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Joins the parts one after another; each keeps its timesteps."""
        offsets = np.cumsum([0] + [len(part) for part in parts])
        numbers = [part.numbers for part in parts if part.numbers is not None]
        return cls(
            tokens=np.concatenate([part.tokens for part in parts]),
            local_positions=np.concatenate([part.local_positions for part in parts]),
            loss_mask=np.concatenate([part.loss_mask for part in parts]),
            changed_mask=np.concatenate([part.changed_mask for part in parts]),
            patches=np.concatenate([part.patches for part in parts]),
            patch_indices=np.concatenate(
                [part.patch_indices + np.int32(offset) for part, offset in zip(parts, offsets, strict=False)]
            ),
            patch_intervals=np.concatenate([part.patch_intervals for part in parts]),
            starts=np.concatenate(
                [part.starts[:-1] + offset for part, offset in zip(parts, offsets, strict=False)] + [offsets[-1:]]
            ),
            numbers=None if not numbers else GroupedNumbers.concatenate(numbers),
        )

    @functools.cached_property
    def key(self) -> str:
        """Returns a SHA-256 digest of the content: equal for equal sequences. No array may change once it is read."""
        digest = hashlib.sha256()
        for name, value in self.arrays().items():
            array = np.ascontiguousarray(value)
            digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns every array of the sequence, and of its numbers if it has them, by field."""
        parts = (self,) if self.numbers is None else (self, self.numbers)
        return {
            field.name: getattr(part, field.name) for part in parts for field in fields(part) if field.name != "numbers"
        }
