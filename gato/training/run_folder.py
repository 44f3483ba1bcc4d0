"""From which state a run starts: nothing, or the newest good checkpoint of its folder.

<run>/config.json    the resolved RunConfig
<run>/metrics.jsonl  one line a log step
<run>/tensorboard/   the same for TensorBoard, if asked for
<run>/checkpoints/   see gato.checkpoint
"""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gato.checkpoint import (
    Checkpoint,
    DamagedCheckpointError,
    list_checkpoints,
    load_checkpoint,
    load_config,
    set_aside,
    step_folders,
)
from gato.config import RunConfig

METRICS_FILE = "metrics.jsonl"
TENSORBOARD_FOLDER = "tensorboard"

# How and how long a run computes, not what: a resumed run may change these.
_MAY_CHANGE = (
    "name",
    "training",
    "policy",
    "evaluation",
    "model.compute_dtype",
    "model.attention",
    "model.attention_block",
    "model.scan_layers",
    "model.remat",
    "model.loss_chunk",
)


def open_run(
    run_folder: Path, config: RunConfig, *, resume: bool, overwrite: bool, report: Callable[[str], None]
) -> Checkpoint | None:
    """Prepares the folder and returns the checkpoint to continue from, None to start from nothing.

    Resuming a run without checkpoints starts it. Damaged checkpoints newer than a good one are renamed and reported.

    Raises:
        FileExistsError: there are checkpoints, and neither `resume` nor `overwrite` is set.
        ValueError: both are set, or the saved config differs in what a resumed run may not change.
        DamagedCheckpointError: there are checkpoints, none of them good.
    """
    if resume and overwrite:
        raise ValueError("resume and overwrite are both set: choose one")
    folders = step_folders(run_folder)
    if folders and not resume and not overwrite:
        raise FileExistsError(
            f"{run_folder} holds checkpoints up to step {int(folders[-1].name)}: "
            "continue it with --resume, replace it with --overwrite, or choose another run folder"
        )
    if overwrite:
        _clear(run_folder)
    checkpoint = _newest_good(run_folder, config, report) if resume and folders else None
    run_folder.mkdir(parents=True, exist_ok=True)
    config.save(run_folder / "config.json")
    return checkpoint


def _newest_good(run_folder: Path, config: RunConfig, report: Callable[[str], None]) -> Checkpoint:
    damaged = {
        folder: f"{folder} is incomplete"
        for folder in set(step_folders(run_folder)) - set(list_checkpoints(run_folder))
    }
    for folder in reversed(list_checkpoints(run_folder)):
        try:
            _require_same_run(load_config(folder), config)
            checkpoint = load_checkpoint(folder, train_state=True)
        except DamagedCheckpointError as error:
            damaged[folder] = str(error)
            continue
        for bad, reason in damaged.items():
            report(f"{reason}; set aside as {set_aside(bad).name}")
        return checkpoint
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
    moved_data = name.startswith("data.sources.") and name.endswith(".path")
    return moved_data or any(name == allowed or name.startswith(allowed + ".") for allowed in _MAY_CHANGE)


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, tuple) else None
    if items is None:
        return {prefix: value}
    return {name: leaf for key, item in items for name, leaf in _flat(item, f"{prefix}.{key}".lstrip(".")).items()}


def _clear(run_folder: Path) -> None:
    for name in ("checkpoints", TENSORBOARD_FOLDER):
        if (run_folder / name).exists():
            shutil.rmtree(run_folder / name)
    (run_folder / METRICS_FILE).unlink(missing_ok=True)
