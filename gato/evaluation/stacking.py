"""Single observations or actions -> the batched form of one episode, as Minari stores it."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np


def stack_members(space: gym.Space, members: Sequence[Any]) -> Any:
    """Members of a space -> one tree with time as the first axis of each leaf.

    Args:
        space: decides the structure; every member belongs to it.
        members: one per timestep; none of them is kept.

    Returns:
        Dict -> dict of stacked, Tuple -> tuple of stacked, Text -> list of str, others -> array (len(members), ...)
        of the space's dtype.

    Raises:
        TypeError: the space has members of varying size (Sequence, Graph, OneOf).
    """
    match space:
        case gym.spaces.Dict():
            return {key: stack_members(part, [member[key] for member in members]) for key, part in space.items()}
        case gym.spaces.Tuple():
            return tuple(stack_members(part, [member[i] for member in members]) for i, part in enumerate(space))
        case gym.spaces.Text():
            return [str(member) for member in members]
        case gym.spaces.Box() | gym.spaces.Discrete() | gym.spaces.MultiDiscrete() | gym.spaces.MultiBinary():
            return np.array(members, dtype=space.dtype).reshape((len(members), *(space.shape or ())))
    raise TypeError(
        f"cannot stack members of {space}: expected Box, Discrete, MultiDiscrete, MultiBinary, Text, Dict or Tuple; "
        "wrap the environment so that its members have one size"
    )
