"""The patch stem: one 16x16 image patch to one vector of model width (Gato, appendix C.2).

The paper gives the block (ResNet v2, GroupNorm, GELU, each patch on its own) but neither its kernel sizes nor its
channels. Here three 3x3 convolutions correct the pixels, and a linear layer takes the corrected pixels to model width.
That the block ends in as many values as it began with follows from the published parameter totals, which leave room
for a linear layer from 16 x 16 x 3 values but not from many channels. The "tiles" stem is a departure: an order of
magnitude cheaper.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from gato.config import ModelConfig
from gato.model.projection import GELU_GAIN, Projection

TILE = 8  # side of a tile of the "tiles" stem, pixels


class PatchStem(nnx.Module):
    """Normalises uint8 patches and embeds each on its own."""

    def __init__(self, config: ModelConfig, patch_size: int, *, rngs: nnx.Rngs) -> None:
        self._offset = config.pixel_offset
        self._scale = config.pixel_scale
        self._dtype = jnp.dtype(config.compute_dtype)
        stem = ResidualStem if config.patch_stem == "residual" else TileStem
        self.stem = stem(config, patch_size, rngs=rngs)

    def __call__(self, patches: jax.Array) -> jax.Array:
        """Maps (B, P, patch, patch, 3) uint8 to (B, P, D)."""
        pixels = ((patches.astype(jnp.float32) - self._offset) / self._scale).astype(self._dtype)
        embedded = self.stem(pixels.reshape(-1, *patches.shape[2:]))
        return embedded.reshape(*patches.shape[:2], -1)


class ResidualStem(nnx.Module):
    """A ResNet v2 block around the pixels, flatten, linear."""

    def __init__(self, config: ModelConfig, patch_size: int, *, rngs: nnx.Rngs) -> None:
        channels, groups = config.patch_channels, config.patch_groups
        if channels % groups:
            raise ValueError(
                f"patch_channels is {channels}, must be a multiple of patch_groups ({groups}): "
                f"choose {-(-channels // groups) * groups}"
            )
        dtype = jnp.dtype(config.compute_dtype)

        def conv(in_channels: int, out_channels: int) -> nnx.Conv:
            return nnx.Conv(in_channels, out_channels, (3, 3), use_bias=False, dtype=dtype, rngs=rngs)

        self.conv_in = conv(3, channels)
        self.norm_1 = nnx.GroupNorm(channels, num_groups=groups, dtype=dtype, rngs=rngs)
        self.conv_1 = conv(channels, channels)
        self.norm_2 = nnx.GroupNorm(channels, num_groups=groups, dtype=dtype, rngs=rngs)
        self.conv_2 = conv(channels, 3)
        self.out = Projection(patch_size * patch_size * 3, config.width, dtype=dtype, rngs=rngs)

    def __call__(self, pixels: jax.Array) -> jax.Array:
        """Maps (X, patch, patch, 3) to (X, D)."""
        x = self.conv_1(nnx.gelu(self.norm_1(self.conv_in(pixels))))
        x = self.conv_2(nnx.gelu(self.norm_2(x)))
        return self.out((pixels + x).reshape(len(pixels), -1))


class TileStem(nnx.Module):
    """Four 8x8 tiles through one shared layer, joined by a second."""

    def __init__(self, config: ModelConfig, patch_size: int, *, rngs: nnx.Rngs) -> None:
        if patch_size % TILE:
            raise ValueError(f"patch_size is {patch_size}, must be a multiple of {TILE} for patch_stem 'tiles'")
        self._tiles_per_side = patch_size // TILE
        dtype = jnp.dtype(config.compute_dtype)
        hidden = config.patch_channels
        self.tile = Projection(TILE * TILE * 3, hidden, dtype=dtype, rngs=rngs)
        joined = self._tiles_per_side**2 * hidden
        self.out = Projection(joined, config.width, gain=GELU_GAIN, dtype=dtype, rngs=rngs)

    def __call__(self, pixels: jax.Array) -> jax.Array:
        """Maps (X, patch, patch, 3) to (X, D)."""
        side = self._tiles_per_side
        tiles = pixels.reshape(-1, side, TILE, side, TILE, 3).swapaxes(2, 3).reshape(-1, side**2, TILE * TILE * 3)
        return self.out(nnx.gelu(self.tile(tiles)).reshape(len(pixels), -1))
