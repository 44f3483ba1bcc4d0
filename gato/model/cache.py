"""What the cached path keeps between calls (Cache) and takes at each call (Chunk)."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

import jax
import jax.numpy as jnp

from gato.config import ModelConfig


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Cache:
    """The KV cache: rotated keys and values of every layer in S cache slots per row, and the position in each slot."""

    keys: tuple[jax.Array, ...]  # one (B, H, S, K) array per layer
    values: tuple[jax.Array, ...]  # the same
    positions: jax.Array  # (B, S) int32; -1 where the cache slot is empty

    @classmethod
    def empty(cls, config: ModelConfig, batch_size: int, num_slots: int) -> Self:
        """Makes a cache that nothing has been written to; every array is a buffer of its own."""
        shape = batch_size, config.num_heads, num_slots, config.head_dim
        dtype = jnp.dtype(config.compute_dtype)
        return cls(
            keys=tuple(jnp.zeros(shape, dtype) for _ in range(config.num_layers)),
            values=tuple(jnp.zeros(shape, dtype) for _ in range(config.num_layers)),
            positions=jnp.full((batch_size, num_slots), -1, jnp.int32),
        )


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Chunk:
    """The next C tokens of each of B rows, at most P of them patches, and where their keys go.

    A token at position p sees the cached and new tokens at positions [0, p], except those that are neither in the
    prompt (position < prompt_length) nor in the window (position >= window_start).

    Arrays are numpy when the host makes them and `jax.Array` inside a compiled call, hence `Any`.
    """

    tokens: Any  # (B, C) int32; the padding id where the token is a patch and after the row's end
    local_positions: Any  # (B, C) int32
    patches: Any  # (B, P, patch, patch, 3) uint8
    patch_indices: Any  # (B, P) int32; index within the chunk, C where there is no patch
    patch_intervals: Any  # (B, P, 4) int32
    positions: Any  # (B, C) int32; rotary position counted from the row's start, -1 at padding
    cache_slots: Any  # (B, C) int32; cache slot to write, the number of cache slots at padding (not written)
    prompt_length: Any  # (B,) int32; tokens at the front that are never evicted
    window_start: Any  # (B,) int32
    clear_cache: Any  # (B,) bool; the row's cache is emptied before the chunk, but for its prompt
    values: Any = None  # (B, C, J) int32; the numbers of each token, None where every number is a token

    def next_token(
        self, tokens_B: jax.Array, local_positions_B: jax.Array, positions_B: jax.Array, cache_slots_B: jax.Array
    ) -> Self:
        """Returns the chunk of one token per row that follows this one in the same window."""
        return dataclasses.replace(
            self,
            tokens=tokens_B[:, None],
            local_positions=local_positions_B[:, None],
            patches=self.patches[:, :0],
            patch_indices=self.patch_indices[:, :0],
            patch_intervals=self.patch_intervals[:, :0],
            positions=positions_B[:, None],
            cache_slots=cache_slots_B[:, None],
            clear_cache=jnp.zeros_like(self.clear_cache),
            values=None,
        )
