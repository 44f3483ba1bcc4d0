"""Choosing the next token among the legal ids only, greedily or at a temperature.

An illegal token is impossible by construction: only the legal rows of the unembedding are multiplied, and the
choice is an index into those rows.
"""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np


def legal_rows(ranges: Iterable[tuple[int, int]]) -> slice:
    """The smallest slice of vocabulary rows that holds all legal id ranges [low, high).

    Raises:
        ValueError: there are no ranges, or one is empty.
    """
    bounds = np.asarray(list(ranges), np.int64).reshape(-1, 2)
    if len(bounds) == 0 or (bounds[:, 0] >= bounds[:, 1]).any() or (bounds < 0).any():
        raise ValueError(
            f"legal id ranges are {bounds.tolist()}, expected at least one [low, high) with 0 <= low < high"
        )
    return slice(int(bounds[:, 0].min()), int(bounds[:, 1].max()))


def draw_keys(seeds: jax.Array, steps: jax.Array, num_draws: int) -> jax.Array:
    """Keys for the draws of each environment's step, whatever stands beside it in the batch.

    Args:
        seeds: (B,) uint32, one an episode.
        steps: (B,) int32, timesteps since the episode began.
        num_draws: A.

    Returns:
        (A, B) typed keys.
    """

    def keys_of(seed: jax.Array, step: jax.Array) -> jax.Array:
        return jax.random.split(jax.random.fold_in(jax.random.key(seed), step), num_draws)

    return jax.vmap(keys_of, out_axes=1)(seeds, steps)


def gumbel_noise(keys: jax.Array, num_rows: int) -> jax.Array:
    """What `sample` adds to logits, for keys of any shape: float32 (..., num_rows). A key is used up by it."""
    draw = jax.vmap(lambda key: jax.random.gumbel(key, (num_rows,), jnp.float32))
    return draw(keys.ravel()).reshape(*keys.shape, num_rows)


def sample(
    logits_BR: jax.Array,
    legal_mask_BR: jax.Array,
    temperature_B: jax.Array | None = None,
    noise_BR: jax.Array | None = None,
) -> jax.Array:
    """Chooses one row index each among the legal rows.

    Args:
        logits_BR: any float dtype; computed with in float32.
        legal_mask_BR: at least one True in each row.
        temperature_B: 0 takes the most likely legal row, the lowest index among equals; None is 0 everywhere.
        noise_BR: Gumbel noise, with which the choice is a draw from softmax(logits / temperature) over the legal
            rows; goes with the temperature.

    Returns:
        (B,) int32 indices, always of a legal row.

    Source: the Gumbel-max trick (Gumbel, 1954).
    """
    logits_BR = jnp.where(legal_mask_BR, logits_BR.astype(jnp.float32), -jnp.inf)
    if temperature_B is not None:
        assert noise_BR is not None
        temperature_B1 = temperature_B[:, None]
        drawn_BR = logits_BR / jnp.where(temperature_B1 > 0, temperature_B1, 1) + noise_BR
        logits_BR = jnp.where(temperature_B1 > 0, drawn_BR, logits_BR)
    return jnp.argmax(logits_BR, axis=-1).astype(jnp.int32)
