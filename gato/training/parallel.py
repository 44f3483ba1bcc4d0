"""Sharding of a run's arrays: one mesh of devices with named axes, and one table of what is split along which axis.

Where the compiler needs an array that is split, it gathers it, and sums gradients over the devices that share a
parameter (GSPMD). Nothing else in training knows how many devices there are.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from gato.batch import Batch
from gato.checkpoint import leaf_name
from gato.config import ParallelConfig
from gato.model.gato import Parameters

_Tree = TypeVar("_Tree")
_ROWS = ("data", "fsdp")  # the mesh axes that share the rows of a batch

# The end of a leaf's name: the mesh axis that each of its own axes is split along. The optimizer's moments bear the
# names of their parameters. What is not listed, or does not divide evenly, every device holds whole: gains, the patch
# stem, and what tokens of several numbers bring, whose codes, stem and action head are small beside one block.
RULES: dict[str, tuple[str | None, ...]] = {
    "embedding/tokens": ("tensor", "fsdp"),
    "embedding/local_positions": (None, "fsdp"),
    "blocks/attention/qkv/kernel": (None, "fsdp", "tensor"),
    "blocks/attention/out/kernel": (None, "tensor", "fsdp"),
    "blocks/mlp/up/kernel": (None, "fsdp", "tensor"),
    "blocks/mlp/down/kernel": (None, "tensor", "fsdp"),
}


class MeshSharding:
    """The mesh of a run, and the sharding of each of its arrays on it."""

    def __init__(self, config: ParallelConfig) -> None:
        """Arranges all devices of all processes.

        Raises:
            ValueError: the sizes do not multiply to the number of devices.
        """
        devices = jax.devices()
        sizes = {"data": config.data, "fsdp": config.fsdp, "tensor": config.tensor}
        known = math.prod(size for size in sizes.values() if size != -1)
        sizes = {axis: len(devices) // known if size == -1 else size for axis, size in sizes.items()}
        if math.prod(sizes.values()) != len(devices):
            mesh = " x ".join(f"{axis} {size}" for axis, size in sizes.items())
            raise ValueError(
                f"parallel asks for {mesh} devices, but there are {len(devices)}: set one of the sizes to -1, or make "
                "their product the number of devices"
            )
        self.mesh = jax.make_mesh(tuple(sizes.values()), tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes))
        self.num_row_groups = sizes["data"] * sizes["fsdp"]  # devices or groups of them with rows of their own

    def __str__(self) -> str:
        sizes = " x ".join(f"{axis} {size}" for axis, size in self.mesh.shape.items())
        device = self.mesh.devices.flat[0]
        processes = jax.process_count()
        return f"{sizes} on {self.mesh.size} {device.device_kind} device(s) of {processes} process(es)"

    @property
    def whole(self) -> NamedSharding:
        """Returns the sharding of arrays that every device holds whole."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def rows(self) -> NamedSharding:
        """Returns the sharding of arrays whose leading axis is split over the devices."""
        return NamedSharding(self.mesh, PartitionSpec(_ROWS))

    def of(self, name: str, shape: tuple[int, ...]) -> NamedSharding:
        """Returns the sharding of the array of a name such as "params/transformer/blocks/mlp/up/kernel"."""
        rule = next((rule for end, rule in RULES.items() if name.endswith(end)), ())
        if len(rule) != len(shape):
            return self.whole
        axes = [
            axis if axis is not None and size % self.mesh.shape[axis] == 0 else None
            for axis, size in zip(rule, shape, strict=True)
        ]
        return NamedSharding(self.mesh, PartitionSpec(*axes))

    def shardings(self, tree: _Tree) -> _Tree:
        """Returns the sharding of every leaf of a tree of arrays or their shapes."""
        return jax.tree.map_with_path(lambda path, leaf: self.of(leaf_name(path), leaf.shape), tree)

    def gathered_tables(self, params: Parameters) -> Parameters:
        """Gathers the embedding tables of traced parameters but for "tensor": a look-up would move rows otherwise."""

        def gathered(path: tuple[Any, ...], leaf: jax.Array) -> jax.Array:
            spec = self.of("embedding/" + leaf_name(path), leaf.shape).spec
            whole = PartitionSpec(*(None if axis == "fsdp" else axis for axis in spec))
            return jax.lax.with_sharding_constraint(leaf, NamedSharding(self.mesh, whole))

        return {**params, "embedding": jax.tree.map_with_path(gathered, params["embedding"])}

    def put(self, tree: _Tree) -> _Tree:
        """Moves a tree of host or device arrays, the same on every process, to its devices."""

        def place(path: tuple[Any, ...], leaf: Any) -> jax.Array:
            sharding = self.of(leaf_name(path), leaf.shape)
            if isinstance(leaf, jax.Array) and leaf.sharding == sharding:
                return leaf
            if sharding.is_fully_addressable:
                return jax.device_put(leaf, sharding)
            host = np.asarray(leaf)
            return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

        return jax.tree.map_with_path(place, tree)

    def put_rows(self, batch: Batch) -> Batch:
        """Moves the rows of this process to its devices, as its part of the batch of all processes."""
        if self.rows.is_fully_addressable:
            return jax.device_put(batch, self.rows)
        with jax.transfer_guard_host_to_device("allow"):  # meant as explicitly as device_put
            return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(self.rows, leaf), batch)

    def make(self, function: Callable[..., _Tree], *inputs: Any) -> _Tree:
        """Returns the function's result, computed on its devices: no device ever holds all of a split tree."""
        shardings = self.shardings(jax.eval_shape(function, *inputs))
        return jax.jit(function, out_shardings=shardings)(*inputs)
