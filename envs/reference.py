"""What was measured of the tasks: reference scores in `scores.json` and bearable noise in `noise.json`.

`gato measure` writes the first. `benchmarks/noise_recovery.py` writes the second, which names fields of `Task`.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from .task import Score, Scores

SCORES_PATH = Path(__file__).with_name("scores.json")
_NOISE_PATH = Path(__file__).with_name("noise.json")


def measured_noise() -> dict[str, dict[str, float]]:
    """Returns `noise_share` and `noise_strength` of the tasks whose experts make up for less than others."""
    return json.loads(_NOISE_PATH.read_text())


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
