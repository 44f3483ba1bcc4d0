"""Choosing the next token among the legal ids only, greedily or at a temperature.

An illegal token is impossible by construction: only the legal rows of the unembedding are multiplied, and the
choice is an index into those rows.
"""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np


def legal_rows(ranges: Iterable[tuple[int, int]]) -> tuple[slice, np.ndarray]:
    """The vocabulary rows that a run of action tokens may use.

    Args:
        ranges: legal ids [low, high) of each of A token slots.

    Returns:
        rows: the smallest slice of R ids that holds all ranges; and legal_mask (A, R) bool: what each slot allows.

    Raises:
        ValueError: there are no ranges, or one is empty.
    """
    bounds = np.asarray(list(ranges), np.int64).reshape(-1, 2)
    if len(bounds) == 0 or (bounds[:, 0] >= bounds[:, 1]).any() or (bounds < 0).any():
        raise ValueError(
            f"legal id ranges are {bounds.tolist()}, expected at least one [low, high) with 0 <= low < high"
        )
    rows = slice(int(bounds[:, 0].min()), int(bounds[:, 1].max()))
    ids = np.arange(rows.start, rows.stop)
    return rows, (bounds[:, :1] <= ids) & (ids < bounds[:, 1:])


def draw_keys(seeds: jax.Array, steps: jax.Array) -> jax.Array:
    """One key for each environment and step, whatever stands beside it in the batch.

    Args:
        seeds: (B,) uint32, one an episode.
        steps: (B,) int32, timesteps since the episode began.

    Returns:
        (B,) typed keys.
    """
    return jax.vmap(lambda seed, step: jax.random.fold_in(jax.random.key(seed), step))(seeds, steps)


def sample(logits_BR: jax.Array, legal_mask_R: jax.Array, keys: jax.Array, temperature: float) -> jax.Array:
    """Draws one row index each from softmax(logits / temperature) over the legal rows.

    Args:
        logits_BR: any float dtype; computed with in float32.
        legal_mask_R: at least one True.
        keys: (B,) keys, used up here; ignored at temperature 0.
        temperature: 0 takes the most likely legal row, the lowest index among equals.

    Returns:
        (B,) int32 indices, always of a legal row.
    """
    logits_BR = jnp.where(legal_mask_R[None], logits_BR.astype(jnp.float32), -jnp.inf)
    if temperature > 0:
        noise = jax.vmap(lambda key: jax.random.gumbel(key, logits_BR.shape[1:], jnp.float32))(keys)
        logits_BR = logits_BR / temperature + noise
    return jnp.argmax(logits_BR, axis=-1).astype(jnp.int32)
