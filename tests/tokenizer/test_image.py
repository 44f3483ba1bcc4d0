"""Patches: order, inverse, channels, padding and positions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gato.tokenizer.image import frames_to_patches, image_to_patches, patch_intervals, patches_to_image


def picture(height, width, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def test_patches_come_in_raster_order():
    image = np.zeros((32, 48, 3), np.uint8)
    for row in range(2):
        for column in range(3):
            image[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = 10 * row + column
    patches = image_to_patches(image, 16)
    assert patches.shape == (6, 16, 16, 3)
    assert [set(patch.ravel().tolist()) for patch in patches] == [{0}, {1}, {2}, {10}, {11}, {12}]


def test_pixels_keep_their_place_within_a_patch():
    image = picture(32, 32)
    assert (image_to_patches(image, 16)[3] == image[16:, 16:]).all()


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 50), st.integers(1, 50), st.sampled_from([4, 16]))
def test_patches_to_image_inverts_for_any_size(height, width, patch_size):
    image = picture(height, width)
    assert (patches_to_image(image_to_patches(image, patch_size), height, width) == image).all()


def test_a_picture_is_padded_with_zeros_at_the_bottom_and_the_right():
    patches = image_to_patches(np.full((17, 15, 3), 9, np.uint8), 16)
    assert patches.shape == (2, 16, 16, 3)
    assert (patches[0, :, :15] == 9).all()
    assert not patches[0, :, 15].any()
    assert (patches[1, 0, :15] == 9).all()
    assert not patches[1, 1:].any()


@pytest.mark.parametrize("shape", [(16, 16), (16, 16, 1)])
def test_one_channel_is_repeated(shape):
    image = np.arange(256, dtype=np.uint8).reshape(shape)
    patches = image_to_patches(image, 16)
    assert (patches == image.reshape(1, 16, 16, 1)).all()
    assert patches.shape[-1] == 3


def test_four_channels_are_composited_on_black():
    image = np.zeros((16, 16, 4), np.uint8)
    image[..., :3] = (255, 100, 7)
    image[0, 0, 3], image[0, 1, 3] = 255, 128
    patch = image_to_patches(image, 16)[0]
    assert patch[0, 0].tolist() == [255, 100, 7]
    assert patch[0, 1].tolist() == [128, 50, 4]
    assert not patch[1:].any()


def test_many_frames_at_once_equal_one_after_another():
    frames = np.stack([picture(20, 33, 4, seed) for seed in range(3)])
    assert (frames_to_patches(frames, 16) == np.stack([image_to_patches(frame, 16) for frame in frames])).all()


def test_patch_intervals_of_the_papers_example():
    # Appendix C.3: 80 wide, 64 high; the patch of rows [0.25, 0.5] and columns [0.4, 0.6] spans [32, 64] x [51, 77].
    intervals = patch_intervals(64, 80, 16, 128)
    assert intervals.shape == (20, 4)
    assert intervals[1 * 5 + 2].tolist() == [32, 64, 51, 77]
    assert intervals[:5, 2].tolist() == [0, 26, 51, 77, 102]
    assert intervals[::5, 0].tolist() == [0, 32, 64, 96]
    assert intervals[-1].tolist() == [96, 128, 102, 128]


def test_patch_intervals_round_rows_like_columns():
    wide, high = patch_intervals(16, 80, 16, 128), patch_intervals(80, 16, 16, 128)
    assert high[:, :2].tolist() == wide[:, 2:].tolist() == [[0, 26], [26, 51], [51, 77], [77, 102], [102, 128]]


def test_patch_intervals_are_relative_to_the_padded_picture():
    assert (patch_intervals(33, 47, 16, 128) == patch_intervals(48, 48, 16, 128)).all()


@pytest.mark.parametrize(
    "image, match",
    [
        (np.zeros((16, 16, 3), np.float32), "dtype float32, expected uint8"),
        (np.zeros((16, 16, 2), np.uint8), r"\(16, 16, 2\), expected 1, 3 or 4 channels"),
        (np.zeros((16,), np.uint8), r"shape \(16,\), expected \(height, width\)"),
        (np.zeros((0, 16, 3), np.uint8), "no pixels"),
    ],
    ids=["float", "two-channels", "one-axis", "empty"],
)
def test_what_is_no_picture_is_refused(image, match):
    with pytest.raises(ValueError, match=match):
        image_to_patches(image, 16)


def test_a_wrong_number_of_patches_is_refused():
    with pytest.raises(ValueError, match="3 patches, expected 2 x 2"):
        patches_to_image(np.zeros((3, 16, 16, 3), np.uint8), 32, 32)
