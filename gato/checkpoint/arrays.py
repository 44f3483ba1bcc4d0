"""Trees of arrays on disk: nested dicts named by the leaves' paths, shard by shard (Orbax)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

_Tree = TypeVar("_Tree")
Arrays = dict[str, Any]  # nested dicts of arrays
# The device or devices that an array of this name and shape is loaded to.
Placement = Callable[[str, tuple[int, ...]], jax.sharding.Sharding]


def start_saving(folder: Path, tree: Any) -> ocp.AsyncResponse:  # Any: a pytree of the caller's own types
    """Copies the arrays to the host and writes them in the background; the response waits for the end.

    Of an array that several processes share, each writes what it holds; all must call this at the same time.
    """
    nested: Arrays = {}
    for path, leaf in jax.tree.leaves_with_path(tree):
        place = nested
        for entry in path[:-1]:
            place = place.setdefault(leaf_name((entry,)), {})
        place[leaf_name(path[-1:])] = leaf
    context = ocp.Context()
    context.array.saving.use_compression = False  # saves a twelfth of the bytes and takes five times as long
    with context:
        return ocp.save_async(folder.absolute(), nested)


def load_arrays(folder: Path, placement: Placement | None) -> Arrays:
    """Loads the nested dicts that were saved: numpy arrays, or, given a placement, arrays on devices.

    With a placement each process reads no more than the shards that it will hold.
    """

    def wanted(path: tuple[Any, ...], stored: Any) -> Any:
        if placement is None:
            return np.empty(stored.shape, stored.dtype)
        sharding = placement(leaf_name(path), stored.shape)
        return jax.ShapeDtypeStruct(stored.shape, stored.dtype, sharding=sharding)

    stored = ocp.metadata(folder.absolute()).metadata
    return ocp.load(folder.absolute(), jax.tree.map_with_path(wanted, stored))


def restore_like(template: _Tree, stored: Arrays, what: str) -> _Tree:
    """Returns stored nested dicts as a pytree of the template's types.

    Args:
        template: arrays or `jax.ShapeDtypeStruct`s; only structure, shapes and dtypes count.
        what: what the leaves are, for the message.

    Raises:
        ValueError: names, shapes or dtypes differ; the message names the leaves.
    """
    expected, treedef = jax.tree.flatten_with_path(template)
    found = {leaf_name(path): leaf for path, leaf in jax.tree.leaves_with_path(stored)}
    names = [leaf_name(path) for path, _ in expected]
    wrong = [f"{name} is not expected" for name in sorted(found.keys() - set(names))]
    for name, (_, leaf) in zip(names, expected, strict=True):
        wanted = f"{np.dtype(leaf.dtype)}{list(leaf.shape)}"
        if name not in found:
            wrong.append(f"{name} is missing, expected {wanted}")
        elif (got := f"{np.dtype(found[name].dtype)}{list(found[name].shape)}") != wanted:
            wrong.append(f"{name} is {got}, expected {wanted}")
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ValueError(f"{what} of the checkpoint do not fit the config: {'; '.join(wrong[:5])}{more}")
    return jax.tree.unflatten(treedef, [found[name] for name in names])


def leaf_name(path: tuple[Any, ...]) -> str:
    """Returns a leaf's path as it is named on disk, such as "transformer/blocks/mlp/up"."""
    return jax.tree_util.keystr(path, simple=True, separator="/")
