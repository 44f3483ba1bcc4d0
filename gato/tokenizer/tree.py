"""Nested Dict and Tuple spaces as a flat list of leaves in the paper's order.

Depth first; the keys of a Dict in lexicographic order, the entries of a Tuple in their own.

Source: Gato (Reed et al., 2022), section 2.1.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gymnasium import spaces


def leaf_spaces(space: spaces.Space, path: str) -> list[tuple[str, spaces.Space]]:
    """Lists the spaces that are neither Dict nor Tuple, each with its path such as "observation/camera/0"."""
    if not isinstance(space, spaces.Dict | spaces.Tuple):
        return [(path, space)]
    return [leaf for key, child in _children(space) for leaf in leaf_spaces(child, f"{path}/{key}")]


def flatten(space: spaces.Space, value: Any, path: str) -> list[Any]:
    """Lists the parts of a value that belong to the leaves of `leaf_spaces`; of one value or of a batch alike.

    Raises:
        ValueError: the value is nested otherwise than the space.
    """
    if isinstance(space, spaces.Dict):
        if not isinstance(value, Mapping) or set(value) != set(space.spaces):
            came = sorted(map(str, value)) if isinstance(value, Mapping) else type(value).__name__
            raise ValueError(f"{path} has keys {came}, expected {sorted(map(str, space.spaces))}")
    elif not isinstance(space, spaces.Tuple):
        return [value]
    elif not isinstance(value, tuple | list) or len(value) != len(space):
        came = f"{len(value)} entries" if isinstance(value, tuple | list) else type(value).__name__
        raise ValueError(f"{path} has {came}, expected a tuple of {len(space)}")
    return [leaf for key, child in _children(space) for leaf in flatten(child, value[key], f"{path}/{key}")]


def unflatten(space: spaces.Space, leaves: Iterator[Any]) -> Any:
    """Nests values, given in the order of `leaf_spaces`, as the space wants them: the inverse of `flatten`."""
    if isinstance(space, spaces.Dict):
        return {key: unflatten(child, leaves) for key, child in _children(space)}
    if isinstance(space, spaces.Tuple):
        return tuple(unflatten(child, leaves) for _, child in _children(space))
    return next(leaves)


def _children(space: spaces.Dict | spaces.Tuple) -> list[tuple[Any, spaces.Space]]:
    if isinstance(space, spaces.Dict):
        return sorted(space.spaces.items(), key=lambda item: str(item[0]))
    return list(enumerate(space.spaces))
