"""Sequence tokens to vectors: tokens, patches, groups of numbers, and their positions.

Source: Gato, section 2.2 and appendix C.3.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from gato.batch import Batch
from gato.config import ModelConfig, TokenizerConfig
from gato.model.cache import Chunk
from gato.model.groups import ActionHead, GroupStem
from gato.model.patches import PatchStem

_INIT_STD = 0.02  # of every table, unless inputs have unit RMS
_POSITION_RMS = 0.5  # of position vectors where tokens and patches have about 1
_BANDWIDTHS = (6.0, 30.0)  # standard deviations of the frequencies of smooth bins, radians over a unit of value


class Embedding(nnx.Module):
    """The token table, which is also the output head, the patch stem and three position tables.

    Where tokens hold several numbers, their stem, and where an action is one token, its head, belong to it too.

    With `unit_rms_inputs` the tables hold values of the size width ** -0.5 and are multiplied by width ** 0.5 where
    they enter the residual stream; the head uses the token table as it is.
    """

    def __init__(self, config: ModelConfig, tokenizer: TokenizerConfig, *, rngs: nnx.Rngs) -> None:
        width = config.width
        self._padding_id = tokenizer.padding_id
        # No local position equals -1.
        self._unfed_position = tokenizer.action_position if tokenizer.action_tokens == "parallel" else -1
        self._patch_position_size = tokenizer.patch_position_size
        self._dtype = jnp.dtype(config.compute_dtype)
        self._input_scale = width**0.5 if config.unit_rms_inputs else 1.0
        token_std = width**-0.5 if config.unit_rms_inputs else _INIT_STD
        position_std = _POSITION_RMS * width**-0.5 if config.unit_rms_inputs else _INIT_STD

        def table(rows: int, std: float) -> jax.Array:
            return std * jax.random.normal(rngs.params(), (rows, width), jnp.float32)

        tokens_VD = table(tokenizer.vocab_size, token_std)
        if config.smooth_bins:
            bins = tokenizer.continuous_ids
            features = token_std * smooth_features(rngs.params(), len(bins), width)
            tokens_VD = tokens_VD.at[bins.start : bins.stop].set(features)
        self.tokens = nnx.Param(tokens_VD)
        # Observation positions, then actions, then separators. `no_position` lies past the end and adds nothing.
        self.local_positions = nnx.Param(table(tokenizer.local_position_size + 2, position_std))
        self.patch_rows = nnx.Param(table(tokenizer.patch_position_size, position_std))
        self.patch_columns = nnx.Param(table(tokenizer.patch_position_size, position_std))
        self.stem = PatchStem(config, tokenizer.patch_size, rngs=rngs)
        if tokenizer.has_groups:
            self.groups = GroupStem(config, tokenizer, rngs=rngs)
        if tokenizer.has_action_groups:
            self.action_head = ActionHead(config, tokenizer, rngs=rngs)

    def __call__(self, sequence: Batch | Chunk, *, key: jax.Array | None = None) -> jax.Array:
        """Returns one vector per token, x_BLD.

        Args:
            sequence: where no patch stands and no numbers are held, the padding id embeds to zero; so do actions where
                they are parallel.
            key: draws patch positions from their intervals; None takes the middle.
        """
        # Indices past a table's end add nothing and get no gradient.
        unfed_BL = (sequence.tokens == self._padding_id) | (sequence.local_positions == self._unfed_position)
        tokens_BL = jnp.where(unfed_BL, self.tokens.shape[0], sequence.tokens)
        x_BLD = _rows(self.tokens, tokens_BL) + _rows(self.local_positions, sequence.local_positions)
        x_BLD = (x_BLD * self._input_scale).astype(self._dtype)
        if sequence.values is not None:
            x_BLD += self.groups(sequence.values)
        if sequence.patches.shape[1] == 0:
            return x_BLD
        rows = jnp.arange(len(sequence.patches))[:, None]
        return x_BLD.at[rows, sequence.patch_indices].add(self._patches(sequence, key), mode="drop")

    def _patches(self, sequence: Batch | Chunk, key: jax.Array | None) -> jax.Array:
        intervals = sequence.patch_intervals.reshape(*sequence.patch_indices.shape, 2, 2)
        positions_BP2 = patch_positions(intervals, self._patch_position_size, key)
        positions_BPD = _rows(self.patch_rows, positions_BP2[..., 0]) + _rows(self.patch_columns, positions_BP2[..., 1])
        return self.stem(sequence.patches) + (positions_BPD * self._input_scale).astype(self._dtype)


def logits_of(hidden_XD: jax.Array, table_VD: jax.Array) -> jax.Array:
    """Scores ids in float32: hidden vectors of any leading shape times rows of the token table, in their dtype."""
    table_VD = table_VD.astype(hidden_XD.dtype)
    return jnp.einsum("...d,vd->...v", hidden_XD, table_VD, preferred_element_type=jnp.float32)


def patch_positions(intervals: jax.Array, size: int, key: jax.Array | None) -> jax.Array:
    """Returns row and column indices of patches in [0, size).

    Args:
        intervals: (..., 2) int32, quantised low and high ends.
        key: draws uniformly from [low, max(low + 1, high)); None takes the rounded mean.

    Source: Gato, appendix C.3.
    """
    low, high = intervals[..., 0], intervals[..., 1]
    if key is not None:
        return jax.random.randint(key, low.shape, low, jnp.maximum(low + 1, high))
    return jnp.minimum(jnp.round((low + high) / 2).astype(jnp.int32), size - 1)


def smooth_features(key: jax.Array, num_bins: int, width: int) -> jax.Array:
    """Returns random waves of the bin centre, (num_bins, width) with RMS about 1: near bins get similar rows.

    Half of the waves are coarse and order the whole range, half are fine and tell neighbours apart.
    Source: random Fourier features (Rahimi and Recht, 2007).
    """
    frequency_key, phase_key = jax.random.split(key)
    centres = (jnp.arange(num_bins) + 0.5) * (2 / num_bins) - 1
    bandwidths = jnp.where(jnp.arange(width) % 2 == 0, *_BANDWIDTHS)
    frequencies = bandwidths * jax.random.normal(frequency_key, (width,))
    phases = jax.random.uniform(phase_key, (width,), maxval=2 * jnp.pi)
    return jnp.sqrt(2.0) * jnp.cos(jnp.outer(centres, frequencies) + phases[None])


def _rows(table: nnx.Param, indices: jax.Array) -> jax.Array:
    """Takes rows of a table; zero where the index lies past its end."""
    return jnp.take(table[...], indices, axis=0, mode="fill", fill_value=0)
