"""Parameters as safetensors files, in one or several shards with an index as Hugging Face's libraries write it.

A tensor's name joins the names on the way to it with dots: `transformer.blocks.mlp.up.kernel`.

Source: the format's description, https://huggingface.co/docs/safetensors.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from gato.checkpoint import DamagedCheckpointError
from gato.config import RunConfig
from gato.model.gato import Parameters, init_parameters, matrix_mask
from gato.release.record import INDEX_FILE, DType

_STORED = {"F32": "float32", "BF16": "bfloat16"}  # what a file calls the types that parameters are stored in


def expected_parameters(config: RunConfig) -> Parameters:
    """Returns shapes and types of a run's parameters, as `jax.ShapeDtypeStruct`s; nothing is computed.

    Raises:
        ValueError: there is no network of these sizes.
    """
    try:
        return jax.eval_shape(lambda: init_parameters(config.model, config.tokenizer, jax.random.key(0)))
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ValueError(f"the config of {config.name!r} describes no network ({error!r})") from error


def save_parameters(folder: Path, params: Parameters, dtype: DType, max_shard_bytes: int) -> None:
    """Writes the files, and an index if there are several.

    Args:
        folder: that holds none of them yet.
        params: float32 arrays.
        dtype: of matrices and tables. Norm gains and biases stay float32: they weigh nothing, and no product that is
            computed in bfloat16 rounds them.
        max_shard_bytes: most bytes of tensors in one file; a larger tensor has a file of its own.

    Raises:
        ValueError: a value is not finite.
    """
    shards = list(_shards(dict(_stored(params, dtype)), max_shard_bytes))
    if len(shards) == 1:
        _save(shards[0], folder / "model.safetensors")
        return
    weight_map: dict[str, str] = {}
    total_size = 0
    for number, shard in enumerate(shards, start=1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        _save(shard, folder / name)
        weight_map |= dict.fromkeys(shard, name)
        total_size += sum(array.nbytes for array in shard.values())
    index = {"metadata": {"total_size": total_size}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def load_parameters(paths: Sequence[Path], config: RunConfig) -> Parameters:
    """Loads the parameters as float32 host arrays; names and shapes are compared with the config before any is read.

    Raises:
        DamagedCheckpointError: a file is no safetensors file, or cut short; tensors are not those of the config.
    """
    template = expected_parameters(config)
    expected = {_tensor_name(path): leaf.shape for path, leaf in jax.tree.leaves_with_path(template)}
    places = _places(paths, expected)
    if missing := expected.keys() - places.keys():
        raise DamagedCheckpointError(
            f"{paths[0].parent} lacks the tensor {min(missing)!r} ({len(missing)} of {len(expected)} are missing): "
            "its config.json describes another network"
        )
    arrays = {}
    for path in paths:
        with safe_open(path, framework="np") as file:
            for name in (name for name, place in places.items() if place == path):
                arrays[name] = np.asarray(file.get_tensor(name), np.float32)
    return jax.tree.unflatten(jax.tree.structure(template), [arrays[name] for name in expected])


def _places(paths: Sequence[Path], expected: Mapping[str, tuple[int, ...]]) -> dict[str, Path]:
    """Finds the file of every tensor; only headers are read."""
    places: dict[str, Path] = {}
    for path in paths:
        try:
            with safe_open(path, framework="np") as file:
                found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
                described = {name: (entry.get_dtype(), tuple(entry.get_shape())) for name, entry in found.items()}
        except SafetensorError as error:
            raise DamagedCheckpointError(
                f"{path} is no whole safetensors file ({error}): get it again, or ask its author for a new export"
            ) from error
        for name, (stored, shape) in described.items():
            if name not in expected:
                raise DamagedCheckpointError(f"{path} holds the tensor {name!r}, which this network has not")
            if name in places:
                raise DamagedCheckpointError(f"{path} holds the tensor {name!r}, which {places[name].name} holds too")
            if shape != expected[name] or stored not in _STORED:
                raise DamagedCheckpointError(
                    f"{path}: tensor {name!r} is {_STORED.get(stored, stored)}{list(shape)}, expected "
                    f"{' or '.join(_STORED.values())} {list(expected[name])}"
                )
            places[name] = path
    return places


def _save(tensors: dict[str, np.ndarray], path: Path) -> None:
    """Writes one file with the permissions of the folder's other files; the library would let its owner alone read."""
    path.touch()
    mode = path.stat().st_mode
    save_file(tensors, path)
    path.chmod(mode)


def _stored(params: Parameters, dtype: DType) -> Iterator[tuple[str, np.ndarray]]:
    """Yields tensors by name, in the type that is stored."""
    masks = jax.tree.leaves(matrix_mask(params))
    for (path, leaf), is_matrix in zip(jax.tree.leaves_with_path(params), masks, strict=True):
        name = _tensor_name(path)
        array = np.asarray(leaf)
        with np.errstate(over="ignore"):  # what bfloat16 cannot hold is told below
            array = array.astype(jnp.dtype(dtype) if is_matrix else np.float32)
        if not np.isfinite(array.astype(np.float32)).all():
            raise ValueError(f"parameter {name!r} has values that are not finite as {array.dtype}: nobody could use it")
        yield name, np.ascontiguousarray(array)  # the writer takes bytes as they lie, in whatever order


def _shards(tensors: Mapping[str, np.ndarray], max_shard_bytes: int) -> Iterator[dict[str, np.ndarray]]:
    """Fills the tensors, in order of their names, into shards one after another."""
    shard: dict[str, np.ndarray] = {}
    size = 0
    for name, array in sorted(tensors.items()):
        if shard and size + array.nbytes > max_shard_bytes:
            yield shard
            shard, size = {}, 0
        shard[name] = array
        size += array.nbytes
    yield shard


def _tensor_name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")
