"""The patch stem: one 16x16 picture patch to one vector of model width (Gato, appendix C.2).

The paper gives the block (ResNet v2, GroupNorm, GELU, each patch on its own) but neither its kernel sizes nor its
channels. Here: a 3x3 convolution to `patch_channels`, one pre-activation residual block of two 3x3 convolutions,
and a linear layer from the flattened result. The "tiles" stem is a departure whose cost is linear in the pixels.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from gato.config import ModelConfig

_TILE = 8  # side of a tile of the "tiles" stem, pixels
_GELU_GAIN = 2.35  # 1 / E[gelu(x)^2] for x ~ N(0, 1): keeps the size of what passes a GELU


class PatchStem(nnx.Module):
    """Normalises uint8 patches and embeds each on its own."""

    def __init__(self, config: ModelConfig, patch_size: int, *, rngs: nnx.Rngs) -> None:
        self._offset = config.pixel_offset
        self._scale = config.pixel_scale
        self._dtype = jnp.dtype(config.compute_dtype)
        stem = ResidualStem if config.patch_stem == "residual" else TileStem
        self.stem = stem(config, patch_size, rngs=rngs)

    def __call__(self, patches: jax.Array) -> jax.Array:
        """(B, P, patch, patch, 3) uint8 to (B, P, D)."""
        pixels = ((patches.astype(jnp.float32) - self._offset) / self._scale).astype(self._dtype)
        embedded = self.stem(pixels.reshape(-1, *patches.shape[2:]))
        return embedded.reshape(*patches.shape[:2], -1)


class ResidualStem(nnx.Module):
    """Convolution, one ResNet v2 block, flatten, linear."""

    def __init__(self, config: ModelConfig, patch_size: int, *, rngs: nnx.Rngs) -> None:
        channels, groups = config.patch_channels, config.patch_groups
        if channels % groups:
            raise ValueError(
                f"patch_channels is {channels}, must be a multiple of patch_groups ({groups}): "
                f"choose {max(channels // groups, 1) * groups}"
            )
        dtype = jnp.dtype(config.compute_dtype)

        def conv(in_channels: int) -> nnx.Conv:
            return nnx.Conv(in_channels, channels, (3, 3), use_bias=False, dtype=dtype, rngs=rngs)

        self.conv_in = conv(3)
        self.norm_1 = nnx.GroupNorm(channels, num_groups=groups, dtype=dtype, rngs=rngs)
        self.conv_1 = conv(channels)
        self.norm_2 = nnx.GroupNorm(channels, num_groups=groups, dtype=dtype, rngs=rngs)
        self.conv_2 = conv(channels)
        self.out = nnx.Linear(patch_size * patch_size * channels, config.width, dtype=dtype, rngs=rngs)

    def __call__(self, pixels: jax.Array) -> jax.Array:
        """(X, patch, patch, 3) to (X, D)."""
        skip = self.conv_in(pixels)
        x = self.conv_1(nnx.gelu(self.norm_1(skip)))
        x = self.conv_2(nnx.gelu(self.norm_2(x)))
        return self.out((skip + x).reshape(pixels.shape[0], -1))


class TileStem(nnx.Module):
    """Four 8x8 tiles through one shared layer, joined by a second."""

    def __init__(self, config: ModelConfig, patch_size: int, *, rngs: nnx.Rngs) -> None:
        if patch_size % _TILE:
            raise ValueError(f"patch_size is {patch_size}, must be a multiple of {_TILE} for patch_stem 'tiles'")
        self._tiles_a_side = patch_size // _TILE
        dtype = jnp.dtype(config.compute_dtype)
        hidden = config.patch_channels
        self.tile = nnx.Linear(_TILE * _TILE * 3, hidden, dtype=dtype, rngs=rngs)
        self.out = nnx.Linear(
            self._tiles_a_side**2 * hidden,
            config.width,
            kernel_init=nnx.initializers.variance_scaling(_GELU_GAIN, "fan_in", "truncated_normal"),
            dtype=dtype,
            rngs=rngs,
        )

    def __call__(self, pixels: jax.Array) -> jax.Array:
        """(X, patch, patch, 3) to (X, D)."""
        side = self._tiles_a_side
        tiles = pixels.reshape(-1, side, _TILE, side, _TILE, 3).swapaxes(2, 3).reshape(-1, side**2, _TILE * _TILE * 3)
        return self.out(nnx.gelu(self.tile(tiles)).reshape(pixels.shape[0], -1))
