"""Parameters laid out for calls that read all of them to produce a single token.

The model keeps the blocks' parameters stacked over layers. Cut inside a compiled loop, every layer would be copied out
of the stack at every turn. Here each layer has arrays of its own, which the compiled call stacks again: the compiler
cancels that stacking against the model's cutting, and nothing is copied.
"""

from dataclasses import dataclass
from typing import Self

import jax
import jax.numpy as jnp

from gato.config import ModelConfig, TokenizerConfig
from gato.model.gato import Gato, Parameters, rebuild


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Weights:
    """A model's parameters with the layers apart, matrices of the layers in the compute dtype."""

    layers: tuple[Parameters, ...]
    others: Parameters  # all but the blocks

    @classmethod
    def of(cls, params: Parameters, config: ModelConfig) -> Self:
        """Copies the blocks' parameters; shares all others."""
        dtype = jnp.dtype(config.compute_dtype)
        blocks = params["transformer"]["blocks"]

        def layer(stacked: jax.Array, index: int) -> jax.Array:
            # Only matrices are always cast before use; norm gains and biases keep their precision.
            return jnp.asarray(stacked[index], dtype if stacked.ndim > 2 else None)

        transformer = {name: part for name, part in params["transformer"].items() if name != "blocks"}
        return cls(
            layers=tuple(
                jax.tree.map(lambda stacked, index=index: layer(stacked, index), blocks)
                for index in range(config.num_layers)
            ),
            others={**params, "transformer": transformer},
        )

    def model(self, config: ModelConfig, tokenizer: TokenizerConfig) -> Gato:
        """The model that holds these weights; for use under `jax.jit`."""
        blocks = jax.tree.map(lambda *layers: jnp.stack(layers).astype(jnp.float32), *self.layers)
        transformer = {**self.others["transformer"], "blocks": blocks}
        return rebuild(config, tokenizer, {**self.others, "transformer": transformer})
