"""Which codec each leaf of a Gymnasium space gets.

Gato (Reed et al., 2022), section 2.1, speaks of images, discrete and continuous values; where a space leaves open which
of them its values are, `is_image` and `is_discrete` decide.
"""

from typing import Literal, TypeAlias

import numpy as np
from gymnasium import spaces

from gato.config import FieldScale, TokenizerConfig
from gato.tokenizer.leaves import (
    ActionLeaf,
    ContinuousLeaf,
    DiscreteLeaf,
    ImageLeaf,
    ObservationLeaf,
    TextActionLeaf,
    TextLeaf,
)
from gato.tokenizer.text import TextTokenizer

Modality: TypeAlias = Literal["image", "tensor"]


def observation_leaf(
    path: str,
    space: spaces.Space,
    config: TokenizerConfig,
    text: TextTokenizer | None,
    modality: Modality | None,
    scale: FieldScale | None = None,
) -> ObservationLeaf:
    """Makes the codec of one observation leaf; `modality` overrides `is_image`, `scale` is for continuous ones only."""
    if isinstance(space, spaces.Text):
        return TextLeaf(path, _require_text(path, text))
    if isinstance(space, spaces.Box):
        if modality == "image":
            _check_image(path, space)
        if modality == "image" or (modality is None and is_image(space, config)):
            return ImageLeaf(path, space, config)
    return _number_leaf(path, space, config, action=False, scale=scale)


def action_leaf(
    path: str,
    space: spaces.Space,
    config: TokenizerConfig,
    text: TextTokenizer | None,
    scale: FieldScale | None = None,
) -> ActionLeaf:
    """Makes the codec of one action leaf; images are tensors here, and `scale` is for continuous leaves only."""
    if isinstance(space, spaces.Text):
        return TextActionLeaf(path, space, config, _require_text(path, text))
    return _number_leaf(path, space, config, action=True, scale=scale)


def is_image(space: spaces.Box, config: TokenizerConfig) -> bool:
    """Decides whether an observed Box is an image: the rule.

    It is one if it holds uint8, has three axes of which the last has 1, 3 or 4 channels, and is at least one patch high
    and wide. Any other Box is a tensor of numbers, small uint8 grids with channels included.
    """
    return (
        space.dtype == np.uint8
        and len(space.shape) == 3
        and space.shape[2] in (1, 3, 4)
        and min(space.shape[:2]) >= config.patch_size
    )


def is_discrete(space: spaces.Box, config: TokenizerConfig) -> bool:
    """Decides whether an integer Box becomes discrete tokens: the rule.

    It does if no element can take more than `num_discrete` values, counting from its low to its high; then a token is
    the value less its low. Any other integer Box is a tensor of continuous numbers.
    """
    if space.dtype.kind == "f":
        return False
    return bool((_spans(space) < config.num_discrete).all())


def _number_leaf(
    path: str, space: spaces.Space, config: TokenizerConfig, *, action: bool, scale: FieldScale | None
) -> DiscreteLeaf | ContinuousLeaf:
    if isinstance(space, spaces.Box) and not is_discrete(space, config):
        return ContinuousLeaf(path, space, config, action=action, scale=scale)
    low, high = bounds(space, path)
    sizes = high.astype(np.int64) - low.astype(np.int64) + 1  # wraps back where int64 overflows
    if sizes.max(initial=0) > config.num_discrete:
        raise ValueError(
            f"{path} is {space}, more than the {config.num_discrete} values of one discrete token: raise num_discrete "
            "in the tokenizer config, or wrap the environment so that it splits the value into several smaller ones"
        )
    return DiscreteLeaf(path, low, sizes, np.dtype(space.dtype), isinstance(space, spaces.Discrete), config)


def bounds(space: spaces.Space, path: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the lowest and the highest member of a space of numbers, both inclusive, as arrays of its shape.

    Raises:
        ValueError: the space holds no numbers; the message begins with the path.
    """
    if isinstance(space, spaces.Discrete):
        return np.array(space.start), np.array(space.start + space.n - 1)
    if isinstance(space, spaces.MultiDiscrete):
        return space.start, space.start + space.nvec - 1
    if isinstance(space, spaces.MultiBinary):
        return np.zeros(space.shape, np.int64), np.ones(space.shape, np.int64)
    if isinstance(space, spaces.Box):
        return space.low, space.high
    raise ValueError(
        f"{path} is {type(space).__name__}, expected Discrete, MultiDiscrete, MultiBinary, Box, Text, Dict or Tuple: "
        "wrap the environment so that it uses one of these"
    )


def _spans(space: spaces.Box) -> np.ndarray:
    """Returns high less low of an integer Box, wrapped into uint64: the difference of int64 bounds can overflow."""
    return space.high.astype(np.uint64) - space.low.astype(np.uint64)


def _require_text(path: str, text: TextTokenizer | None) -> TextTokenizer:
    if text is None:
        raise ValueError(f"{path} is Text, but there is no text tokenizer: pass text=TextTokenizer.load(...)")
    return text


def _check_image(path: str, space: spaces.Box) -> None:
    channels = space.shape[2] if len(space.shape) == 3 else 1
    if (
        space.dtype != np.uint8
        or len(space.shape) not in (2, 3)
        or channels not in (1, 3, 4)
        or not min(space.shape[:2])
    ):
        raise ValueError(
            f"{path} cannot be an image: it has dtype {space.dtype} and shape {space.shape}, expected uint8 and "
            "(height, width) or (height, width, channels) with 1, 3 or 4 channels"
        )
