"""How the next token is chosen among the legal ids only: greedily, at a temperature, or from the likeliest ids.

An illegal token is impossible by construction: only the legal rows of the unembedding are multiplied, and the
choice is an index into those rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import jax
import jax.numpy as jnp
import numpy as np

from gato.config import check_truncation


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """A rule for drawing a token; the default takes the most likely one.

    Logits are divided by the temperature, then `top_k` cuts them, then `top_p` cuts what that leaves.

    Source: the Gumbel-max trick (Gumbel, 1954); top-k, Fan et al. (2018); nucleus, Holtzman et al. (2020).
    """

    temperature: float = 0.0  # 0 takes the most likely legal id, the lowest among equals
    top_k: int | None = None  # draws from this many likeliest ids; None = from all that are legal
    top_p: float | None = (
        None  # draws from the fewest likeliest ids whose probabilities sum up to this; None = from all
    )

    def __post_init__(self) -> None:
        check_truncation(self.top_k, self.top_p)
        if not self.temperature >= 0:
            raise ValueError(f"temperature is {self.temperature}, needs 0 or more")
        if self.is_greedy and self.is_truncated:
            raise ValueError(
                f"top_k is {self.top_k} and top_p {self.top_p} at temperature 0, which always takes the most likely "
                "token: set a temperature above 0"
            )

    @property
    def is_greedy(self) -> bool:
        return self.temperature == 0

    @property
    def is_truncated(self) -> bool:
        return self.top_k is not None or self.top_p is not None

    def choose(
        self,
        logits_BR: jax.Array,
        legal_mask_BR: jax.Array,
        noise_BR: jax.Array | None = None,
        temperature_B: jax.Array | None = None,
    ) -> jax.Array:
        """Chooses one legal id per row.

        Args:
            logits_BR: any float dtype; computed with in float32.
            legal_mask_BR: at least one True in each row.
            noise_BR: Gumbel noise, with which the choice is a draw; None takes the most likely id whatever the rule.
            temperature_B: temperatures of the rows instead of the rule's own.

        Returns:
            (B,) int32 indices into R, always of a legal id.
        """
        logits_BR = jnp.where(legal_mask_BR, logits_BR.astype(jnp.float32), -jnp.inf)
        if noise_BR is not None:
            if temperature_B is None:
                temperature_B = jnp.full(len(logits_BR), self.temperature)
            temperature_B1 = temperature_B[:, None]
            scaled_BR = logits_BR / jnp.where(temperature_B1 > 0, temperature_B1, 1)
            drawn_BR = scaled_BR + noise_BR
            if self.is_truncated:
                drawn_BR = jnp.where(self.kept_mask(scaled_BR), drawn_BR, -jnp.inf)
            logits_BR = jnp.where(temperature_B1 > 0, drawn_BR, logits_BR)
        return jnp.argmax(logits_BR, axis=-1).astype(jnp.int32)

    def kept_mask(self, scaled_BR: jax.Array) -> jax.Array:
        """Returns True at the ids that `top_k` and `top_p` leave, for logits that are divided by the temperature.

        Among equals the lower id counts as the likelier one. Illegal ids have logits of minus infinity.
        """
        order_BR = jnp.argsort(-scaled_BR, axis=-1, stable=True)
        sorted_BR = jnp.take_along_axis(scaled_BR, order_BR, axis=-1)
        kept_BR = jnp.isfinite(sorted_BR)
        if self.top_k is not None:
            kept_BR &= jnp.arange(sorted_BR.shape[-1])[None] < self.top_k
        if self.top_p is not None:
            probabilities_BR = jax.nn.softmax(jnp.where(kept_BR, sorted_BR, -jnp.inf), axis=-1)
            kept_BR &= jnp.cumsum(probabilities_BR, axis=-1) - probabilities_BR < self.top_p
        return jnp.take_along_axis(kept_BR, jnp.argsort(order_BR, axis=-1), axis=-1)


GREEDY: Final = Sampling()


def legal_ids(ranges: Iterable[tuple[int, int]]) -> slice:
    """Returns the smallest slice of the vocabulary that holds all legal id ranges [low, high).

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
    """Returns keys for the draws of each environment's step, whatever else is in the batch.

    Args:
        seeds: (B,) uint32, one per episode.
        steps: (B,) int32, timesteps since the episode began.
        num_draws: A.

    Returns:
        (A, B) typed keys.
    """

    def keys_of(seed: jax.Array, step: jax.Array) -> jax.Array:
        return jax.random.split(jax.random.fold_in(jax.random.key(seed), step), num_draws)

    return jax.vmap(keys_of, out_axes=1)(seeds, steps)


def gumbel_noise(keys: jax.Array, num_ids: int) -> jax.Array:
    """Draws what `Sampling.choose` adds to logits, for keys of any shape: float32 (..., num_ids). Uses the keys up."""
    draw = jax.vmap(lambda key: jax.random.gumbel(key, (num_ids,), jnp.float32))
    return draw(keys.ravel()).reshape(*keys.shape, num_ids)
