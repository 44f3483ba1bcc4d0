"""Our Minari datasets on disk: what both the reader and the writer must know.

What we add to the format, and plain Minari carries along: the episode attributes `seed` (as Minari itself writes it)
and `options` (the reset options as JSON), and the infos `action_loss_mask` and `expert_action`, aligned like every
info: entry t + 1 belongs to action t.
"""

import json
import math
from pathlib import Path

DATA_FOLDER = "data"  # Minari keeps a dataset in this folder below the dataset's own
MASK_INFO = "action_loss_mask"
EXPERT_INFO = "expert_action"  # what an expert advised; the structure is that of the actions


def reference_scores(path: str | Path) -> tuple[float, float] | None:
    """Reads the returns (of random actions, of the expert) that a dataset's metadata states, if it states both.

    Source: `ref_min_score` and `ref_max_score` of Minari's dataset standard.
    """
    path = Path(path)
    files = [folder / "metadata.json" for folder in (path / DATA_FOLDER, path)]
    file = next((file for file in files if file.is_file()), None)
    try:
        stated = json.loads(file.read_text()) if file is not None else {}
        scores = float(stated["ref_min_score"]), float(stated["ref_max_score"])
    except (ValueError, TypeError, KeyError):
        return None  # opening the dataset tells what is wrong with it
    return scores if all(map(math.isfinite, scores)) else None
