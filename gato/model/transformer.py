"""The decoder (Gato, table 5): N pre-norm blocks of attention and GEGLU.

The blocks' parameters are stacked along one leading layer axis, whether the blocks run unrolled or under a scan.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from gato.config import ModelConfig
from gato.model.attention import Attention
from gato.model.cache import Cache, Chunk
from gato.model.projection import Projection
from gato.model.rotary import rotation_of


class GatedMLP(nnx.Module):
    """GEGLU; gate and value are the two halves of one projection to `mlp_width`; no biases.

    Source: GLU Variants Improve Transformer (Shazeer, 2020).
    """

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs) -> None:
        dtype = jnp.dtype(config.compute_dtype)
        self.up = Projection(config.width, config.mlp_width, dtype=dtype, rngs=rngs)
        self.down = Projection(
            config.mlp_width // 2, config.width, gain=1 / (2 * config.num_layers), dtype=dtype, rngs=rngs
        )

    def __call__(self, x_BLD: jax.Array) -> jax.Array:
        """Maps x_BLD to y_BLD."""
        gate_BLF, value_BLF = jnp.split(self.up(x_BLD), 2, axis=-1)
        return self.down(nnx.gelu(gate_BLF) * value_BLF)


class Block(nnx.Module):
    """Attention, then MLP, each normalised at its input and added to the residual stream."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs) -> None:
        dtype = jnp.dtype(config.compute_dtype)
        self._stochastic_depth, self._dropout = config.stochastic_depth, config.dropout
        self.attention_norm = nnx.LayerNorm(config.width, dtype=dtype, rngs=rngs)
        self.attention = Attention(config, rngs=rngs)
        self.mlp_norm = nnx.LayerNorm(config.width, dtype=dtype, rngs=rngs)
        self.mlp = GatedMLP(config, rngs=rngs)

    def __call__(
        self,
        x_BLD: jax.Array,
        rotation: tuple[jax.Array, jax.Array],
        visible_from_BL: jax.Array | None,
        key: jax.Array | None,
    ) -> jax.Array:
        """Maps x_BLD to x_BLD; a key switches stochastic depth and dropout on."""
        attention_key, mlp_key = (None, None) if key is None else jax.random.split(key)
        x_BLD = x_BLD + self._residual_dropout(
            self.attention(self.attention_norm(x_BLD), rotation, visible_from_BL), attention_key
        )
        return x_BLD + self._residual_dropout(self.mlp(self.mlp_norm(x_BLD)), mlp_key)

    def extend(
        self,
        x_BCD: jax.Array,
        rotation: tuple[jax.Array, jax.Array],
        keys_BHSK: jax.Array,
        values_BHSK: jax.Array,
        slots_BC: jax.Array,
        visible_BCS: jax.Array,
        query_indices_BA: jax.Array | None,
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Applies the block to a chunk, or to each row's queried tokens of it; returns the cache with the chunk too."""
        y_BCD, keys_BHSK, values_BHSK = self.attention.extend(
            self.attention_norm(x_BCD), rotation, keys_BHSK, values_BHSK, slots_BC, visible_BCS, query_indices_BA
        )
        if query_indices_BA is not None:
            x_BCD = jnp.take_along_axis(x_BCD, query_indices_BA[..., None], axis=1)
        x_BCD = x_BCD + y_BCD
        return x_BCD + self.mlp(self.mlp_norm(x_BCD)), keys_BHSK, values_BHSK

    def _residual_dropout(self, y_BLD: jax.Array, key: jax.Array | None) -> jax.Array:
        """Skips the sub-layer in some rows and drops some of its outputs; the rest is scaled up, so the mean stays.

        Source: Deep Networks with Stochastic Depth (Huang et al., 2016), scaled in training instead of in evaluation.
        """
        if key is None:
            return y_BLD
        depth_key, dropout_key = jax.random.split(key)
        y_BLD = _drop(y_BLD, self._stochastic_depth, (len(y_BLD), 1, 1), depth_key)
        return _drop(y_BLD, self._dropout, y_BLD.shape, dropout_key)


class Transformer(nnx.Module):
    """The stack of blocks and the final norm."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs) -> None:
        self._config = config

        @nnx.split_rngs(splits=config.num_layers)
        @nnx.vmap(in_axes=0, out_axes=0)
        def stacked(rngs: nnx.Rngs) -> Block:
            return Block(config, rngs=rngs)

        self.blocks = stacked(rngs)
        self.final_norm = nnx.LayerNorm(config.width, dtype=jnp.dtype(config.compute_dtype), rngs=rngs)

    def __call__(
        self,
        x_BLD: jax.Array,
        key: jax.Array | None = None,
        *,
        visible_from_BL: jax.Array | None = None,
        rows: jax.sharding.Sharding | None = None,
    ) -> jax.Array:
        """Maps x_BLD to hidden_BLD, after the final norm.

        Args:
            x_BLD: embedded tokens.
            key: switches stochastic depth and dropout on.
            visible_from_BL: the first token of the row that each one sees; None = all see the whole past.
            rows: the devices that hold the rows; None = one, or wherever the compiler puts them.
        """
        config = self._config

        def in_place(x_BLD: jax.Array) -> jax.Array:
            # Split weights come to the rows, and not the rows to the weights.
            return x_BLD if rows is None else jax.lax.with_sharding_constraint(x_BLD, rows)

        rotation = rotation_of(jnp.arange(x_BLD.shape[1])[None], config.head_dim, config.rotary_base)
        graphdef, weights_N = nnx.split(self.blocks)
        keys_N = None if key is None else jax.random.split(key, config.num_layers)

        def block(x_BLD: jax.Array, layer: tuple[Any, jax.Array | None]) -> tuple[jax.Array, None]:
            weights, layer_key = layer
            return in_place(nnx.merge(graphdef, weights)(x_BLD, rotation, visible_from_BL, layer_key)), None

        x_BLD = in_place(x_BLD)
        block = _rematerialised(block, config.remat)
        if config.scan_layers:
            x_BLD, _ = jax.lax.scan(block, x_BLD, (weights_N, keys_N))
        else:
            for layer in _unstack((weights_N, keys_N), config.num_layers):
                x_BLD, _ = block(x_BLD, layer)
        return self.final_norm(x_BLD)

    def extend(
        self, x_BCD: jax.Array, chunk: Chunk, cache: Cache, query_indices_BA: jax.Array | None = None
    ) -> tuple[jax.Array, Cache]:
        """Returns the chunk's hidden_BCD, and the cache with the chunk in it. Layers are unrolled; no randomness.

        Args:
            x_BCD: embedded tokens.
            chunk: what they are.
            cache: what came before.
            query_indices_BA: indices in the chunk of the tokens of each row whose hidden_BAD is returned instead. The
                last layer computes no more than key and value of all other tokens.
        """
        config = self._config
        rows = jnp.arange(len(x_BCD))[:, None]
        is_emptied_BS = chunk.clear_cache[:, None] & (cache.positions >= chunk.prompt_length[:, None])
        positions_BS = jnp.where(is_emptied_BS, -1, cache.positions)
        positions_BS = positions_BS.at[rows, chunk.cache_slots].set(chunk.positions, mode="drop")
        visible_BCS = _visible(chunk, positions_BS)
        rotation = rotation_of(chunk.positions, config.head_dim, config.rotary_base)
        graphdef, weights_N = nnx.split(self.blocks)
        keys, values = [], []
        queries = [None] * (config.num_layers - 1) + [query_indices_BA]
        layers = zip(_unstack(weights_N, config.num_layers), cache.keys, cache.values, queries, strict=True)
        for weights, layer_keys, layer_values, layer_query_indices_BA in layers:
            x_BCD, layer_keys, layer_values = nnx.merge(graphdef, weights).extend(
                x_BCD, rotation, layer_keys, layer_values, chunk.cache_slots, visible_BCS, layer_query_indices_BA
            )
            keys.append(layer_keys)
            values.append(layer_values)
        return self.final_norm(x_BCD), Cache(keys=tuple(keys), values=tuple(values), positions=positions_BS)


def _visible(chunk: Chunk, positions_BS: jax.Array) -> jax.Array:
    """Returns which cache slots each token of the chunk may see, (B, C, S) bool."""
    positions_B1S = positions_BS[:, None]
    in_prompt_B1S = positions_B1S < chunk.prompt_length[:, None, None]
    in_window_B1S = positions_B1S >= chunk.window_start[:, None, None]
    return (positions_B1S >= 0) & (positions_B1S <= chunk.positions[:, :, None]) & (in_prompt_B1S | in_window_B1S)


def _drop(y_BLD: jax.Array, rate: float, shape: tuple[int, ...], key: jax.Array) -> jax.Array:
    if rate == 0:
        return y_BLD
    kept = jax.random.bernoulli(key, 1 - rate, shape)
    return jnp.where(kept, y_BLD / (1 - rate), 0)


def _rematerialised(function: Callable, remat: str) -> Callable:
    if remat == "none":
        return function
    policy = jax.checkpoint_policies.dots_with_no_batch_dims_saveable if remat == "dots" else None
    return jax.checkpoint(function, policy=policy)


def _unstack(tree: Any, length: int) -> list[Any]:  # Any: any pytree of arrays
    """Returns the tree's slices along its leading axis; the gradient of a split is one concatenation."""
    leaves, treedef = jax.tree.flatten(tree)
    split = [jax.lax.split(leaf, [1] * length) for leaf in leaves]
    return [jax.tree.unflatten(treedef, [part[i][0] for part in split]) for i in range(length)]
