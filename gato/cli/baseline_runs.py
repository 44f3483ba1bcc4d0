"""`gato baseline`: trains the runs that `gato evaluate --baselines` compares an agent with."""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from gato.cli.train import INTERRUPTED
from gato.config import RunConfig
from gato.experiments.baseline_configs import (
    TrainedBaseline,
    baseline_folder,
    chosen_sources,
    cloning_config,
    data_with_task_id,
    is_finished,
    source_steps,
    unprompted_config,
)
from gato.experiments.held_out import moved_sources
from gato.experiments.training import train_run
from gato.release import load_checkpoint, load_config
from gato.tokenizer.text import TextTokenizer


def baseline(
    kind: Annotated[TrainedBaseline, tyro.conf.Positional],
    run: Annotated[Path, tyro.conf.Positional],
    tasks: tuple[str, ...] = (),
    steps: int | None = None,
    source_paths: tuple[str, ...] = (),
) -> None:
    """Trains what a run is compared with, on its demonstrations. Example: gato baseline bc runs/mine

    Called again, it goes on where it was. Then: gato evaluate RUN --baselines bc

    Args:
        kind: "bc", a network of the same size for each task alone; "no-prompt", the same network on the same mixture
            without demonstrations before the episodes; "task-id", the same again, but the observations of tasks with
            hidden variants tell which one is wanted.
        run: run folder or checkpoint folder.
        tasks: for "bc", names or shell patterns of the run's control sources; all that are named like a task, if not
            given.
        steps: of training; if not given, for "bc" the source's share of the run's steps, otherwise as many as the run.
        source_paths: where sources of the run lie now, as NAME=PATH, if they have moved.
    """
    console = Console()
    checkpoint = load_checkpoint(run)
    config = dataclasses.replace(checkpoint.config, data=moved_sources(checkpoint.config.data, source_paths))
    stored = checkpoint.tokenizer_model
    text = None if stored is None else TextTokenizer.from_bytes(stored)
    if steps is not None and steps < 1:
        raise ValueError(f"steps is {steps}, needs 1 or more")
    if tasks and kind != "bc":
        raise ValueError(f"baseline {kind!r} is one network on the whole mixture: leave --tasks out")
    runs: dict[Path, RunConfig]
    if kind == "bc":
        shares = source_steps(config, text)
        runs = {
            baseline_folder(run, "bc", name): cloning_config(config, name, steps or shares[name])
            for name in chosen_sources(config.data, tasks)
        }
    elif kind == "no-prompt":
        runs = {baseline_folder(run, kind): unprompted_config(config, steps or config.training.num_steps)}
    else:
        folder = baseline_folder(run, kind)
        data = data_with_task_id(config.data, folder / "data", console)
        told = unprompted_config(dataclasses.replace(config, data=data), steps or config.training.num_steps)
        runs = {folder: dataclasses.replace(told, name=f"{config.name}-task-id")}
    for folder, settings in runs.items():
        if is_finished(folder) and load_config(folder).training.num_steps == settings.training.num_steps:
            console.print(f"{folder} is trained", highlight=False, soft_wrap=True)
            continue
        console.print(f"{folder}: {settings.training.num_steps} steps", highlight=False, soft_wrap=True)
        if train_run(settings, folder, text=text, resume=True, console=console).interrupted:
            sys.exit(INTERRUPTED)
