"""`gato measure`: how the random policy and the experts score, into the file behind every normalised score."""

from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from gato.envs import select_tasks
from gato.envs.reference import SCORES_PATH
from gato.experiments.reference_scores import measure_references


def measure(
    tasks: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    family: tuple[str, ...] = (),
    episodes: int = 100,
    slow_episodes: int = 30,
    again: bool = False,
    out: Path = SCORES_PATH,
    num_workers: int = 2,
) -> None:
    """Measures the random policy and the expert of each task. Example: gato measure --family sokoban

    Writes the reference scores. What the file has already is kept, so an interrupted run goes on.

    Args:
        tasks: names from `gato tasks`, or shell patterns of them; all tasks if neither they nor families are given.
        family: all tasks of these families.
        episodes: of each player on each task, in tens.
        slow_episodes: the same, where an episode takes over 5 seconds.
        again: measure what the file has already.
        out: the reference file.
        num_workers: processes.
    """
    measure_references(
        select_tasks(tasks or (() if family else ("*",)), family),
        out,
        episodes=episodes,
        slow_episodes=slow_episodes,
        again=again,
        num_workers=num_workers,
        console=Console(),
    )
