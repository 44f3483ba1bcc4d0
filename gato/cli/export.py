"""`gato export`: weights to share, as a folder without code and without places on one's own machine."""

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro
from rich.console import Console

from gato import __version__
from gato.envs import get_task
from gato.evaluation.scores import ScoreRecord, read_scores, write_scores
from gato.model.size import parameter_counts
from gato.release import identity, load_checkpoint, write_release
from gato.reports.model_card import CardFacts, model_card

_SCORES_KEPT = ("checkpoint", "tasks", "study", "prompt", "policy", "episodes", "seed")  # of how they were measured


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
    if license is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", license):
        raise ValueError(f"license is {license!r}, expected the hub's name of one, such as apache-2.0, mit or other")
    for name in datasets:
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
            raise ValueError(f"dataset {name!r} is no name on a hub, expected one such as owner/name")
    if not max_shard_gb > 0:
        raise ValueError(f"max-shard-gb is {max_shard_gb}, must be positive")
    if out.exists():
        raise FileExistsError(f"{out} exists: a release is never overwritten, choose another folder")
    exported_from = identity(run)
    records, scores_text = ([], None) if scores is None else _measured(scores, exported_from)
    checkpoint = load_checkpoint(run)
    config = checkpoint.config
    facts = CardFacts(
        config=config,
        step=checkpoint.step,
        num_parameters=sum(parameter_counts(config.model, config.tokenizer).values()),
        rounded=dtype == "bfloat16",
        has_text=checkpoint.tokenizer_model is not None,
        tasks=frozenset(source.name for source in config.data.sources if _is_task(source.name)),
        license_id=license,
        datasets=datasets,
        scores=tuple(records),
    )
    write_release(
        out,
        checkpoint,
        card=model_card(facts),
        written_by=__version__,
        exported_from=exported_from,
        dtype=dtype,
        scores=scores_text,
        max_shard_bytes=max(1, round(max_shard_gb * 1e9)),
    )
    console = Console()
    for path in sorted(out.iterdir()):
        console.print(f"{path.stat().st_size:>14,} bytes  {path}", highlight=False, soft_wrap=True)
    console.print(
        "Paths and options of the sources are left out. Read README.md and add what you know before you share it.",
        soft_wrap=True,
    )


def _is_task(name: str) -> bool:
    try:
        get_task(name)
    except ValueError:
        return False
    return True


def _measured(path: Path, weights: dict[str, Any]) -> tuple[Sequence[ScoreRecord], str]:
    """The records, and the file to pass on; refuses scores of other weights."""
    records = read_scores(path)
    measured = json.loads(path.read_text(encoding="utf-8")).get("measured", {})
    of = measured.get("checkpoint") or {}
    if of.get("sha256") != weights["sha256"]:
        raise ValueError(
            f"{path} was measured on another checkpoint (step {of.get('step')}, SHA-256 {str(of.get('sha256'))[:12]}) "
            f"than the one to be exported (step {weights['step']}, {weights['sha256'][:12]}): evaluate this one"
        )
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / path.name
        write_scores(kept, records, {name: measured[name] for name in _SCORES_KEPT if name in measured})
        return records, kept.read_text(encoding="utf-8")
