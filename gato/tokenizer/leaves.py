"""One codec for each kind of leaf of a Gymnasium space: its values to columns of tokens, and actions back.

A leaf encodes the values of n timesteps at once, row-major within a value. Which space gets which codec is decided in
`gato.tokenizer.rules`. Leaves of observations have a `width`, the tokens per timestep, None where it varies. Leaves of
actions have `ranges`, (k, 2) int32, the legal ids [low, high) of each token; they decode whatever legal ids (k,) they
are given to a member of their space.

Source: Gato (Reed et al., 2022), section 2.1 and appendix B.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from gymnasium import spaces

from gato.config import FieldScale, TokenizerConfig
from gato.tokenizer.continuous import from_bins, mu_law_decode, mu_law_encode, to_bins
from gato.tokenizer.image import frames_to_patches, patch_grid, patch_intervals
from gato.tokenizer.text import TextTokenizer

_INTEGERS, _FLOATS = "iub", "fiub"  # numpy dtype kinds that an integer or a float space takes
LeafKind: TypeAlias = Literal["numbers", "patches", "text"]  # what the parts of an observed leaf are
Values: TypeAlias = Any  # n timesteps of one leaf: an array (n, ...), or a sequence of n values or strings


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What one leaf adds to each of n timesteps: k columns of tokens; a row may leave the last ones empty."""

    tokens: np.ndarray  # (n, k) int32
    lengths: np.ndarray | None = None  # (n,) columns in use; None where all are, always
    patches: np.ndarray | None = None  # (n, k, patch, patch, 3) uint8 where the tokens are patches
    values: np.ndarray | None = None  # (n, k, j) int32 where a token holds several numbers, see `gato.tokenizer.groups`

    @property
    def kind(self) -> LeafKind:
        """Returns what a leaf encoded: only texts vary in length."""
        if self.patches is not None:
            return "patches"
        return "numbers" if self.lengths is None else "text"


class DiscreteLeaf:
    """Integers from a known finite range, one token each: the value less the smallest possible one."""

    kind: LeafKind = "numbers"

    def __init__(
        self, path: str, low: np.ndarray, sizes: np.ndarray, dtype: np.dtype, scalar: bool, config: TokenizerConfig
    ) -> None:
        """Takes the smallest value and the number of values of each element, arrays of the value's shape."""
        self.path = path
        self.width: int | None = low.size
        self._shape, self._dtype, self._scalar = low.shape, dtype, scalar
        # int64 wraps around for the upper half of uint64; differences and sums wrap back.
        self._low = low.astype(np.int64).ravel()
        self._sizes = sizes.astype(np.int64).ravel()
        self._offset = config.discrete_ids.start
        start = np.full(low.size, self._offset)
        self.ranges = np.stack([start, start + self._sizes], axis=1).astype(np.int32)

    def encode(self, values: Values) -> Columns:
        array = _numbers(values, self.path, self._shape, _INTEGERS)
        indices = array.reshape(len(array), self._low.size).astype(np.int64) - self._low
        wrong = (indices < 0) | (indices >= self._sizes)
        if wrong.any():
            timestep, element = np.argwhere(wrong)[0]
            value = array.reshape(wrong.shape)[timestep, element]
            low, size = int(self._low.astype(self._dtype)[element]), int(self._sizes[element])
            raise ValueError(
                f"{self.path} is {value} at timestep {timestep}, element {element}, "
                f"expected an integer in [{low}, {low + size}): correct the data or the space"
            )
        return Columns(tokens=(indices + self._offset).astype(np.int32))

    def decode(self, ids: np.ndarray) -> Any:
        value = (self._low + (ids - self._offset)).astype(self._dtype).reshape(self._shape)
        return value[()] if self._scalar else value


class ContinuousLeaf:
    """Numbers as equal-width bins over [-1, 1]: the scaling rule.

    Observations are companded by mu-law and clipped to [-1, 1], whatever their bounds. Of actions, an element with a
    finite bound on both sides is clipped to them and mapped linearly, low to -1 and high to 1; any other is companded
    like an observation. Decoding takes the centre of the bin, undoes the mapping, rounds if the dtype is an integer,
    and clips to the bounds. A bound at the extreme of the dtype, or of float32, is none (Gymnasium writes infinite
    integer bounds so), but zero always is one.

    A `FieldScale` replaces this, of observations and actions alike, by a linear map of the span that it gives.
    """

    kind: LeafKind = "numbers"

    def __init__(
        self, path: str, space: spaces.Box, config: TokenizerConfig, *, action: bool, scale: FieldScale | None = None
    ) -> None:
        """Takes the scale of this leaf, if it has one.

        Raises:
            ValueError: the scale is of another number of elements.
        """
        self.path = path
        self._space, self._config, self._action = space, config, action
        # Any, because numpy's stubs want to know here whether the dtype is of floats or of integers.
        dtype: Any = space.dtype
        self._is_float = dtype.kind == "f"
        low, high = _as_float64(space.low).ravel(), _as_float64(space.high).ravel()
        if self._is_float:
            largest = min(float(np.finfo(dtype).max), float(np.finfo(np.float32).max))
            self._linear = (low > -largest) & (high < largest) & action
        else:
            largest = float(np.iinfo(dtype).max)
            self._linear = ((low > np.iinfo(dtype).min) | (low == 0)) & (high < largest) & action
        if scale is not None:
            low, high = self._span(scale)
            self._linear = np.ones(low.size, bool)
        self._centre = np.where(self._linear, low, -1.0) / 2 + np.where(self._linear, high, 1.0) / 2
        half = np.where(self._linear, high, 1.0) / 2 - np.where(self._linear, low, -1.0) / 2
        self._half = np.where(half > 0, half, 1.0)  # an element with a single value is always at the centre
        outermost = min(config.mu_scale, largest)  # mu-law clips beyond it
        self._low = np.where(self._linear, low, np.clip(low, -outermost, outermost) if action else -outermost)
        self._high = np.where(self._linear, high, np.clip(high, -outermost, outermost) if action else outermost)
        ids = config.continuous_ids
        self.width: int | None = low.size
        self.ranges = np.tile(np.array([[ids.start, ids.stop]], np.int32), (low.size, 1))

    def rescaled(self, scale: FieldScale | None) -> "ContinuousLeaf":
        """Returns the same leaf under another scale, or under the paper's rule."""
        return ContinuousLeaf(self.path, self._space, self._config, action=self._action, scale=scale)

    def _span(self, scale: FieldScale) -> tuple[np.ndarray, np.ndarray]:
        """Returns (elements,) float64 low and high, rounded to the space's dtype as values are before scaling."""
        size = int(np.prod(self._space.shape))
        if len(scale.low) != size:
            raise ValueError(
                f"{self.path} has {size} elements, but its scale has {len(scale.low)}: measure the scale on data of "
                "this space"
            )
        span = np.array([scale.low, scale.high], np.float64)
        if self._is_float:
            dtype: Any = self._space.dtype
            span = np.clip(span, np.finfo(dtype).min, np.finfo(dtype).max).astype(dtype).astype(np.float64)
        return span[0], span[1]

    def encode(self, values: Values) -> Columns:
        config = self._config
        array = _numbers(values, self.path, self._space.shape, _FLOATS if self._is_float else _INTEGERS)
        numbers = array.reshape(len(array), self._low.size)
        finite = np.isfinite(numbers)
        if not finite.all():
            timestep, element = np.argwhere(~finite)[0]
            raise ValueError(
                f"{self.path} is {numbers[timestep, element]} at timestep {timestep}, element {element}, "
                "expected finite numbers: correct the data or the environment"
            )
        numbers = np.clip(numbers, self._low, self._high)
        if self._is_float:
            # Values count as what they are in the space's dtype, so that float64 copies of stored float32 values, which
            # simulators hand out, get the very same tokens.
            numbers = numbers.astype(self._space.dtype)
        numbers = numbers.astype(np.float64)
        scaled = (numbers - self._centre) / self._half
        if not self._linear.all():
            scaled = np.where(self._linear, scaled, mu_law_encode(numbers, config.mu, config.mu_scale))
        return Columns(tokens=to_bins(scaled, config.num_bins) + np.int32(config.continuous_ids.start))

    def decode(self, ids: np.ndarray) -> np.ndarray:
        config, space = self._config, self._space
        dtype: Any = space.dtype
        scaled = from_bins(ids - config.continuous_ids.start, config.num_bins)
        companded = mu_law_decode(scaled, config.mu, config.mu_scale)
        linear = np.clip(self._centre + scaled * self._half, self._low, self._high)  # the very value of a constant
        numbers = np.where(self._linear, linear, companded)
        if self._is_float:
            representable = (
                np.clip(numbers, np.finfo(dtype).min, np.finfo(dtype).max).astype(dtype).reshape(space.shape)
            )
            return np.asarray(np.clip(representable, space.low, space.high))
        # Python integers, because float64 cannot hold every bound of 64-bit integers.
        lows, highs = space.low.ravel().tolist(), space.high.ravel().tolist()
        rounded = [
            min(max(round(number), low), high) for number, low, high in zip(numbers.tolist(), lows, highs, strict=True)
        ]
        return np.array(rounded, dtype).reshape(space.shape)


class ImageLeaf:
    """Images as patches in raster order."""

    kind: LeafKind = "patches"

    def __init__(self, path: str, space: spaces.Box, config: TokenizerConfig) -> None:
        self.path = path
        self._shape, self._config = space.shape, config
        height, width = space.shape[:2]
        rows, columns = patch_grid(height, width, config.patch_size)
        self.width: int | None = rows * columns
        self.intervals = patch_intervals(height, width, config.patch_size, config.patch_position_size)

    def encode(self, values: Values) -> Columns:
        frames = _numbers(values, self.path, self._shape, "u", np.dtype(np.uint8))
        patches = frames_to_patches(frames if frames.ndim == 4 else frames[..., None], self._config.patch_size)
        return Columns(tokens=np.full(patches.shape[:2], self._config.padding_id, np.int32), patches=patches)


class TextLeaf:
    """Text of an observation, as many tokens as it takes, without an end mark."""

    kind: LeafKind = "text"

    def __init__(self, path: str, text: TextTokenizer) -> None:
        self.path = path
        self.width: int | None = None
        self._text = text

    def encode(self, values: Values) -> Columns:
        rows: dict[str, int] = {}
        indices = np.array([rows.setdefault(value, len(rows)) for value in _strings(values, self.path)], np.int64)
        encoded = [_encode_text(self._text, value, self.path) for value in rows]
        lengths = np.array([len(ids) for ids in encoded], np.int64)
        table = np.zeros((len(encoded), lengths.max(initial=0)), np.int32)
        for row, ids in zip(table, encoded, strict=True):
            row[: len(ids)] = ids
        return Columns(tokens=table[indices], lengths=lengths[indices])


class TextActionLeaf:
    """Text of an action in a fixed number of tokens, the rest filled up with the end mark.

    Decoding reads up to the first end mark, drops characters outside the space's character set, cuts what is too long,
    and repeats the first character of the set where the text is too short.
    """

    def __init__(self, path: str, space: spaces.Text, config: TokenizerConfig, text: TextTokenizer) -> None:
        self.path = path
        self._space, self._text, self._num_slots = space, text, config.text_action_tokens
        self.ranges = np.tile(np.array([[0, text.vocab_size]], np.int32), (self._num_slots, 1))

    def encode(self, values: Values) -> Columns:
        texts = _strings(values, self.path)
        encoded: dict[str, np.ndarray] = {}
        for value in dict.fromkeys(texts):
            if not self._space.contains(value):
                raise ValueError(
                    f"{self.path} is {value!r}, expected a member of {self._space}: correct the data or the space"
                )
            ids = _encode_text(self._text, value, self.path)
            if len(ids) >= self._num_slots:
                raise ValueError(
                    f"{self.path} is {value!r}, {len(ids)} tokens and an end mark, but text_action_tokens is "
                    f"{self._num_slots}: raise it in the tokenizer config"
                )
            encoded[value] = np.append(ids, np.full(self._num_slots - len(ids), self._text.end_id, np.int32))
        rows = [encoded[value] for value in texts]
        return Columns(tokens=np.stack(rows) if rows else np.zeros((0, self._num_slots), np.int32))

    def decode(self, ids: np.ndarray) -> str:
        ends = np.flatnonzero(ids == self._text.end_id)
        decoded = self._text.decode(ids[: ends[0]] if len(ends) else ids)
        allowed = [character for character in decoded if character in self._space.character_set]
        kept = "".join(allowed[: self._space.max_length])
        return kept + self._space.characters[:1] * (self._space.min_length - len(kept))


ObservationLeaf: TypeAlias = DiscreteLeaf | ContinuousLeaf | ImageLeaf | TextLeaf
ActionLeaf: TypeAlias = DiscreteLeaf | ContinuousLeaf | TextActionLeaf


def _numbers(
    values: Values, path: str, shape: tuple[int, ...], kinds: str, dtype: np.dtype | None = None
) -> np.ndarray:
    """Returns the values as an array (n, *shape), and refuses another shape or kind."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{path} has values of differing shapes, expected {shape} each: correct the data") from error
    if array.shape[1:] != shape or array.ndim == 0:
        raise ValueError(
            f"{path} has shape {array.shape[1:]}, expected {shape}: correct the data or declare the space that it has"
        )
    if array.dtype.kind not in kinds or (dtype is not None and array.dtype != dtype):
        expected = str(dtype) if dtype is not None else ("numbers" if kinds == _FLOATS else "integers")
        raise ValueError(
            f"{path} has dtype {array.dtype}, expected {expected}: correct the data or declare the space that it has"
        )
    return array


def _as_float64(bound: np.ndarray) -> np.ndarray:
    """Converts a bound of any dtype without overflow; infinite ones become the largest float64."""
    limits = np.finfo(np.float64)
    return np.clip(bound.astype(np.longdouble), limits.min, limits.max).astype(np.float64)


def _strings(values: Iterable[Any], path: str) -> Sequence[str]:
    if isinstance(values, str):
        raise ValueError(f"{path} is one str, expected a list of one str per timestep")
    texts = list(values)
    for timestep, value in enumerate(texts):
        if not isinstance(value, str):
            raise ValueError(f"{path} is {type(value).__name__} at timestep {timestep}, expected str")
    return texts


def _encode_text(text: TextTokenizer, value: str, path: str) -> np.ndarray:
    try:
        return text.encode(value)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
