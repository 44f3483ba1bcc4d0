"""Columns of Arrow tables as leaves of episodes: which space a column has, and its values in batched form.

What a type says for certain is inferred: floats are an unbounded Box, bools are binary, images a uint8 Box, strings
Text. Integers do not say how many values there are, so their space must be declared, in the JSON form of `parse_space`.
A column here has one entry per timestep, and `where` names dataset, record and column in errors.
"""

import math
import string
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from gymnasium import spaces

from gato.data.sources.images import MAX_FILE_BYTES, decode_image
from gato.tokenizer.rules import bounds

_FORMS = "discrete, multi_discrete, multi_binary, box, image or text"
_TEXT_LENGTH = 4096  # of an inferred Text, as are its characters; observed texts beyond either are read all the same


def parse_space(form: Any, where: str) -> gym.Space:
    """Makes the space that a small JSON object describes.

    Args:
        form: an object with one key (any JSON may come in, hence `Any`):
            {"discrete": 7} or {"discrete": {"n": 7, "start": -3}};
            {"multi_discrete": [3, 5]} or {"multi_discrete": {"n": 11, "shape": [148]}};
            {"multi_binary": 4} or {"multi_binary": [2, 3]};
            {"box": {"low": -1, "high": 1, "shape": [3], "dtype": "float32"}}, where a bound may be a list, or null for
            none, shape may be left out where a bound is a list, and dtype is float32 unless given;
            {"image": [84, 84, 3]};
            {"text": 64} or {"text": {"max_length": 64, "charset": "abc "}}, printable ASCII unless given.

    Raises:
        ValueError: another form, or values that Gymnasium refuses.
    """
    if not isinstance(form, Mapping) or len(form) != 1:
        raise ValueError(f"{where}: the space is {form!r}, expected an object with one key: {_FORMS}")
    ((kind, value),) = form.items()
    fields = dict(value) if isinstance(value, Mapping) else None
    try:
        match kind:
            case "discrete":
                return spaces.Discrete(**fields) if fields is not None else spaces.Discrete(value)
            case "multi_discrete":
                sizes = value if fields is None else np.full(fields["shape"], fields["n"])
                return spaces.MultiDiscrete(sizes)
            case "multi_binary":
                return spaces.MultiBinary(value)
            case "box" if fields is not None:
                return _box(**fields)
            case "image":
                return spaces.Box(0, 255, tuple(value), np.uint8)
            case "text":
                return _text(**fields) if fields is not None else _text(value)
    except (TypeError, ValueError, KeyError, AssertionError, OverflowError) as error:
        raise ValueError(f"{where}: the space {form!r} cannot be made ({error!r})") from error
    raise ValueError(f"{where}: the space is {form!r}, expected an object with one key: {_FORMS}")


def infer_space(column: pa.Array, where: str, scan: Callable[[], Iterable[pa.Array]]) -> gym.Space:
    """Finds the space that a column's type and first values say for certain.

    Args:
        column: the timesteps of one episode.
        scan: yields such arrays of the whole dataset; called only to report what values integers take.

    Raises:
        ValueError: the type leaves the space open, or the values are of differing shapes.
    """
    column = unwrap(column)
    if _is_string(column.type):
        return _text(_TEXT_LENGTH)
    if is_image(column.type):
        if not len(column):
            raise ValueError(f"{where}: the first episode holds no pictures, expected one a timestep")
        return spaces.Box(0, 255, read_frame(column[0].as_py(), f"{where}: timestep 0").shape, np.uint8)
    values = _read_numbers(column, where)
    shape, kind = values.shape[1:], values.dtype.kind
    if kind == "f":
        return spaces.Box(-np.inf, np.inf, shape, values.dtype.type)
    if kind == "b":
        return spaces.MultiBinary(shape if len(shape) > 1 else shape[0]) if shape else spaces.Discrete(2)
    if values.dtype == np.uint8 and len(shape) == 3 and shape[2] in (1, 3, 4):
        return spaces.Box(0, 255, shape, np.uint8)
    ranges = [(part.min(), part.max()) for part in (_read_numbers(part, where) for part in scan()) if part.size]
    low, high = min((int(low) for low, _ in ranges), default=0), max((int(high) for _, high in ranges), default=0)
    example = {"multi_discrete": {"n": high + 1, "shape": list(shape)}} if shape else {"discrete": high + 1}
    raise ValueError(
        f"{where} holds {values.dtype} of shape {shape}, and a type of integers does not say how many values there are "
        f"(found: {low} to {high}): declare its space, for example {example} if no larger value can occur"
    )


def read_leaf(column: pa.Array, space: gym.Space, where: str) -> np.ndarray | list[str]:
    """Reads a column's values in the batched form of its space.

    Args:
        column: T entries.
        space: Discrete, MultiDiscrete, MultiBinary, Box or Text.

    Returns:
        A list of T str for Text; else an array (T, *space.shape), of the space's dtype where that is a Box.

    Raises:
        ValueError: values are missing, do not fit the space, or are images that cannot be decoded.
    """
    column = unwrap(column)
    if isinstance(space, spaces.Text):
        if not _is_string(column.type):
            raise ValueError(f"{where} is {column.type}, expected strings for {space}")
        _refuse_nulls(column, where)
        return column.to_pylist()
    if is_image(column.type):
        frames = [read_frame(item, f"{where}: timestep {step}") for step, item in enumerate(column.to_pylist())]
        for step, frame in enumerate(frames):
            if frame.shape != space.shape:
                raise ValueError(f"{where}: timestep {step} is a picture {frame.shape}, expected {space.shape}")
        return np.stack(frames) if frames else np.zeros((0, *(space.shape or ())), np.uint8)
    return _fit_numbers(_read_numbers(column, where), space, where)


def is_image(kind: pa.DataType) -> bool:
    """Says whether a type holds encoded images: binary, or a struct with the field `bytes` (Hugging Face's)."""
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _is_binary(field.type) for field in kind)
    return _is_binary(kind)


def read_image(item: Any, where: str) -> np.ndarray:
    """Decodes one entry of a column of images: (height, width) or (height, width, 3 or 4) uint8.

    Raises:
        ValueError: there are no bytes, too many, or they are no image.
    """
    content = item.get("bytes") if isinstance(item, Mapping) else item
    if not isinstance(content, bytes):
        path = f", only the path {item['path']!r}" if isinstance(item, Mapping) and item.get("path") else ""
        raise ValueError(f"{where} holds no image{path}: store the images' bytes in the table")
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"{where}: the picture has {len(content)} bytes, expected at most {MAX_FILE_BYTES}")
    try:
        return decode_image(content)
    except ValueError as error:
        raise ValueError(f"{where}: the picture {error}") from error


def read_frame(item: Any, where: str) -> np.ndarray:
    """Decodes an entry as `read_image`, always with channels, as observations have them: (height, width, 1, 3 or 4)."""
    image = read_image(item, where)
    return image if image.ndim == 3 else image[..., None]


def _box(
    low: Any = None, high: Any = None, shape: list[int] | None = None, dtype: str = "float32"
) -> spaces.Box:  # bounds are numbers, nested lists or None, hence `Any`
    kind: Any = np.dtype(dtype)
    if kind.kind not in "iuf":
        raise ValueError(f"dtype is {dtype!r}, expected a type of numbers")
    if kind.kind != "f" and (low is None or high is None):
        raise ValueError("integers need both bounds")
    least, largest = np.asarray(-np.inf if low is None else low), np.asarray(np.inf if high is None else high)
    full = np.broadcast_shapes(least.shape, largest.shape) if shape is None else tuple(shape)
    if shape is None and not full:
        raise ValueError("no shape was given: add one, [] for a single number")
    limits = np.broadcast_to(least, full).astype(kind), np.broadcast_to(largest, full).astype(kind)
    if (limits[0] > limits[1]).any():
        raise ValueError("low is above high")
    return spaces.Box(*limits, full, kind)


def _text(max_length: int, charset: str = string.printable) -> spaces.Text:
    return spaces.Text(max_length, min_length=0, charset=charset)


def _read_numbers(column: pa.Array, where: str) -> np.ndarray:
    """Reads nested lists of numbers as one array (T, ...); every entry has the same shape."""
    column = unwrap(column)
    shape = [len(column)]
    while True:
        _refuse_nulls(column, where)
        if pa.types.is_fixed_size_list(column.type):
            shape.append(column.type.list_size)
        elif pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
            lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
            if len(lengths) and (lengths != lengths[0]).any():
                raise ValueError(
                    f"{where} holds lists of {lengths.min()} to {lengths.max()} values, expected one length"
                )
            shape.append(int(lengths[0]) if len(lengths) else 0)
        else:
            break
        column = unwrap(column.flatten())
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise ValueError(f"{where} is {kind}, expected numbers, bools, strings, pictures, or lists of one of these")
    values = column.to_numpy(zero_copy_only=False)
    return (values.astype(np.float32) if values.dtype == np.float16 else values).reshape(shape)


def _fit_numbers(values: np.ndarray, space: gym.Space, where: str) -> np.ndarray:
    """Casts numbers (T, ...) to the space; checks shape and kind, and of whole numbers also the range."""
    expected = (len(values), *(space.shape or ()))
    if values.size == len(values) == math.prod(expected):
        values = values.reshape(expected)  # a vector of one number is often stored as the number itself, or the reverse
    if values.shape != expected:
        raise ValueError(f"{where} has values of shape {values.shape[1:]}, expected {space.shape} for {space}")
    kind: Any = np.dtype(space.dtype)
    if kind.kind == "f":
        return values.astype(kind)  # the tokenizer clips
    if values.dtype.kind not in "biu":
        raise ValueError(f"{where} holds {values.dtype}, expected whole numbers for {space}")
    if not isinstance(space, spaces.Box):
        values = values.astype(np.int64)
    low, high = bounds(space, where)
    outside = (values < low) | (values > high)
    if outside.any():
        place = tuple(int(number) for number in np.argwhere(outside)[0])
        raise ValueError(f"{where} is {values[place]} at timestep {place[0]}, expected a member of {space}")
    return values.astype(kind)


def _refuse_nulls(column: pa.Array, where: str) -> None:
    if column.null_count:
        first = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise ValueError(f"{where} holds {column.null_count} missing values, the first at {first}: fill or drop them")


def unwrap(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Returns one array without the wrappings that extension types, chunks and dictionaries are."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        column = column if not isinstance(column, pa.ChunkedArray) else column.chunk(0)
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _is_string(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
