"""`gato train`: one network on the sources of a run."""

import sys
from pathlib import Path
from typing import Annotated, TextIO, cast

import jax
import tyro
from rich.console import Console

from gato.cli.lasting_output import LastingOutput
from gato.experiments.run_configs import load_settings
from gato.experiments.starting_weights import StartingWeights
from gato.experiments.training import train_run, with_text
from gato.run_files import TOKENIZER_FILE
from gato.training.processes import join_processes
from gato.training.progress import line_printer
from gato.training.run_folder import require_startable

# Exit statuses of a run, beside 0 for its end and 2 for what the user has to change, with the names of sysexits.h.
INTERRUPTED = 75  # a signal stopped it and its state is saved: EX_TEMPFAIL, start it again with --resume
STORAGE_FAILED = 74  # a disk is full or a folder cannot be written or read: EX_IOERR, mend that and resume


def train(
    config: Annotated[str, tyro.conf.Positional],
    run: Path | None = None,
    sources: Path | None = None,
    tokenizer: Path | None = None,
    set: tuple[str, ...] = (),
    resume: bool = False,
    overwrite: bool = False,
    weights: Path | None = None,
    tensorboard: bool = False,
    distributed: bool = False,
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Trains a network. Example: gato train gato-79m --sources sources.json --run runs/mine

    Ctrl-C and SIGTERM save the step under way and end the run; a second signal ends it at once, unsaved. Exit status: 0
    done; 75 stopped by a signal and saved, go on with --resume; 74 a disk is full or a folder cannot be written or
    read, mend that and go on with --resume; 2 something to change first, which the message names.

    Args:
        config: a shipped run (see `gato info`), a run folder, or a .py or .json file.
        run: folder of the run; runs/<name of the config> if not given.
        sources: JSON list of data sources, in place of the config's; paths count from its folder.
        tokenizer: SentencePiece model; if not given, the one that the run folder holds, or a new one trained on
            the sources' text.
        set: settings by name, as in `--set training.num_steps=1000 model.compute_dtype=bfloat16`.
        resume: continue the run from its newest checkpoint, exactly.
        overwrite: delete the checkpoints that the folder holds.
        weights: run, checkpoint or released folder whose weights and text tokenizer a new run begins with, to train on
            with other data; the optimizer begins anew. A resumed run goes on from its own.
        tensorboard: also write TensorBoard files (extra: tensorboard).
        distributed: this is one of several processes of the run, started by SLURM, Kubernetes, a TPU pod or Open MPI.
        coordinator: the same without a scheduler: host:port of the first process.
        num_processes: with `coordinator`: how many there are.
        process_id: with `coordinator`: which one this is, from 0.
    """
    if distributed or coordinator is not None or num_processes is not None or process_id is not None:
        join_processes(coordinator, num_processes, process_id)
    settings = load_settings(config, sources, set)
    run = run or Path("runs") / settings.name
    require_startable(run, resume=resume, overwrite=overwrite)
    kept = run / TOKENIZER_FILE
    console = Console(file=cast(TextIO, LastingOutput(sys.stdout)))
    try:
        start = None if weights is None else StartingWeights.load(weights)
        settings, text = with_text(settings, tokenizer or (kept if kept.exists() else None), start)
        result = train_run(
            settings,
            run,
            text=text,
            resume=resume,
            overwrite=overwrite,
            weights=start,
            tensorboard=tensorboard,
            console=console,
        )
    except (FileNotFoundError, FileExistsError):
        raise  # a path to change
    except OSError as error:
        # The system's own words have a number; our own already say what to do.
        advice = "" if error.errno is None else f": see that {run} can be written and has room, then use --resume"
        print(f"{type(error).__name__}: {error}{advice}", file=sys.stderr)
        sys.exit(STORAGE_FAILED)
    if result.interrupted:
        sys.exit(INTERRUPTED)
    if jax.process_index() == 0:
        line_printer(console)(f"finished, saved in {run}; plots: gato report {run}")
