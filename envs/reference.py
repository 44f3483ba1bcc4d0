"""The measured reference scores, read from `scores.json`; `python -m gato.envs.measure` writes them."""

import json
from pathlib import Path

from .task import Scores

SCORES_PATH = Path(__file__).with_name("scores.json")


def reference_scores() -> dict[str, Scores]:
    """Scores by task name."""
    return {name: Scores(**fields) for name, fields in json.loads(SCORES_PATH.read_text()).items()}
