"""Images to ordered square patches and back, and where each patch lies.

The size and channel rules of the project are here and nowhere else: an image whose sides are no multiple of the patch
size is padded with zeros at the bottom and the right, and patch positions are relative to the padded size; one channel
is repeated, three are taken as red, green, blue, and four are RGBA, composited on black.

Source: Gato (Reed et al., 2022), section 2.1 (raster order) and appendix C.3 (position intervals).
"""

import numpy as np


def image_to_patches(image: np.ndarray, patch_size: int) -> np.ndarray:
    """Cuts one image into its patches in raster order.

    Args:
        image: (height, width) or (height, width, channels) uint8 with 1, 3 or 4 channels.
        patch_size: side of a patch in pixels.

    Returns:
        (p, patch_size, patch_size, 3) uint8. Inverse: `patches_to_image`.

    Raises:
        ValueError: the image has another dtype, another number of axes or channels, or no pixels.
    """
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3:
        raise ValueError(f"an image has shape {image.shape}, expected (height, width) or (height, width, channels)")
    return frames_to_patches(image[None], patch_size)[0]


def frames_to_patches(frames: np.ndarray, patch_size: int) -> np.ndarray:
    """Cuts n images of one size at once, as `image_to_patches` does one.

    Args:
        frames: (n, height, width, channels) uint8 with 1, 3 or 4 channels.
        patch_size: side of a patch in pixels.

    Returns:
        (n, p, patch_size, patch_size, 3) uint8.
    """
    if frames.dtype != np.uint8:
        raise ValueError(f"image pixels have dtype {frames.dtype}, expected uint8 in [0, 255]: convert them first")
    num_frames, height, width, channels = frames.shape
    if not height or not width:
        raise ValueError(f"an image has shape {frames.shape[1:]}: it holds no pixels")
    if channels == 4:
        colour, alpha = frames[..., :3].astype(np.uint16), frames[..., 3:]
        frames = ((colour * alpha + 127) // 255).astype(np.uint8)
    elif channels not in (1, 3):
        raise ValueError(f"an image has shape {frames.shape[1:]}, expected 1, 3 or 4 channels in the last axis")
    rows, columns = patch_grid(height, width, patch_size)
    padding = ((0, 0), (0, rows * patch_size - height), (0, columns * patch_size - width), (0, 0))
    if padding[1][1] or padding[2][1]:
        frames = np.pad(frames, padding)
    tiles = frames.reshape(num_frames, rows, patch_size, columns, patch_size, frames.shape[-1]).swapaxes(2, 3)
    patches = tiles.reshape(num_frames, rows * columns, patch_size, patch_size, frames.shape[-1])
    return np.repeat(patches, 3, axis=-1) if channels == 1 else patches


def patches_to_image(patches: np.ndarray, height: int, width: int) -> np.ndarray:
    """Puts (p, patch, patch, 3) patches back together as a (height, width, 3) uint8 image, padding cut off.

    Raises:
        ValueError: the number of patches is not that of an image of this size.
    """
    patch_size = patches.shape[1]
    rows, columns = patch_grid(height, width, patch_size)
    if len(patches) != rows * columns:
        raise ValueError(f"{len(patches)} patches, expected {rows} x {columns} for a picture of {height} x {width}")
    grid = patches.reshape(rows, columns, patch_size, patch_size, 3).swapaxes(1, 2)
    return grid.reshape(rows * patch_size, columns * patch_size, 3)[:height, :width].copy()


def patch_intervals(height: int, width: int, patch_size: int, position_size: int) -> np.ndarray:
    """Returns the span of rows and columns that each patch covers, relative to the padded image.

    Returns:
        (p, 4) int32 in raster order: row low, row high, column low, column high, where 0 is the top or left edge and
        `position_size` the bottom or right one, rounded to the nearest integer.

    Source: Gato, appendix C.3.
    """
    rows, columns = patch_grid(height, width, patch_size)
    row_edges = np.floor(np.arange(rows + 1) * (position_size / rows) + 0.5).astype(np.int32)
    column_edges = np.floor(np.arange(columns + 1) * (position_size / columns) + 0.5).astype(np.int32)
    row, column = np.divmod(np.arange(rows * columns), columns)
    return np.stack([row_edges[row], row_edges[row + 1], column_edges[column], column_edges[column + 1]], axis=1)


def patch_grid(height: int, width: int, patch_size: int) -> tuple[int, int]:
    """Returns how many rows and columns of patches an image takes, the last ones partly padding."""
    return -(-height // patch_size), -(-width // patch_size)
