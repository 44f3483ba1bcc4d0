"""A sequence of tokens: what the tokenizer makes, rows are cut from, and acting feeds to the network."""

import dataclasses
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np


@dataclass(frozen=True, kw_only=True)
class TokenSequence:
    """A run of n tokens, p of them image patches, divided into consecutive timesteps.

    A document is one timestep; so is an image with its text.
    """

    tokens: np.ndarray  # (n,) int32; the padding id where the token is a patch
    local_positions: np.ndarray  # (n,) int32
    loss_mask: np.ndarray  # (n,) bool
    changed_mask: np.ndarray  # (n,) bool; True at tokens of an action that differs from the previous timestep's
    patches: np.ndarray  # (p, patch, patch, 3) uint8
    patch_indices: np.ndarray  # (p,) int32, ascending: where in the sequence each patch stands
    patch_intervals: np.ndarray  # (p, 4) int32; quantised row low, row high, column low, column high
    starts: np.ndarray  # (timesteps + 1,) int64, ascending from 0; the last entry is n

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
        )

    def extend(self, tokens: np.ndarray, local_position: int) -> Self:
        """Returns a copy whose last timestep goes on with tokens at one local position, none a patch or a target."""
        count = len(tokens)
        return dataclasses.replace(
            self,
            tokens=np.concatenate([self.tokens, np.asarray(tokens, np.int32)]),
            local_positions=np.concatenate([self.local_positions, np.full(count, local_position, np.int32)]),
            loss_mask=np.concatenate([self.loss_mask, np.zeros(count, bool)]),
            changed_mask=np.concatenate([self.changed_mask, np.zeros(count, bool)]),
            starts=np.append(self.starts[:-1], self.starts[-1] + count),
        )

    def without_targets(self) -> Self:
        """Returns the same tokens, none of which carries loss."""
        return dataclasses.replace(self, loss_mask=np.zeros_like(self.loss_mask))

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
        )

    @functools.cached_property
    def key(self) -> str:
        """SHA-256 over all arrays with their shapes and dtypes: equal sequences have equal keys."""
        digest = hashlib.sha256()
        for field in fields(self):
            array = np.ascontiguousarray(getattr(self, field.name))
            digest.update(f"{field.name} {array.dtype.str} {array.shape} ".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()
