"""The demonstration at the front of the context: prefilled once, and kept close to the window.

In training the window follows its prompt directly. When old timesteps leave, a gap opens between the two that grows
without bound; keys are stored rotated, so turning the prompt's keys by the width of the gap closes it again.
"""

import dataclasses

import jax
import jax.numpy as jnp

from gato.model.attention import rotate, rotation_of
from gato.model.cache import Cache


def follow(
    cache: Cache, prompt_keys: tuple[jax.Array, ...], prompt_lengths: jax.Array, gaps: jax.Array, rotary_base: float
) -> Cache:
    """The cache with each prompt's keys turned to positions that are `gaps` larger.

    Args:
        cache: prompts stand in the first slots of their rows.
        prompt_keys: the prompts' keys as they were prefilled, one (B, H, Q, K) array a layer; always turning these
            keeps rounding from building up.
        prompt_lengths: (B,) int32, at most Q.
        gaps: (B,) int32, elements that have left between the prompt and the window.
        rotary_base: as the model's.
    """
    num_slots, head_dim = prompt_keys[0].shape[2:]
    rotation = rotation_of(gaps[:, None], head_dim, rotary_base)
    basis = jnp.broadcast_to(jnp.eye(head_dim), (len(gaps), 1, head_dim, head_dim))
    # As a matrix: an elementwise rotation is compiled to a cosine and a sine for every number.
    turn_BKK = rotate(basis, rotation)[:, 0]
    pinned_B1Q1 = (jnp.arange(num_slots)[None] < prompt_lengths[:, None])[:, None, :, None]

    def turned(prompt: jax.Array, layer: jax.Array) -> jax.Array:
        moved = jnp.einsum("bhqk,bkj->bhqj", prompt.astype(jnp.float32), turn_BKK, precision="highest")
        kept = layer[:, :, :num_slots]
        return layer.at[:, :, :num_slots].set(jnp.where(pinned_B1Q1, moved.astype(layer.dtype), kept))

    return dataclasses.replace(cache, keys=tuple(map(turned, prompt_keys, cache.keys)))
