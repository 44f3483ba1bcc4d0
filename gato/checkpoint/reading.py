"""Loads checkpoints, or parts of them, after every file that is read was verified."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gato.checkpoint.arrays import Arrays, Placement, load_arrays
from gato.checkpoint.folders import MANIFEST_FILE, latest_checkpoint
from gato.checkpoint.manifest import DamagedCheckpointError, manifest_digest, verify
from gato.config import RunConfig
from gato.run_files import CHECKPOINTS_FOLDER, CONFIG_FILE, TOKENIZER_FILE


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What was saved at one step; arrays are numpy unless they were placed."""

    step: int
    config: RunConfig
    params: Arrays
    tokenizer_model: bytes | None
    train_state: Arrays | None  # None unless asked for
    data_state: dict[str, Any] | None  # None unless asked for


def load_checkpoint(
    path: Path, *, train_state: bool = False, placement: Placement | None = None, verified: bool = False
) -> Checkpoint:
    """Reads a step folder, or the newest complete checkpoint of a run folder; every file read is verified first.

    Args:
        train_state: also load what training needs; otherwise those files are not even opened.
        placement: where each array goes; numpy arrays if None.
        verified: `verify_checkpoint` has just found the folder good, on this process or another.

    Raises:
        FileNotFoundError: no checkpoint there.
        DamagedCheckpointError: a file is missing, foreign or altered; the message names it.
        ValueError: written in a format that this version does not know.
    """
    parts = None if train_state else ("params", CONFIG_FILE, TOKENIZER_FILE)
    folder = _find(path)
    manifest = verify(folder, () if verified else parts)
    tokenizer_path = folder / TOKENIZER_FILE
    return Checkpoint(
        step=manifest["step"],
        config=RunConfig.load(folder / CONFIG_FILE),
        params=load_arrays(folder / "params", placement),
        tokenizer_model=tokenizer_path.read_bytes() if tokenizer_path.exists() else None,
        train_state=load_arrays(folder / "train_state", placement) if train_state else None,
        data_state=json.loads((folder / "data_state.json").read_text()) if train_state else None,
    )


def verify_checkpoint(path: Path) -> None:
    """Compares every file of a step folder, or of a run's newest checkpoint, with what was written; loads nothing.

    Raises:
        FileNotFoundError, DamagedCheckpointError, ValueError: as `load_checkpoint`.
    """
    verify(_find(path), None)


def load_config(path: Path) -> RunConfig:
    """Loads the config of a step folder or of a run's newest checkpoint, verified; opens no array.

    Raises:
        FileNotFoundError, DamagedCheckpointError, ValueError: as `load_checkpoint`.
    """
    folder = _find(path)
    verify(folder, (CONFIG_FILE,))
    return RunConfig.load(folder / CONFIG_FILE)


def identity(path: Path) -> dict[str, Any]:
    """Returns step and digest of a step folder or of a run's newest checkpoint, which identify its weights.

    Raises:
        FileNotFoundError, DamagedCheckpointError: as `load_checkpoint`; no array is read.
    """
    manifest = verify(_find(path), (CONFIG_FILE,))
    return {"step": manifest["step"], "sha256": manifest_digest(manifest)}


def score_of(folder: Path) -> float | None:
    """Returns the score that a step folder was saved with.

    Raises:
        DamagedCheckpointError: the manifest cannot be read or was altered.
    """
    return verify(folder, ()).get("score")


def _find(path: Path) -> Path:
    """Finds the step folder that a path means."""
    if (path / MANIFEST_FILE).is_file():
        return path
    if (path / CHECKPOINTS_FOLDER).is_dir():
        latest = latest_checkpoint(path)
        if latest is None:
            raise FileNotFoundError(f"run folder {path} holds no complete checkpoint yet: train it first")
        return latest
    if path.is_dir():
        raise DamagedCheckpointError(
            f"{path} has no {MANIFEST_FILE}: it is neither a run folder nor a complete checkpoint"
        )
    raise FileNotFoundError(f"{path} does not exist: expected a run folder or one of its checkpoints")
