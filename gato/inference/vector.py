"""Members of a space to and from the batched form that vector environments use."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces


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


def is_batched(space: spaces.Space, value: Any) -> bool:
    """Whether the value is a batch of members of the space rather than one member, going by its first leaf."""
    if isinstance(space, spaces.Dict):
        key = next(iter(space))
        return is_batched(space[key], value[key])
    if isinstance(space, spaces.Tuple):
        return is_batched(space[0], value[0])
    if isinstance(space, spaces.Text):
        return not isinstance(value, str)
    return np.ndim(value) > len(space.shape or ())
