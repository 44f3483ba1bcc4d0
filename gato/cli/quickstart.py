"""`gato quickstart`: demonstrations, one network, scores and a report, from nothing, in minutes on a laptop."""

import sys
from pathlib import Path

from rich.console import Console

from gato.cli.train import INTERRUPTED
from gato.experiments.quickstart import run_quickstart


def quickstart(out: Path = Path("runs/quickstart"), share: float = 1.0, set: tuple[str, ...] = ()) -> None:
    """Makes data, trains one network, measures it and writes a report. Example: gato quickstart

    A second call continues where the first one stopped.

    Args:
        out: folder of the run; its data go to <out>/data.
        share: of the data, for a quick look at the machinery; 1 is the real thing.
        set: settings by name, as in `--set training.num_steps=1000`.
    """
    if not run_quickstart(out, share=share, settings=set, console=Console()):
        sys.exit(INTERRUPTED)
