"""The measured reference scores, kept in `scores.json`; `gato measure` writes them."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from .task import Score, Scores

SCORES_PATH = Path(__file__).with_name("scores.json")


def reference_scores(path: Path = SCORES_PATH) -> dict[str, Scores]:
    """Scores by task name."""
    return {
        name: Scores(**{policy: Score(**fields) for policy, fields in policies.items()})
        for name, policies in json.loads(path.read_text()).items()
    }


def write_reference_scores(scores: Mapping[str, Scores], path: Path = SCORES_PATH) -> None:
    """Replaces the file as a whole; what the literature says is not kept there."""
    measured = {
        name: {policy: asdict(score) for policy, score in (("random", row.random), ("expert", row.expert)) if score}
        for name, row in sorted(scores.items())
    }
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(measured, indent=1) + "\n")
    os.replace(partial, path)
