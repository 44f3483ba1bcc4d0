"""`gato generalist collect`: the data of the generalist, in one resumable command."""

from pathlib import Path

from rich.console import Console

from gato.configs.generalist import DATA
from gato.experiments.generalist_data import collect_generalist


def collect(out: Path = Path(DATA), share: float = 1.0, num_workers: int = 2) -> None:
    """Records what the generalist learns from. Example: gato generalist collect

    Run it again after an interruption and it goes on. Then encode the data once, and train in pieces of any length:
    gato data prepare generalist --out data/generalist/prepared

    Args:
        out: folder of the data.
        share: of the data, for a quick look at the machinery; 1 is the real thing.
        num_workers: processes.
    """
    collect_generalist(out, share=share, num_workers=num_workers, console=Console())
