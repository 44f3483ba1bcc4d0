"""What the generalist of `gato.configs.generalist` learns from: demonstrations of all its tasks, and language."""

from pathlib import Path

import numpy as np
from rich.console import Console

from gato.configs.generalist import PIXEL_TASKS, trained_tasks
from gato.envs import all_tasks, get_task
from gato.experiments.language_data import write_language
from gato.experiments.recording import make_recording
from gato.experiments.recording_pool import record_all

# Per task of a family. Episodes of grids are short and teach each other's tasks; those of arms have 500 timesteps.
EPISODES = {
    "classic_control": 200,
    "toy_text": 600,
    "box2d": 300,
    "mujoco": 200,
    "dm_control": 40,
    "robotics": 200,
    "metaworld": 40,
    "babyai": 300,
    "minigrid": 300,
    "sokoban": 600,
    "context": 300,
}
_FEWER = {"bipedal-walker": 40}  # of 1,450 timesteps
PIXEL_EPISODES = 600
NUM_SCENES, NUM_HELD_OUT_SCENES, NUM_TEXTS = 20_000, 400, 20_000


def collect_generalist(folder: Path, *, share: float, num_workers: int, console: Console) -> None:
    """Records and writes whatever the folder does not hold yet.

    Args:
        folder: of all data; demonstrations go to <folder>/demonstrations.
        share: fraction of the full amount of everything; 1 for the real thing.
        num_workers: processes that record.

    Raises:
        ValueError: the share is not in (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}, expected a fraction of the data in (0, 1]")
    numbers = {task.name: _FEWER.get(task.name, EPISODES[task.family]) for task in trained_tasks()}
    numbers |= dict.fromkeys(PIXEL_TASKS, PIXEL_EPISODES)
    recordings = [
        make_recording(get_task(name), "training", episodes=max(round(number * share), 4))
        for name, number in numbers.items()
    ]
    record_all(recordings, folder / "demonstrations", num_workers, console)
    write_language(
        folder,
        all_tasks(),
        num_scenes=max(round(NUM_SCENES * share), 20),
        num_held_out_scenes=max(round(NUM_HELD_OUT_SCENES * share), 8),
        num_texts=max(round(NUM_TEXTS * share), 40),
        rng=np.random.default_rng(0),
        console=console,
    )
