"""Writes checkpoints beside training: arrays are copied at once, everything else happens in the background."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import jax
from jax.experimental import multihost_utils
from orbax.checkpoint import v1 as ocp

from gato.checkpoint.arrays import Arrays, start_saving
from gato.checkpoint.folders import (
    latest_checkpoint,
    list_checkpoints,
    remove,
    step_folder,
    sweep,
    unfinished_folder,
)
from gato.checkpoint.manifest import DamagedCheckpointError, write_manifest
from gato.checkpoint.reading import score_of
from gato.config import RunConfig
from gato.files import sync
from gato.run_files import CONFIG_FILE, TOKENIZER_FILE


@dataclass(frozen=True, kw_only=True)
class Retention:
    """Which complete checkpoints of a run stay."""

    last: int = 2  # the newest ones, 1 or more
    every: int = 0  # those whose step is a multiple of it; 0 = none
    best: Literal["lowest", "highest"] | None = None  # the one with the best score; None = none

    def __post_init__(self) -> None:
        if self.last < 1:
            raise ValueError(f"the newest {self.last} checkpoints are to be kept, needs 1 or more")

    def kept(self, scores: dict[int, float | None]) -> set[int]:
        """Returns the steps that stay, of steps and their scores."""
        steps = sorted(scores)
        kept = set(steps[-self.last :]) | {step for step in steps if self.every and step % self.every == 0}
        scored = {step: score for step, score in scores.items() if score is not None}
        if self.best and scored:
            sign = 1 if self.best == "lowest" else -1
            kept.add(min(scored, key=lambda step: (sign * scored[step], step)))  # of equal ones the oldest
        return kept


class CheckpointWriter:
    """Saves one checkpoint of a run at a time; a context at whose end the last one is complete.

    With several processes every one of them has a writer and calls it at the same steps; the first makes folders and
    manifests. The run folder must be one that all of them see.
    """

    def __init__(
        self,
        run_folder: Path,
        config: RunConfig,
        *,
        tokenizer_model: bytes | None,
        retention: Retention,
        on_saved: Callable[[int], None] | None = None,
    ) -> None:
        """Writes into `<run_folder>/checkpoints/`; config and tokenizer are stored in every checkpoint.

        Args:
            on_saved: gets the step of each checkpoint once it is complete, at the next call of the writer.
        """
        self._on_saved = on_saved
        self._run_folder, self._config, self._tokenizer_model = run_folder, config, tokenizer_model
        self._retention = retention
        self._is_first = jax.process_index() == 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: tuple[int, Future[None]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()  # a save under way is completed whatever ended the run
        if error is None:
            self.wait()

    def save(
        self,
        step: int,
        *,
        params: Arrays,
        train_state: Any,  # Any: a pytree of the caller's own types
        data_state: dict[str, Any],
        score: float | None = None,
    ) -> None:
        """Starts to write `<run_folder>/checkpoints/<step>/`, which appears complete or not at all.

        Waits for the one before. On return the arrays have been copied, so they may be donated.

        Args:
            train_state: any pytree of arrays; comes back as nested dicts, which `restore_like` gives their types again.
            data_state: JSON values.
            score: what `Retention.best` goes by.

        Raises:
            FileExistsError: the step has a folder already.
            OSError: the folder cannot be written, or the checkpoint before could not be.
        """
        self.wait()
        folder = step_folder(self._run_folder, step)
        unfinished = unfinished_folder(folder)
        if self._is_first:
            if folder.exists():
                raise FileExistsError(f"{folder} exists: a checkpoint is never overwritten, choose another run folder")
            folder.parent.mkdir(parents=True, exist_ok=True)
            sweep(self._run_folder)
            unfinished.mkdir()
        with jax.transfer_guard("allow"):
            if jax.process_count() > 1:
                multihost_utils.sync_global_devices(f"checkpoint {step}")  # until the folder is made
            arrays = [
                start_saving(unfinished / "params", params),
                start_saving(unfinished / "train_state", train_state),
            ]
        self._pending = step, self._thread.submit(self._finish, folder, step, arrays, data_state, score)

    def check(self) -> None:
        """Raises OSError if the checkpoint under way has failed; does not wait."""
        if self._pending is not None and self._pending[1].done():
            self.wait()

    def wait(self) -> None:
        """Waits for the checkpoint under way. Raises OSError if it could not be written."""
        if self._pending is None:
            return
        (step, future), self._pending = self._pending, None
        try:
            future.result()
        except (OSError, RuntimeError, ValueError) as error:
            shutil.rmtree(unfinished_folder(step_folder(self._run_folder, step)), ignore_errors=True)  # frees the room
            raise OSError(
                f"the checkpoint of step {step} could not be written ({error}); the last good one is "
                f"{latest_checkpoint(self._run_folder)}: see that {self._run_folder} can be written and has room, then "
                "continue with --resume"
            ) from error
        if self._on_saved is not None:
            self._on_saved(step)

    def latest(self) -> Path | None:
        """Returns the newest complete checkpoint of the run, once the one under way is complete."""
        self.wait()
        return latest_checkpoint(self._run_folder)

    def _finish(
        self,
        folder: Path,
        step: int,
        arrays: list[ocp.AsyncResponse],
        data_state: dict[str, Any],
        score: float | None,
    ) -> None:
        for response in arrays:
            response.result()
        if not self._is_first:
            return
        unfinished = unfinished_folder(folder)
        (unfinished / "data_state.json").write_text(json.dumps(data_state))
        self._config.save(unfinished / CONFIG_FILE)
        if self._tokenizer_model is not None:
            (unfinished / TOKENIZER_FILE).write_bytes(self._tokenizer_model)
        write_manifest(unfinished, step, score)
        unfinished.rename(folder)
        sync(folder.parent)
        folders = {int(path.name): path for path in list_checkpoints(self._run_folder)}
        scores = {other: _score_or_none(path) if self._retention.best else None for other, path in folders.items()}
        for other in folders.keys() - self._retention.kept(scores):
            remove(folders[other])


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
    """Writes one checkpoint, complete on return, and keeps the newest ones of the run; returns its folder.

    Arguments and errors are those of `CheckpointWriter.save`.
    """
    retention = Retention(last=keep)
    with CheckpointWriter(run_folder, config, tokenizer_model=tokenizer_model, retention=retention) as writer:
        writer.save(step, params=params, train_state=train_state, data_state=data_state)
    return step_folder(run_folder, step)


def _score_or_none(folder: Path) -> float | None:
    try:
        return score_of(folder)
    except DamagedCheckpointError:
        return None
