"""Checkpoints of a run: complete or absent, verified before use, never unpickled.

    <run>/checkpoints/<step>/
        params/          the model's parameters, nested dicts of arrays (Orbax)
        train_state/     all else that training needs to continue (Orbax)
        data_state.json  where the data iterator stood
        config.json      the resolved RunConfig
        tokenizer.model  the SentencePiece model, where the run has one
        manifest.json    step, and the size and SHA-256 of every other file; written last

Orbax restores flipped bits without a word, so every file is checked against the manifest before any array is read.
Arrays are stored as host arrays: a checkpoint loads on any number and kind of devices. One process at a time writes
to a run.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from gato.config import RunConfig

FORMAT_VERSION = 1
_MANIFEST = "manifest.json"
_LEFTOVER = ".unfinished-"  # prefix of folders that are being written or removed
_DAMAGED = ".damaged"  # suffix of folders that were set aside

_Tree = TypeVar("_Tree")
Arrays = dict[str, Any]  # nested dicts of arrays


class DamagedCheckpointError(ValueError):
    """Files of a checkpoint are missing, foreign, or not what was written."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What was saved at one step; arrays are numpy."""

    step: int
    config: RunConfig
    params: Arrays
    tokenizer_model: bytes | None
    train_state: Arrays | None  # None unless asked for
    data_state: dict[str, Any] | None  # None unless asked for


def save_checkpoint(
    run_folder: Path,
    *,
    step: int,
    params: Arrays,
    train_state: Any,  # Any: a pytree of the caller's own types
    data_state: dict[str, Any],
    config: RunConfig,
    tokenizer_model: bytes | None = None,
    keep: int = 2,
) -> Path:
    """Writes `<run_folder>/checkpoints/<step>/`, which appears complete or not at all; keeps the newest ones.

    Args:
        train_state: any pytree of arrays; comes back as nested dicts, which `restore_like` gives their types again.
        data_state: JSON values.
        keep: complete checkpoints that stay, this one included.

    Raises:
        FileExistsError: the step has a folder already.
    """
    if keep < 1:
        raise ValueError(f"keep is {keep}, needs 1 or more")
    root = _root(run_folder)
    folder = root / f"{step:08d}"
    if folder.exists():
        raise FileExistsError(f"{folder} exists: a checkpoint is never overwritten, choose another run folder")
    root.mkdir(parents=True, exist_ok=True)
    _sweep(root)
    unfinished = root / f"{_LEFTOVER}{folder.name}"
    unfinished.mkdir()
    _save_arrays(unfinished / "params", params)
    _save_arrays(unfinished / "train_state", train_state)
    (unfinished / "data_state.json").write_text(json.dumps(data_state))
    config.save(unfinished / "config.json")
    if tokenizer_model is not None:
        (unfinished / "tokenizer.model").write_bytes(tokenizer_model)
    _write_manifest(unfinished, step)
    unfinished.rename(folder)
    _sync(root)
    for old in list_checkpoints(run_folder)[:-keep]:
        _remove(old)
    return folder


def load_checkpoint(path: Path, *, train_state: bool = False) -> Checkpoint:
    """Reads a step folder, or the newest complete checkpoint of a run folder; every file read is verified first.

    Args:
        train_state: also load what training needs; otherwise those files are not even opened.

    Raises:
        FileNotFoundError: no checkpoint there.
        DamagedCheckpointError: a file is missing, foreign or altered; the message names it.
        ValueError: written in a format that this version does not know.
    """
    parts = None if train_state else ("params", "config.json", "tokenizer.model")
    folder = _find(path)
    manifest = _verify(folder, parts)
    tokenizer_path = folder / "tokenizer.model"
    return Checkpoint(
        step=manifest["step"],
        config=RunConfig.load(folder / "config.json"),
        params=ocp.load(folder.absolute() / "params"),
        tokenizer_model=tokenizer_path.read_bytes() if tokenizer_path.exists() else None,
        train_state=ocp.load(folder.absolute() / "train_state") if train_state else None,
        data_state=json.loads((folder / "data_state.json").read_text()) if train_state else None,
    )


def load_config(path: Path) -> RunConfig:
    """The config of a step folder or of a run's newest checkpoint, verified; opens no array.

    Raises:
        FileNotFoundError, DamagedCheckpointError, ValueError: as `load_checkpoint`.
    """
    folder = _find(path)
    _verify(folder, ("config.json",))
    return RunConfig.load(folder / "config.json")


def identity(path: Path) -> dict[str, Any]:
    """Which weights these are, wherever they lie: step and digest of a step folder or of a run's newest checkpoint.

    Raises:
        FileNotFoundError, DamagedCheckpointError: as `load_checkpoint`; no array is read.
    """
    manifest = _verify(_find(path), ("config.json",))
    return {"step": manifest["step"], "sha256": _own_digest(manifest)}


def list_checkpoints(run_folder: Path) -> list[Path]:
    """The complete checkpoints of a run, oldest first; folders without a manifest are passed over."""
    return [folder for folder in step_folders(run_folder) if (folder / _MANIFEST).is_file()]


def latest_checkpoint(run_folder: Path) -> Path | None:
    """The newest complete checkpoint of a run."""
    return next(reversed(list_checkpoints(run_folder)), None)


def step_folders(run_folder: Path) -> list[Path]:
    """All folders that stand at a step's place, complete or not, oldest first."""
    root = _root(run_folder)
    folders = [path for path in root.iterdir() if path.name.isdecimal() and path.is_dir()] if root.is_dir() else []
    return sorted(folders, key=lambda folder: int(folder.name))


def set_aside(folder: Path) -> Path:
    """Renames a step folder, so that nothing loads it and its step can be saved again; returns the new place."""
    aside = folder.with_name(folder.name + _DAMAGED)
    count = 1
    while aside.exists():
        count += 1
        aside = folder.with_name(f"{folder.name}{_DAMAGED}-{count}")
    return folder.rename(aside)


def restore_like(template: _Tree, stored: Arrays, what: str) -> _Tree:
    """Stored nested dicts as a pytree of the template's types.

    Args:
        template: arrays or `jax.ShapeDtypeStruct`s; only structure, shapes and dtypes count.
        what: what the leaves are, for the message.

    Raises:
        ValueError: names, shapes or dtypes differ; the message names the leaves.
    """
    expected, treedef = jax.tree.flatten_with_path(template)
    found = {_name(path): leaf for path, leaf in jax.tree.leaves_with_path(stored)}
    names = [_name(path) for path, _ in expected]
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


def _save_arrays(folder: Path, tree: Any) -> None:
    nested: Arrays = {}
    for path, leaf in jax.tree.leaves_with_path(jax.device_get(tree)):
        place = nested
        for entry in path[:-1]:
            place = place.setdefault(_name((entry,)), {})
        place[_name(path[-1:])] = np.asarray(leaf)
    context = ocp.Context()
    context.array.saving.use_compression = False  # saves a twelfth of the bytes and takes five times as long
    with context:
        ocp.save(folder.absolute(), nested)


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _root(run_folder: Path) -> Path:
    return run_folder / "checkpoints"


def _find(path: Path) -> Path:
    """The step folder that a path means."""
    if (path / _MANIFEST).is_file():
        return path
    if _root(path).is_dir():
        latest = latest_checkpoint(path)
        if latest is None:
            raise FileNotFoundError(f"run folder {path} holds no complete checkpoint yet: train it first")
        return latest
    if path.is_dir():
        raise DamagedCheckpointError(f"{path} has no {_MANIFEST}: it is neither a run folder nor a complete checkpoint")
    raise FileNotFoundError(f"{path} does not exist: expected a run folder or one of its checkpoints")


def _files(folder: Path) -> dict[str, Path]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    files.pop(_MANIFEST, None)
    return files


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _own_digest(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _write_manifest(folder: Path, step: int) -> None:
    files = {}
    for name, path in sorted(_files(folder).items()):
        _sync(path)
        files[name] = {"size_bytes": path.stat().st_size, "sha256": _sha256(path)}
    manifest = {"format_version": FORMAT_VERSION, "step": step, "files": files}
    text = json.dumps({**manifest, "sha256": _own_digest(manifest)}, indent=2)
    (folder / _MANIFEST).write_text(text + "\n")
    _sync(folder / _MANIFEST)
    _sync(folder)


def _verify(folder: Path, parts: Collection[str] | None) -> dict[str, Any]:
    """The manifest, after comparing files with it.

    Args:
        parts: top-level names to compare; None compares all.
    """
    remedy = "use an older checkpoint of the run"
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        digest = manifest.pop("sha256")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedCheckpointError(f"{folder / _MANIFEST} cannot be read ({error!r}): {remedy}") from error
    if digest != _own_digest(manifest):
        raise DamagedCheckpointError(f"{folder / _MANIFEST} was altered after it was written: {remedy}")
    if manifest["format_version"] != FORMAT_VERSION:
        raise ValueError(
            f"{folder} has checkpoint format {manifest['format_version']}, this version of gato reads "
            f"{FORMAT_VERSION}: use the version that wrote it"
        )

    def chosen(names: Collection[str]) -> set[str]:
        return {name for name in names if parts is None or name.partition("/")[0] in parts}

    present = _files(folder)
    if missing := chosen(manifest["files"]) - present.keys():
        raise DamagedCheckpointError(f"{folder / min(missing)} is missing: {remedy}")
    if foreign := chosen(present) - manifest["files"].keys():
        raise DamagedCheckpointError(f"{folder / min(foreign)} is not part of the checkpoint: remove it")
    for name in sorted(chosen(present)):
        written = manifest["files"][name]
        size = present[name].stat().st_size
        if size != written["size_bytes"]:
            raise DamagedCheckpointError(
                f"{present[name]} has {size} bytes, {written['size_bytes']} were written: {remedy}"
            )
        if _sha256(present[name]) != written["sha256"]:
            raise DamagedCheckpointError(f"{present[name]} was altered, its SHA-256 does not match: {remedy}")
    return manifest


def _sync(path: Path) -> None:
    """Asks the system to bring a file or folder to the disk, so that a power cut cannot reorder our writes."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(folder: Path) -> None:
    """Deletes a step folder; renamed first, so that a half-deleted one is never taken for a checkpoint."""
    shutil.rmtree(folder.rename(folder.with_name(_LEFTOVER + folder.name)))


def _sweep(root: Path) -> None:
    for leftover in root.glob(f"{_LEFTOVER}*"):
        shutil.rmtree(leftover)
