"""Members of a space to and from the batched form that vector environments use."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from gato.tokenizer.tree import flatten, leaf_spaces, unflatten


def stack(members: Sequence[Any]) -> Any:
    """One batched value: arrays with a new first axis, texts as a list, nested like the members.

    Args:
        members: one or more of one space.
    """
    first = members[0]
    if isinstance(first, Mapping):
        return {key: stack([member[key] for member in members]) for key in first}
    if isinstance(first, tuple):
        return tuple(stack(parts) for parts in zip(*members, strict=True))
    return list(members) if isinstance(first, str) else np.stack(members)


def entry(batched: Any, index: int) -> Any:
    """The member at `index` of a batched value: the inverse of `stack`."""
    if isinstance(batched, Mapping):
        return {key: entry(value, index) for key, value in batched.items()}
    if isinstance(batched, tuple):
        return tuple(entry(value, index) for value in batched)
    return batched[index]


def split(space: spaces.Space, batched: Any, num_members: int) -> list[Any]:
    """The members of a batched observation, whose texts may stand in a tuple, as Gymnasium batches them.

    Raises:
        ValueError: it is nested otherwise than the space, or of another number of members; the message names the leaf.
    """
    leaves = flatten(space, batched, "observation")
    for (path, _), leaf in zip(leaf_spaces(space, "observation"), leaves, strict=True):
        if isinstance(leaf, str | Mapping) or not hasattr(leaf, "__len__") or not np.ndim(leaf):
            raise ValueError(f"{path} is {type(leaf).__name__} without a batch, expected {num_members} values")
        if len(leaf) != num_members:
            raise ValueError(f"{path} has {len(leaf)} values, expected {num_members}: one for each environment")
    return [unflatten(space, iter([leaf[index] for leaf in leaves])) for index in range(num_members)]


def is_batched(space: spaces.Space, value: Any) -> bool:
    """Whether an observation is a batch of members of the space rather than one member, going by its first leaf.

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
