"""`gato relabel`: an expert's answers to the states that a trained agent comes to."""

from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from gato.envs import select_tasks
from gato.experiments.relabelling import SHARE, relabel
from gato.release.shipped import find_weights
from gato.seeds import COLLECTION_SEED


def relabel_tasks(
    run: Annotated[Path, tyro.conf.Positional],
    tasks: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    family: tuple[str, ...] = (),
    episodes: int = 100,
    out: Path = Path("data/relabelled"),
    share: tuple[float, float] = SHARE,
    seed: int = COLLECTION_SEED,
    num_workers: int = 2,
) -> None:
    """Lets an agent play and its tasks' experts say what to do. Example: gato relabel runs/mine lunar-lander

    Train on these episodes beside the first ones, with learned_actions "expert": see docs/environments.md. Run it again
    after an interruption and it goes on.

    Args:
        run: run, checkpoint or released folder, or the name of an agent that comes with the package.
        tasks: names from `gato tasks`, or shell patterns of them; ones without an expert are left out of a pattern.
        family: all tasks of these families that have an expert.
        episodes: per task.
        out: folder; each task gets a Minari dataset of its name below it.
        share: range of the fraction of executed actions that are the agent's, drawn per episode; the expert's are the
            others.
        seed: of the first episode; episode i uses seed + i.
        num_workers: processes.
    """
    if not tasks and not family:
        raise ValueError("no tasks are chosen: name some, or give --family")
    chosen = [task for task in select_tasks(tasks, family) if task.make_expert or task.name in tasks]
    relabel(
        find_weights(run),
        chosen,
        out,
        episodes=episodes,
        share=share,
        seed=seed,
        num_workers=num_workers,
        console=Console(),
    )
