"""The values of one RLDS field of all steps: from the lists of a `tf.train.Example` to arrays and texts."""

import zlib

import numpy as np
from PIL import Image

from gato.data.reading import located
from gato.data.sources.images import decode_image, shrink
from gato.data.sources.rlds_layout import Field
from gato.data.sources.tfrecord import Values


def decode_values(
    field: Field, values: Values, num_steps: int | None, image_size: tuple[int, int] | None = None
) -> np.ndarray | list[str]:
    """Decodes a field.

    Args:
        field: what it is by `features.json`.
        values: as the record holds them.
        num_steps: how many values there must be; None = as many as there are.
        image_size: (height, width) that images are scaled to by averaging areas; None = as they are.

    Returns:
        (steps, *shape) of the field's type, images (steps, height, width, channels) uint8, or a list of str.

    Raises:
        ValueError: the values are not what the field says; names the step.
    """
    if field.kind == "image":
        return _images(field, _byte_strings(values, num_steps), image_size)
    if field.kind == "text":
        return [_text(content, step) for step, content in enumerate(_byte_strings(values, num_steps))]
    if field.encoding != "none":
        return _unpack(field, _byte_strings(values, num_steps))
    return _numbers(field, values, num_steps)


def _numbers(field: Field, values: Values, num_steps: int | None) -> np.ndarray:
    """Casts numbers back to their type; TensorFlow stores them in lists of float32 or int64 only."""
    dtype, shape = np.dtype(field.dtype), _known(field)
    stored = np.float32 if dtype.kind == "f" else np.int64
    if isinstance(values, list) and not values:
        values = np.zeros(0, stored)
    if isinstance(values, list) or values.dtype != stored:
        came = "bytes" if isinstance(values, list) else values.dtype
        raise ValueError(f"it holds {came}, expected {np.dtype(stored)} for {dtype}")
    size = int(np.prod(shape))
    if num_steps is None:
        num_steps = len(values) // size
    if len(values) != num_steps * size:
        raise ValueError(f"it holds {len(values)} numbers, expected {size} for each of {num_steps} steps")
    with np.errstate(over="ignore"):  # beyond float16: infinite, and refused as any infinite value
        cast = values.astype(dtype)
    if dtype.kind != "f" and dtype != np.uint64 and (wrong := np.flatnonzero(cast != values)).size:
        raise ValueError(f"it is {values[wrong[0]]} at step {wrong[0] // size}, expected {dtype}")
    return cast.reshape(num_steps, *shape)


def _unpack(field: Field, contents: list[bytes]) -> np.ndarray:
    """Reads numbers that are raw bytes, packed or not, one string per step."""
    dtype, shape = np.dtype(field.dtype).newbyteorder("<"), _known(field)
    num_bytes = int(np.prod(shape)) * dtype.itemsize
    unpacked = []
    for step, content in enumerate(contents):
        if field.encoding == "zlib":
            try:
                content = zlib.decompressobj().decompress(content, num_bytes + 1)  # one more shows that it is too long
            except zlib.error as error:
                raise ValueError(f"step {step} cannot be unpacked ({error}): it is damaged") from error
        if len(content) != num_bytes:
            raise ValueError(f"step {step} has {len(content)} bytes, expected {num_bytes} of {field.dtype} {shape}")
        unpacked.append(content)
    joined = bytearray().join(unpacked)
    if dtype.kind == "b" and max(joined, default=0) > 1:
        raise ValueError(f"a byte is {max(joined)}, expected 0 or 1 for bool")
    return np.frombuffer(joined, dtype).astype(field.dtype, copy=False).reshape(len(contents), *shape)


def _images(field: Field, contents: list[bytes], image_size: tuple[int, int] | None) -> np.ndarray:
    frames = []
    for step, content in enumerate(contents):
        with located(f"picture of step {step}"):
            frames.append(_image(field, content, image_size))
    return np.stack(frames)


def _image(field: Field, content: bytes, image_size: tuple[int, int] | None) -> np.ndarray:
    frame = decode_image(content)
    if frame.ndim == 2:  # grey, perhaps stored so where three channels were equal
        frame = np.repeat(frame[..., None], 3 if field.shape[2] == 3 else 1, axis=2)
    if any(size not in (None, came) for size, came in zip(field.shape, frame.shape, strict=True)):
        raise ValueError(f"it is {frame.shape}, expected {field.shape} as in features.json")
    return shrink(frame, image_size, Image.Resampling.BOX)


def _text(content: bytes, step: int) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"the text of step {step} is not UTF-8 ({error})") from error


def _byte_strings(values: Values, num_steps: int | None) -> list[bytes]:
    if isinstance(values, np.ndarray):
        raise ValueError(f"it holds {values.dtype}, expected bytes")
    if num_steps is not None and len(values) != num_steps:
        raise ValueError(f"it has {len(values)} values, expected one for each of {num_steps} steps")
    return values


def _known(field: Field) -> tuple[int, ...]:
    assert None not in field.shape, "features.json gives no tensor of unknown size that is read"
    return tuple(size for size in field.shape if size is not None)
