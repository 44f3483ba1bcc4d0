"""Rotary positions, and how a prompt's cached keys follow the window.

The published parameter totals imply Transformer-XL's relative positions; rotary positions are their cheap modern
equivalent, and keys that are stored rotated stay valid when older ones are evicted.

In training the window follows its prompt directly. When old timesteps are evicted from the KV cache, a gap without
bound opens between the two. Rotating the prompt's keys by the number of evicted tokens closes it again.

Source: RoFormer (Su et al., 2021).
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from gato.model.cache import Cache


def rotation_of(positions: jax.Array, head_dim: int, base: float) -> tuple[jax.Array, jax.Array]:
    """Returns cosines and sines of the rotary angles, each (B, 1, L, K / 2) float32, for positions (B, L)."""
    wavelengths = base ** (jnp.arange(0, head_dim, 2) / head_dim)
    angles = positions[:, None, :, None] / wavelengths[None, None, None]
    cos_and_sin = jnp.stack([jnp.cos(angles), jnp.sin(angles)])
    # Without a product behind them, XLA on CPU computes them anew for every head of every layer; a barrier is no help.
    cos, sin = jnp.matmul(cos_and_sin, jnp.eye(head_dim // 2), precision="highest")
    return cos, sin


def rotate(x_BHLK: jax.Array, rotation: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Turns each pair (i, i + K / 2) by its angle, in float32."""
    cos, sin = rotation
    low, high = jnp.split(x_BHLK.astype(jnp.promote_types(x_BHLK.dtype, jnp.float32)), 2, axis=-1)
    return jnp.concatenate([low * cos - high * sin, high * cos + low * sin], axis=-1).astype(x_BHLK.dtype)


def shift_prompt_keys(
    cache: Cache,
    prompt_keys: tuple[jax.Array, ...],
    prompt_lengths: jax.Array,
    num_evicted: jax.Array,
    rotary_base: float,
) -> Cache:
    """Returns the cache with each prompt's keys rotated to positions that are `num_evicted` larger.

    Args:
        cache: prompts stand in the first cache slots of their rows.
        prompt_keys: the prompts' keys as they were prefilled, one (B, H, Q, K) array per layer. Every shift starts
            from these, so that rounding does not build up.
        prompt_lengths: (B,) int32, at most Q.
        num_evicted: (B,) int32, tokens evicted between the prompt and the window.
        rotary_base: as the model's.
    """
    num_slots, head_dim = prompt_keys[0].shape[2:]
    rotation = rotation_of(num_evicted[:, None], head_dim, rotary_base)
    basis = jnp.broadcast_to(jnp.eye(head_dim), (len(num_evicted), 1, head_dim, head_dim))
    # As a matrix: an elementwise rotation is compiled to a cosine and a sine for every number.
    turn_BKK = rotate(basis, rotation)[:, 0]
    in_prompt_B1Q1 = (jnp.arange(num_slots)[None] < prompt_lengths[:, None])[:, None, :, None]

    def shifted(prompt: jax.Array, layer: jax.Array) -> jax.Array:
        moved = jnp.einsum("bhqk,bkj->bhqj", prompt.astype(jnp.float32), turn_BKK, precision="highest")
        kept = layer[:, :, :num_slots]
        return layer.at[:, :, :num_slots].set(jnp.where(in_prompt_B1Q1, moved.astype(layer.dtype), kept))

    return dataclasses.replace(cache, keys=tuple(map(shifted, prompt_keys, cache.keys)))


@functools.partial(jax.jit, static_argnames=("rotary_base",), donate_argnames=("cache",))
def restore_prompt_keys(
    cache: Cache, prompt_keys: tuple[jax.Array, ...], prompt_lengths: jax.Array, rotary_base: float
) -> Cache:
    """Returns the cache with prompts where they were prefilled, for windows that are encoded anew behind them.

    Args:
        cache: donated.
        prompt_keys: the prompts' keys as they were prefilled.
        prompt_lengths: (B,) int32; 0 where nothing is to be restored.
        rotary_base: static; as the model's.
    """
    return shift_prompt_keys(cache, prompt_keys, prompt_lengths, jnp.zeros_like(prompt_lengths), rotary_base)
