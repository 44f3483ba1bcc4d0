import jax.numpy as jnp
import numpy as np
import pytest

from gato.model.patches import PatchStem

STEMS = ("residual", "tiles")


def _patches(num_patches: int) -> np.ndarray:
    return np.random.default_rng(0).integers(256, size=(1, num_patches, 16, 16, 3)).astype(np.uint8)


@pytest.mark.parametrize("kind", STEMS)
def test_each_patch_is_embedded_on_its_own(kind, model_config, build, run):
    stem = build(PatchStem, model_config(patch_stem=kind), 16)
    patches = _patches(4)
    together = run(stem, jnp.asarray(patches))
    alone = jnp.concatenate([run(stem, jnp.asarray(patches[:, p : p + 1])) for p in range(4)], axis=1)
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("kind", STEMS)
def test_every_corner_of_a_patch_counts(kind, model_config, build, run):
    stem = build(PatchStem, model_config(patch_stem=kind), 16)
    black = jnp.zeros((1, 1, 16, 16, 3), jnp.uint8)
    corners = [run(stem, black.at[0, 0, y, x, 1].set(255)) for y in (0, 15) for x in (0, 15)]
    outputs = [run(stem, black), *corners]
    for i, first in enumerate(outputs):
        for second in outputs[:i]:
            assert jnp.abs(first - second).max() > 1e-4


@pytest.mark.parametrize("kind", STEMS)
def test_pixels_are_normalised_as_configured(kind, model_config, build, run):
    stem = build(PatchStem, model_config(patch_stem=kind, pixel_offset=100.0, pixel_scale=50.0), 16)
    twice = build(PatchStem, model_config(patch_stem=kind, pixel_offset=0.0, pixel_scale=25.0), 16)
    # 140 is 0.8 scales above an offset of 100; 20 is 0.8 scales of 25 above 0.
    np.testing.assert_allclose(
        run(stem, jnp.full((1, 1, 16, 16, 3), 140, jnp.uint8)),
        run(twice, jnp.full((1, 1, 16, 16, 3), 20, jnp.uint8)),
        atol=1e-6,
    )


def test_channels_that_the_groups_do_not_divide_are_refused(model_config, build):
    with pytest.raises(ValueError, match=r"patch_channels is 33, must be a multiple of patch_groups \(32\): choose 64"):
        build(PatchStem, model_config(patch_stem="residual", patch_channels=33, patch_groups=32), 16)


def test_tiles_need_a_patch_size_that_they_divide(model_config, build):
    with pytest.raises(ValueError, match="patch_size is 12, must be a multiple of 8"):
        build(PatchStem, model_config(patch_stem="tiles"), 12)
