"""What the quickstart learns from: local experts' demonstrations, generated scenes and Python's documentation."""

import dataclasses
from pathlib import Path

import numpy as np
from rich.console import Console

from gato.envs import select_tasks
from gato.experiments.language_data import write_language
from gato.experiments.recording import Recording
from gato.experiments.recording_pool import record_all

DEMONSTRATIONS = (
    Recording(task="cartpole", episodes=120, noise=(0.0, 0.4), keep="all"),
    Recording(task="pendulum", episodes=600, noise=(0.0, 0.8), keep="all"),
    Recording(task="mountain-car-continuous", episodes=300, noise=(0.0, 0.3)),
    Recording(task="acrobot", episodes=400, noise=(0.0, 0.3)),
    Recording(task="lunar-lander", episodes=1_000, noise=(0.0, 0.6), keep="all"),
    Recording(task="babyai-go-to-red-ball-grey-pixels", episodes=3_000, noise=(0.0, 0.3), keep="all"),
    Recording(task="babyai-go-to-local-pixels", episodes=6_000, noise=(0.0, 0.3), keep="all"),
    Recording(task="dark-room", episodes=4_000, keep="all"),
)
# The tasks that texts and dialogues are about: few enough for a small network.
DESCRIBED_FAMILIES = ("classic_control", "toy_text", "box2d")
DESCRIBED_TASKS = (
    "babyai-go-to-red-ball-grey",
    "babyai-go-to-local",
    "babyai-open-door",
    "babyai-pickup-loc",
    "dark-room",
)
NUM_SCENES = 20_000
NUM_HELD_OUT_SCENES = 400
NUM_TEXTS = 4_000


def prepare(folder: Path, *, share: float, seed: int, console: Console) -> None:
    """Makes every dataset of the quickstart that is not in the folder yet.

    Args:
        share: fraction of the full amount of everything; 1 for the real thing.
    """
    recordings = [
        dataclasses.replace(full, episodes=max(round(full.episodes * share), 4), seed=seed) for full in DEMONSTRATIONS
    ]
    record_all(recordings, folder / "demonstrations", 2, console)
    write_language(
        folder,
        select_tasks(DESCRIBED_TASKS, DESCRIBED_FAMILIES),
        num_scenes=max(round(NUM_SCENES * share), 20),
        num_held_out_scenes=max(round(NUM_HELD_OUT_SCENES * share), 8),
        num_texts=max(round(NUM_TEXTS * share), 40),
        rng=np.random.default_rng(seed),
        console=console,
    )
