"""`gato export`: weights to share, as a folder without code and without places on one's own machine."""

from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from gato.experiments.exporting import export_run


def export(
    run: Annotated[Path, tyro.conf.Positional],
    out: Annotated[Path, tyro.conf.Positional],
    dtype: Literal["float32", "bfloat16"] = "float32",
    license: str | None = None,
    scores: Path | None = None,
    datasets: tuple[str, ...] = (),
    max_shard_gb: float = 5.0,
) -> None:
    """Writes weights to share. Example: gato export runs/quickstart agent --license apache-2.0

    The folder holds safetensors, the config without paths, the text tokenizer, a model card to be edited, and digests.
    Every command that takes a run folder takes it too; training cannot be continued from it.

    Args:
        run: run folder (its newest checkpoint), checkpoint folder or released folder.
        out: folder to write; it must not exist.
        dtype: of matrices and tables; bfloat16 halves the size and rounds.
        license: of the weights, as the hub writes it, such as apache-2.0 or cc-by-nc-4.0; if not given, the card says
            that none is stated.
        scores: scores.json of `gato evaluate` on this very checkpoint, to be shown and passed on.
        datasets: names on the hub of what it was trained on, for the card.
        max_shard_gb: most gigabytes of one file of parameters.
    """
    export_run(
        run,
        out,
        dtype=dtype,
        license_id=license,
        scores=scores,
        datasets=datasets,
        max_shard_gb=max_shard_gb,
    )
    console = Console()
    for path in sorted(out.iterdir()):
        console.print(f"{path.stat().st_size:>14,} bytes  {path}", highlight=False, soft_wrap=True)
    console.print(
        "Paths and options of the sources are left out. Read README.md and add what you know before you share it.",
        soft_wrap=True,
    )
