"""What the cached path keeps between calls (Cache) and takes at each call (Chunk)."""

from dataclasses import dataclass
from typing import Self

import jax
import jax.numpy as jnp


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Cache:
    """Rotated keys and values of every layer in S slots a row, and which position each slot holds."""

    keys: tuple[jax.Array, ...]  # one (B, H, S, K) array a layer
    values: tuple[jax.Array, ...]  # the same
    positions: jax.Array  # (B, S) int32; -1 where the slot is empty

    @classmethod
    def empty(cls, num_layers: int, shape: tuple[int, int, int, int], dtype: jax.typing.DTypeLike) -> Self:
        """A cache of (B, H, S, K) arrays that nothing has been written to; every array is a buffer of its own."""
        batch_size, _, num_slots, _ = shape
        return cls(
            keys=tuple(jnp.zeros(shape, dtype) for _ in range(num_layers)),
            values=tuple(jnp.zeros(shape, dtype) for _ in range(num_layers)),
            positions=jnp.full((batch_size, num_slots), -1, jnp.int32),
        )


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Chunk:
    """The next C tokens of each of B rows, at most P of them patches, and where their keys go.

    A token at position p sees the cached and new tokens at positions [0, p], except those that are neither
    pinned (position < pinned) nor in the window (position >= window_start).
    """

    tokens: jax.Array  # (B, C) int32; the padding id where the token is a patch and after the row's end
    local_positions: jax.Array  # (B, C) int32
    patches: jax.Array  # (B, P, patch, patch, 3) uint8
    patch_indices: jax.Array  # (B, P) int32; index within the chunk, C where there is no patch
    patch_intervals: jax.Array  # (B, P, 4) int32
    positions: jax.Array  # (B, C) int32; rotary position counted from the row's start, -1 at padding
    slots: jax.Array  # (B, C) int32; cache slot to write, the number of slots at padding (not written)
    pinned: jax.Array  # (B,) int32
    window_start: jax.Array  # (B,) int32
    reset: jax.Array  # (B,) bool; the row's cache is emptied before the chunk, but for what is pinned
