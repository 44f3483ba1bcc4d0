"""Tokens that hold several numbers: one vector out of them, and out of one hidden vector all numbers of an action.

A number has a code from one table, whether it is observed, shown in a demonstration, or fed back. The codes of a token
stand side by side and pass two shared layers. An action's numbers are scored against the rows of the token table, which
is the output matrix of everything else too, from one layer that a vector per place in the action tells apart.

Source: of the autoregressive form, NADE (Larochelle and Murray, 2011); of a patch-like embedding, Gato (Reed et al.,
2022), section 2.2.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from gato.config import ModelConfig, TokenizerConfig
from gato.model.projection import GELU_GAIN, Projection

_SLOWEST, _FASTEST = 0.25, 4.0  # waves of a continuous value's code, turns per unit of the scaled value


class GroupStem(nnx.Module):
    """The numbers of a token to one vector."""

    def __init__(self, config: ModelConfig, tokenizer: TokenizerConfig, *, rngs: nnx.Rngs) -> None:
        self._num_ids = tokenizer.padding_id  # ids below it are numbers
        self._dtype = jnp.dtype(config.compute_dtype)
        bins = tokenizer.continuous_ids
        codes_VE = jax.random.normal(rngs.params(), (self._num_ids, config.code_width))
        codes_VE = codes_VE.at[bins.start : bins.stop].set(wave_codes(len(bins), config.code_width))
        self.codes = nnx.Param(codes_VE)
        joined = tokenizer.values_per_token * config.code_width
        self.hidden = Projection(joined, config.group_width, dtype=self._dtype, rngs=rngs)
        self.out = Projection(config.group_width, config.width, gain=GELU_GAIN, dtype=self._dtype, rngs=rngs)

    def __call__(self, values_BLJ: jax.Array) -> jax.Array:
        """Returns x_BLD, zero for tokens without numbers; its size does not depend on how many a token holds."""
        count_BL = (values_BLJ < self._num_ids).sum(axis=-1)
        size_BL = jnp.sqrt(values_BLJ.shape[-1] / jnp.maximum(count_BL, 1))
        joined_BLX = self.joined_codes(values_BLJ) * size_BL[..., None].astype(self._dtype)
        x_BLD = self.out(nnx.gelu(self.hidden(joined_BLX)))
        return jnp.where(count_BL[..., None] > 0, x_BLD, 0)

    def joined_codes(self, values_XJ: jax.Array) -> jax.Array:
        """Returns the codes of the numbers side by side, (..., J E) in the compute dtype; zeros where there is none."""
        values_XJ = jnp.where(values_XJ < self._num_ids, values_XJ, self._num_ids)
        codes_XJE = jnp.take(self.codes[...], values_XJ, axis=0, mode="fill", fill_value=0)
        return codes_XJE.reshape(*values_XJ.shape[:-1], -1).astype(self._dtype)


class ActionHead(nnx.Module):
    """One hidden vector to a query for each number of an action, to be multiplied with rows of the token table."""

    def __init__(self, config: ModelConfig, tokenizer: TokenizerConfig, *, rngs: nnx.Rngs) -> None:
        width, num_values = config.width, tokenizer.values_per_token
        dtype = jnp.dtype(config.compute_dtype)
        self.hidden = Projection(width, width, dtype=dtype, rngs=rngs)
        self.places = nnx.Param(jax.random.normal(rngs.params(), (num_values, width), jnp.float32))
        self.out = Projection(width, width, gain=GELU_GAIN, dtype=dtype, rngs=rngs)
        if tokenizer.action_tokens == "decoded":
            self.previous = Projection(num_values * config.code_width, width, dtype=dtype, rngs=rngs)

    def features(self, hidden_XD: jax.Array) -> jax.Array:
        """Returns what the numbers of an action share, (..., D)."""
        return self.hidden(hidden_XD)

    def queries(self, features_XD: jax.Array, places_X: jax.Array, previous_XC: jax.Array | None = None) -> jax.Array:
        """Returns (..., D) queries.

        Args:
            features_XD: of `features`.
            places_X: index in the action of the number that each predicts; leading axes may be absent.
            previous_XC: joined codes of the numbers before it, where each is predicted given those; else None.
        """
        rows_XD = jnp.take(self.places[...], places_X, axis=0).astype(features_XD.dtype)
        h_XD = features_XD + _of_rank(rows_XD, features_XD.ndim)
        if previous_XC is not None:
            h_XD = h_XD + self.previous(previous_XC)
        return self.out(nnx.gelu(h_XD))


def _of_rank(array: jax.Array, rank: int) -> jax.Array:
    return array.reshape(*[1] * (rank - array.ndim), *array.shape)


def wave_codes(num_bins: int, width: int) -> jax.Array:
    """Returns (num_bins, width) codes of RMS about 1 in which near bins are alike: the bin's centre, and waves of it.

    The centre lies in [-1, 1]. Waves come in pairs, a sine and a cosine, from slow to fast in equal ratios.
    """
    x = (jnp.arange(num_bins) + 0.5) * (2 / num_bins) - 1
    angles = jnp.outer(x, 2 * jnp.pi * jnp.geomspace(_SLOWEST, _FASTEST, max(width // 2, 1)))
    waves = jnp.sqrt(2.0) * jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=2).reshape(num_bins, -1)
    return jnp.concatenate([jnp.sqrt(3.0) * x[:, None], waves], axis=1)[:, :width]
