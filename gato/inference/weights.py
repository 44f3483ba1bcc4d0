"""Parameters laid out for calls that read all of them to produce a single token.

The model keeps the blocks' parameters stacked over layers. Sliced inside a compiled loop, every layer would be copied
out of the stack in every iteration. Here each layer has arrays of its own, which the compiled call stacks again: the
compiler cancels that stacking against the model's slicing, and nothing is copied.
"""

from dataclasses import dataclass
from typing import Self

import jax
import jax.numpy as jnp

from gato.config import ModelConfig, TokenizerConfig
from gato.model.gato import Gato, Parameters, join_blocks, rebuild, split_blocks


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Weights:
    """A model's parameters with one tree per layer, the layers' matrices in the compute dtype."""

    layers: tuple[Parameters, ...]
    others: Parameters  # all but the blocks

    @classmethod
    def of(cls, params: Parameters, config: ModelConfig) -> Self:
        """Copies the blocks' parameters; shares all others."""
        dtype = jnp.dtype(config.compute_dtype)
        blocks, others = split_blocks(params)

        def layer(stacked: jax.Array, index: int) -> jax.Array:
            # Only matrices are always cast before use; norm gains and biases keep their precision.
            return jnp.asarray(stacked[index], dtype if stacked.ndim > 2 else None)

        return cls(
            layers=tuple(
                jax.tree.map(lambda stacked, index=index: layer(stacked, index), blocks)
                for index in range(config.num_layers)
            ),
            others=others,
        )

    def model(self, config: ModelConfig, tokenizer: TokenizerConfig) -> Gato:
        """Builds the model that holds these weights; for use under `jax.jit`."""
        blocks = jax.tree.map(lambda *layers: jnp.stack(layers).astype(jnp.float32), *self.layers)
        return rebuild(config, tokenizer, join_blocks(blocks, self.others))
