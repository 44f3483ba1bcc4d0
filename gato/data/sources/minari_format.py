"""Our Minari datasets on disk: what both the reader and the writer must know.

What we add to the format, and plain Minari carries along: the episode attributes `seed` (as Minari itself writes it)
and `options` (the reset options as JSON), and the info `action_loss_mask`, aligned like every info: entry t + 1 belongs
to action t.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

DATA_FOLDER = "data"  # Minari keeps a dataset in this folder below the dataset's own
MASK_INFO = "action_loss_mask"


def reference_scores(path: str | Path) -> tuple[float, float] | None:
    """The returns (of random actions, of the expert) that a dataset's metadata states, if it states both.

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


def check_shapes(space: gym.Space, tree: Any, path: str) -> None:
    """Refuses a batched tree whose structure or leaf shapes are not those of the space."""
    match space:
        case gym.spaces.Dict():
            if not isinstance(tree, Mapping) or set(tree) != set(space):
                came = sorted(tree) if isinstance(tree, Mapping) else type(tree).__name__
                raise ValueError(f"{path} holds {came}, expected a dict with {sorted(space)}")
            for key, part in space.items():
                check_shapes(part, tree[key], f"{path}/{key}")
        case gym.spaces.Tuple():
            if not isinstance(tree, tuple) or len(tree) != len(space):
                raise ValueError(f"{path} is {type(tree).__name__}, expected a tuple of {len(space)}")
            for index, part in enumerate(space):
                check_shapes(part, tree[index], f"{path}/{index}")
        case gym.spaces.Text():
            if not isinstance(tree, list) or not all(isinstance(text, str) for text in tree):
                raise ValueError(f"{path} is {type(tree).__name__}, expected a list of str")
        case _:
            if not isinstance(tree, np.ndarray) or tree.dtype.kind not in "biuf" or tree.shape[1:] != space.shape:
                came = f"{tree.dtype} {tree.shape}" if isinstance(tree, np.ndarray) else type(tree).__name__
                raise ValueError(f"{path} is {came}, expected numbers of shape (timesteps, *{space.shape}) for {space}")
