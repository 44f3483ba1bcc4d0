"""The folder of a run, and the state that a run starts from: nothing, or its newest good checkpoint.

The names of the folder's files stand in gato.run_files.
"""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gato.checkpoint import (
    DamagedCheckpointError,
    list_checkpoints,
    load_config,
    set_aside,
    step_folders,
    verify_checkpoint,
)
from gato.config import RunConfig
from gato.files import replace_file
from gato.run_files import CHECKPOINTS_FOLDER, CONFIG_FILE, METRICS_FILE, PROFILE_FOLDER, TENSORBOARD_FOLDER

# How and how long a run computes, not what it computes: a resumed run may change these.
_MAY_CHANGE = (
    "name",
    "training",
    "parallel",
    "policy",
    "evaluation",
    "model.compute_dtype",
    "model.attention",
    "model.attention_block",
    "model.scan_layers",
    "model.remat",
    "model.loss_chunk",
)


def require_startable(run_folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuses what `open_run` would refuse for the flags alone, before anything was prepared or written.

    Raises:
        FileExistsError: there are checkpoints, and neither `resume` nor `overwrite` is set.
        ValueError: both are set.
    """
    if resume and overwrite:
        raise ValueError("resume and overwrite are both set: choose one")
    folders = step_folders(run_folder)
    if folders and not resume and not overwrite:
        raise FileExistsError(
            f"{run_folder} holds checkpoints up to step {int(folders[-1].name)}: "
            "continue it with --resume, replace it with --overwrite, or choose another run folder"
        )


def open_run(
    run_folder: Path, config: RunConfig, *, resume: bool, overwrite: bool, report: Callable[[str], None]
) -> Path | None:
    """Prepares the folder and returns the verified checkpoint to continue from, None to start from nothing.

    Resuming a run without checkpoints starts it. Damaged checkpoints newer than a good one are renamed and reported.

    Raises:
        FileExistsError, ValueError: as `require_startable`.
        ValueError: the saved config differs in what a resumed run may not change.
        DamagedCheckpointError: there are checkpoints, none of them good.
    """
    require_startable(run_folder, resume=resume, overwrite=overwrite)
    if overwrite:
        _clear(run_folder)
    newest = _newest_good(run_folder, config, report) if step_folders(run_folder) else None
    run_folder.mkdir(parents=True, exist_ok=True)
    replace_file(run_folder / CONFIG_FILE, config.to_json())  # the run is resumed by the one it has
    return newest


def _newest_good(run_folder: Path, config: RunConfig, report: Callable[[str], None]) -> Path:
    damaged = {
        folder: f"{folder} is incomplete"
        for folder in set(step_folders(run_folder)) - set(list_checkpoints(run_folder))
    }
    for folder in reversed(list_checkpoints(run_folder)):
        try:
            _require_same_run(load_config(folder), config)
            verify_checkpoint(folder)
        except DamagedCheckpointError as error:
            damaged[folder] = str(error)
            continue
        for bad, reason in damaged.items():
            report(f"{reason}; set aside as {set_aside(bad).name}")
        return folder
    raise DamagedCheckpointError(f"no checkpoint of {run_folder} is good: {'; '.join(damaged.values())}")


def _require_same_run(saved: RunConfig, config: RunConfig) -> None:
    before, now = _flat(dataclasses.asdict(saved)), _flat(dataclasses.asdict(config))
    changed = [
        f"{name} (saved {before.get(name, 'absent')!r}, given {now.get(name, 'absent')!r})"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name) and not _may_change(name)
    ]
    if changed:
        raise ValueError(
            f"a resumed run keeps its config, but these fields differ: {', '.join(changed)}; "
            "restore them, or start another run"
        )


def _may_change(name: str) -> bool:
    # Data may move, and a record that stopped the run may be left out from now on: no other row changes.
    section, _, field = name.rpartition(".")
    of_source = section.rpartition(".")[0] == "data.sources" and field in ("path", "bad_records")
    return of_source or any(name == allowed or name.startswith(allowed + ".") for allowed in _MAY_CHANGE)


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, tuple) else None
    if items is None:
        return {prefix: value}
    return {name: leaf for key, item in items for name, leaf in _flat(item, f"{prefix}.{key}".lstrip(".")).items()}


def _clear(run_folder: Path) -> None:
    for name in (CHECKPOINTS_FOLDER, TENSORBOARD_FOLDER, PROFILE_FOLDER):
        if (run_folder / name).exists():
            shutil.rmtree(run_folder / name)
    (run_folder / METRICS_FILE).unlink(missing_ok=True)
