"""A linear layer without bias."""

import math

import jax
import jax.numpy as jnp
from flax import nnx

GELU_GAIN = 2.35  # 1 / E[gelu(x)^2] for x ~ N(0, 1): keeps the size of what passes a GELU


class Projection(nnx.Module):
    """Multiplies the last axis by a matrix whose columns start with a variance of gain / in_width."""

    def __init__(
        self, in_width: int, out_width: int, *, gain: float = 1.0, dtype: jax.typing.DTypeLike, rngs: nnx.Rngs
    ) -> None:
        self._dtype = dtype
        init = nnx.initializers.variance_scaling(gain, "fan_in", "truncated_normal")
        self.kernel = nnx.Param(init(rngs.params(), (in_width, out_width), jnp.float32))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps (..., in_width) to (..., out_width)."""
        # Flattened, because the kernel's gradient of a product with two leading axes is twice as slow on CPU:
        # XLA transposes the outgoing gradient in memory first.
        flat = x.reshape(math.prod(x.shape[:-1]), x.shape[-1]).astype(self._dtype)
        return (flat @ self.kernel.astype(self._dtype)).reshape(*x.shape[:-1], -1)
