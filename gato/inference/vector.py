"""Members of a space to and from the batched form of Gymnasium's vector environments."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import concatenate, create_empty_array

from gato.tokenizer.tree import flatten, leaf_spaces, unflatten


def stack(space: spaces.Space, members: Sequence[Any]) -> Any:
    """Returns one batched value: arrays with a new first axis, texts as a tuple, nested like the space."""
    empty: Any = create_empty_array(space, len(members))  # Any: its type follows the space
    return concatenate(space, members, empty)


def split(space: spaces.Space, batched: Any, num_members: int, name: str = "observation") -> list[Any]:
    """Returns the members of a batched value, which may be a list, tuple or array at each leaf: the inverse of `stack`.

    Unlike `gymnasium.vector.utils.iterate`, it checks what it is given.

    Raises:
        ValueError: it is nested otherwise than the space, or of another number of members; the message names the leaf.
    """
    leaves = flatten(space, batched, name)
    for (path, _), leaf in zip(leaf_spaces(space, name), leaves, strict=True):
        if isinstance(leaf, str | Mapping) or not hasattr(leaf, "__len__") or not np.ndim(leaf):
            raise ValueError(f"{path} is {type(leaf).__name__} without a batch, expected {num_members} values")
        if len(leaf) != num_members:
            raise ValueError(f"{path} has {len(leaf)} values, expected {num_members}: one for each environment")
    return [unflatten(space, iter([leaf[index] for leaf in leaves])) for index in range(num_members)]


def is_batched(space: spaces.Space, value: Any) -> bool:
    """Returns whether an observation is a batch of members rather than one member, going by its first leaf.

    Raises:
        ValueError: it is nested otherwise than the space.
    """
    values, leaves = flatten(space, value, "observation"), leaf_spaces(space, "observation")
    if not leaves:
        return False
    first = leaves[0][1]
    if isinstance(first, spaces.Text):
        return not isinstance(values[0], str)
    return np.ndim(values[0]) > len(first.shape or ())
