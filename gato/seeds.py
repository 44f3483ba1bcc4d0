"""First seeds and random streams, so that no two things draw the same numbers by accident.

Episode i is played from a first seed + i. The environment draws from that seed itself; whatever else an episode needs
has a stream of its own, so that switching one of them on or off changes none of the others.
"""

from enum import IntEnum, unique
from typing import Final

import numpy as np

# Of the first episode; a million apart.
COLLECTION_SEED: Final = 0  # of `gato collect`
EVALUATION_SEED: Final = 1_000_000
DEMONSTRATION_SEED: Final = 2_000_000  # of the episodes that prompts are made of
MEASUREMENT_SEED: Final = 3_000_000  # of reference scores; `gato play` shows these episodes
FIRST_ACTIONS_SEED: Final = 4_000_000  # of the experts whose first actions an ablation of prompts predicts


@unique
class Stream(IntEnum):
    """The numbers of the streams."""

    NOISE = 1  # which actions of a rollout are random, and these actions
    EXPERT = 2  # what an expert draws
    PROMPT = 3  # which part of a demonstration becomes a prompt
    HIDDEN_VARIANT = 4  # written out in gato/envs/context/hidden_variant.py, which imports nothing of ours


def stream(number: Stream, *seeds: int) -> np.random.Generator:
    """Returns the generator of a stream of an episode, or of several episodes together."""
    return np.random.default_rng([*seeds, int(number)])
