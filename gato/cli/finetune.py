"""`gato finetune`: a checkpoint learns a task from few episodes, by the protocol of the paper."""

import sys
from pathlib import Path
from typing import Annotated, TextIO, cast

import tyro
from rich.console import Console

from gato.cli.lasting_output import LastingOutput
from gato.cli.train import INTERRUPTED, STORAGE_FAILED
from gato.experiments.few_shot_suite import finetune_suite, suite_config
from gato.experiments.run_configs import load_run
from gato.inference.agent import Agent
from gato.release import identity


def finetune(
    checkpoint: Annotated[Path, tyro.conf.Positional],
    config: Annotated[str, tyro.conf.Positional] = "finetune",
    sources: Path | None = None,
    out: Path | None = None,
    episodes: tuple[int, ...] = (),
    cascades: int | None = None,
    scratch: bool = False,
    set: tuple[str, ...] = (),
) -> None:
    """Fine-tunes a checkpoint on few episodes of a task. Example: gato finetune runs/mine --sources new.json

    For every number of episodes and every cascade one run is trained from the checkpoint, judged as it goes, and its
    best checkpoint kept. Called again after it was stopped, it goes on where it was. Exit status: 0 done; 75 stopped by
    a signal and saved; 74 a disk is full or a folder cannot be written or read; 2 something to change first.

    Args:
        checkpoint: run folder or checkpoint folder. Tokenizer, network and way of acting are its own.
        config: a run as for `gato train`, whose data, optimizer, training, evaluation and finetune sections count, and
            of its model dropout and stochastic depth.
        sources: JSON list of data sources, in place of the config's; paths count from its folder.
        out: folder of the runs, results.json, few_shot.md and few_shot.png; runs/<name of the config> if not given.
        episodes: sizes of the subsets, 0 for all episodes; finetune.episodes if not given.
        cascades: so many draws of subsets, 3 in the paper; finetune.cascades if not given.
        scratch: also train each subset from fresh parameters, as finetune.scratch does.
        set: settings by name, as in `--set optimizer.lora_rank=8 training.num_steps=500`.
    """
    console = Console(file=cast(TextIO, LastingOutput(sys.stdout)))
    agent = Agent.load(checkpoint)
    settings = suite_config(load_run(config, sources), agent, set, episodes, cascades, scratch)
    out = out or Path("runs") / settings.name
    try:
        finished = finetune_suite(settings, agent, identity(checkpoint), out, console)
    except (FileNotFoundError, FileExistsError):
        raise  # a path to change
    except OSError as error:
        print(f"{type(error).__name__}: {error}; fix this and run the same command again", file=sys.stderr)
        sys.exit(STORAGE_FAILED)
    if not finished:
        console.print("stopped: give the same command again to go on", soft_wrap=True)
        sys.exit(INTERRUPTED)
