"""Checks of batched trees, which hold one entry per timestep, against the space that they are said to belong to."""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from gato.tokenizer.rules import bounds
from gato.tokenizer.tree import flatten, leaf_spaces


def check_shapes(space: gym.Space, tree: Any, path: str) -> None:
    """Refuses a batched tree whose structure or leaf shapes are not those of the space."""
    match space:
        case spaces.Dict():
            if not isinstance(tree, Mapping) or set(tree) != set(space):
                came = sorted(tree) if isinstance(tree, Mapping) else type(tree).__name__
                raise ValueError(f"{path} holds {came}, expected a dict with {sorted(space)}")
            for key, part in space.items():
                check_shapes(part, tree[key], f"{path}/{key}")
        case spaces.Tuple():
            if not isinstance(tree, tuple) or len(tree) != len(space):
                raise ValueError(f"{path} is {type(tree).__name__}, expected a tuple of {len(space)}")
            for index, part in enumerate(space):
                check_shapes(part, tree[index], f"{path}/{index}")
        case spaces.Text():
            if not isinstance(tree, list) or not all(isinstance(text, str) for text in tree):
                raise ValueError(f"{path} is {type(tree).__name__}, expected a list of str")
        case _:
            if not isinstance(tree, np.ndarray) or tree.dtype.kind not in "biuf" or tree.shape[1:] != space.shape:
                came = f"{tree.dtype} {tree.shape}" if isinstance(tree, np.ndarray) else type(tree).__name__
                raise ValueError(f"{path} is {came}, expected numbers of shape (timesteps, *{space.shape}) for {space}")


def check_members(space: gym.Space, tree: Any, path: str) -> None:
    """Refuses a batched tree that holds anything but members of the space, one per timestep.

    Integers and floats of any width are taken; floats are not taken for integers.

    Raises:
        ValueError: another structure, shape, type or value; names the leaf and the timestep.
    """
    check_shapes(space, tree, path)
    for (leaf_path, leaf_space), values in zip(leaf_spaces(space, path), flatten(space, tree, path), strict=True):
        if isinstance(leaf_space, spaces.Text):
            for timestep, text in enumerate(values):
                if text not in leaf_space:
                    raise ValueError(
                        f"{leaf_path} is {text!r} at timestep {timestep}, expected {leaf_space.min_length} to "
                        f"{leaf_space.max_length} of the space's characters: correct the text, or widen the space"
                    )
            continue
        low, high = bounds(leaf_space, leaf_path)
        if values.dtype.kind == "f" and np.dtype(leaf_space.dtype).kind != "f":
            raise ValueError(f"{leaf_path} is {values.dtype}, expected integers for {leaf_space}: convert them")
        wrong = ~((values >= low) & (values <= high) & np.isfinite(values))
        if wrong.any():
            timestep, *element = np.argwhere(wrong)[0].tolist()
            place = f"timestep {timestep}" + (f", element {element}" if element else "")
            raise ValueError(
                f"{leaf_path} is {values[(timestep, *element)]} at {place}, expected a member of {leaf_space}: "
                "correct the data or the space"
            )
