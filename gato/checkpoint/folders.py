"""Which folders of a run are checkpoints: named by their step, complete if they hold a manifest."""

import shutil
from pathlib import Path

from gato.run_files import CHECKPOINTS_FOLDER

MANIFEST_FILE = "manifest.json"
_LEFTOVER = ".unfinished-"  # prefix of folders that are being written or removed
_DAMAGED = ".damaged"  # suffix of folders that were set aside


def step_folder(run_folder: Path, step: int) -> Path:
    """Returns the folder of a step's checkpoint."""
    return run_folder / CHECKPOINTS_FOLDER / f"{step:08d}"


def unfinished_folder(folder: Path) -> Path:
    """Returns the folder in which a step folder is written before it gets its name."""
    return folder.with_name(_LEFTOVER + folder.name)


def step_folders(run_folder: Path) -> list[Path]:
    """Lists all step folders, complete or not, oldest first."""
    root = run_folder / CHECKPOINTS_FOLDER
    folders = [path for path in root.iterdir() if path.name.isdecimal() and path.is_dir()] if root.is_dir() else []
    return sorted(folders, key=lambda folder: int(folder.name))


def list_checkpoints(run_folder: Path) -> list[Path]:
    """Lists the complete checkpoints of a run, oldest first; folders without a manifest are left out."""
    return [folder for folder in step_folders(run_folder) if (folder / MANIFEST_FILE).is_file()]


def latest_checkpoint(run_folder: Path) -> Path | None:
    """Returns the newest complete checkpoint of a run."""
    return next(reversed(list_checkpoints(run_folder)), None)


def set_aside(folder: Path) -> Path:
    """Renames a step folder, so that nothing loads it and its step can be saved again; returns the new place."""
    aside = folder.with_name(folder.name + _DAMAGED)
    count = 1
    while aside.exists():
        count += 1
        aside = folder.with_name(f"{folder.name}{_DAMAGED}-{count}")
    return folder.rename(aside)


def remove(folder: Path) -> None:
    """Deletes a step folder; renamed first, so that a half-deleted one is never taken for a checkpoint."""
    shutil.rmtree(folder.rename(unfinished_folder(folder)))


def sweep(run_folder: Path) -> None:
    """Deletes what interrupted saves and removals left behind."""
    for leftover in (run_folder / CHECKPOINTS_FOLDER).glob(f"{_LEFTOVER}*"):
        shutil.rmtree(leftover)
