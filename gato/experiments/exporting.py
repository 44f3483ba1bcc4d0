"""Exports a run: its weights, a model card, and the scores that were measured on these very weights."""

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gato import __version__
from gato.envs import find_task
from gato.evaluation.scores import ScoreRecord, read_scores, write_scores
from gato.model.cost.size import parameter_counts
from gato.release import identity, load_checkpoint, write_release
from gato.release.record import DType
from gato.reports.model_card import CardFacts, model_card

_SCORES_KEPT = ("checkpoint", "tasks", "study", "prompt", "policy", "episodes", "seed")  # of how they were measured


def export_run(
    run: Path,
    out: Path,
    *,
    dtype: DType,
    license_id: str | None,
    scores: Path | None,
    datasets: Sequence[str],
    max_shard_gb: float,
) -> None:
    """Writes a released folder; the arguments are those of `gato export`.

    Raises:
        FileExistsError: the folder exists.
        FileNotFoundError: there is no run.
        ValueError: an argument is out of range; the scores are of other weights; or as `write_release`.
    """
    if license_id is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", license_id):
        raise ValueError(f"license is {license_id!r}, expected the hub's name of one, such as apache-2.0, mit or other")
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
        tasks=frozenset(source.name for source in config.data.sources if find_task(source.name)),
        license_id=license_id,
        datasets=tuple(datasets),
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


def _measured(path: Path, weights: dict[str, Any]) -> tuple[Sequence[ScoreRecord], str]:
    """Returns the records, and the text of the file to pass on; refuses scores of other weights."""
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
