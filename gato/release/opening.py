"""Opens weights: a run folder, one of its checkpoints, or a released folder."""

from pathlib import Path
from typing import Any

from gato import checkpoint as runs
from gato.checkpoint import Checkpoint
from gato.checkpoint.folders import MANIFEST_FILE
from gato.config import RunConfig
from gato.release.folder import load_release, load_release_config, release_identity
from gato.release.record import RELEASE_FILE, refuse_pickles
from gato.run_files import CHECKPOINTS_FOLDER


def load_checkpoint(path: Path) -> Checkpoint:
    """Loads parameters, config and tokenizer, verified; nothing of the optimizer.

    Raises:
        FileNotFoundError: nothing of the three is there.
        ValueError: damaged, of another format, or a file that could run code.
    """
    return load_release(path) if _is_release(path) else runs.load_checkpoint(path)


def load_config(path: Path) -> RunConfig:
    """Loads the config alone, verified; raises as `load_checkpoint`."""
    return load_release_config(path) if _is_release(path) else runs.load_config(path)


def identity(path: Path) -> dict[str, Any]:
    """Returns step and digest, which identify the weights; raises as `load_checkpoint`."""
    return release_identity(path) if _is_release(path) else runs.identity(path)


def _is_release(path: Path) -> bool:
    """Returns whether this is a released folder; refuses what is neither a release nor a run."""
    if path.is_file():
        raise ValueError(f"{path} is a file, expected a run folder, a checkpoint folder or a released folder")
    of_run = [name for name in (MANIFEST_FILE, CHECKPOINTS_FOLDER) if (path / name).exists()]
    if (path / RELEASE_FILE).is_file():
        if of_run:
            raise ValueError(
                f"{path} holds {RELEASE_FILE} and {of_run[0]}: it cannot be a release and a run, move one of them out"
            )
        return True
    if path.is_dir() and not of_run:
        refuse_pickles(path)
        if tensors := sorted(path.glob("*.safetensors")):
            raise ValueError(
                f"{path} holds {tensors[0].name} but no {RELEASE_FILE}: it is no release of gato, or an incomplete "
                "copy of one; get the whole folder"
            )
    return False
