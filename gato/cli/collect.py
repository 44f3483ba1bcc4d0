"""`gato collect`: experts play any selection of tasks, their episodes become Minari datasets."""

from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from gato.envs import QUICK, select_tasks
from gato.experiments.recording import Keep, Recipe, make_recording
from gato.experiments.recording_pool import record_all
from gato.seeds import COLLECTION_SEED


def collect(
    tasks: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    family: tuple[str, ...] = (),
    quick: bool = False,
    everything: Annotated[bool, tyro.conf.arg(name="all")] = False,
    episodes: int = 100,
    out: Path = Path("data/demonstrations"),
    seed: int = COLLECTION_SEED,
    recipe: Recipe = "expert",
    noise: tuple[float, float] | None = None,
    noise_strength: float | None = None,
    keep: Keep | None = None,
    min_score: float = 0.8,
    linger: int | None = None,
    num_workers: int = 2,
) -> None:
    """Records expert demonstrations. Example: gato collect cartpole 'babyai-go-to-*' --episodes 50

    Run it again after an interruption and it goes on.

    Args:
        tasks: names from `gato tasks`, or shell patterns of them; ones without an expert are left out of a pattern.
        family: all tasks of these families that have an expert.
        quick: about forty tasks from all families, in minutes.
        everything: all tasks that have an expert and are not held out.
        episodes: kept episodes per task.
        out: folder; each task gets a Minari dataset of its name below it.
        seed: of the first episode; episode i uses seed + i.
        recipe: `expert` plays as well as it can; `training` mixes in as many random actions as the expert of each task
            makes up for, and keeps all episodes, which teaches an agent more. The next three options replace what
            the recipe says.
        noise: range of the fraction of random executed actions, drawn per episode; these carry no loss.
        noise_strength: how far such an action lies on the way from the expert's to a random one, where actions are
            numbers; 1 is all the way.
        keep: which episodes: those of a high return, those that succeed, or all. The recipe `expert` keeps those of a
            high return, and where episodes are cut or the expert is a weak one, those that succeed; `training` keeps
            all, and in the context suite those that succeed.
        min_score: what a high return is (0 = random, 1 = expert).
        linger: cuts an episode so many steps after its success, where the environment would go on.
        num_workers: processes.
    """
    names = [*tasks, *(QUICK if quick else ()), *(["*"] if everything else [])]
    if not names and not family:
        raise ValueError("no tasks are chosen: name some, or give --family, --quick or --all")
    chosen = [task for task in select_tasks(names, family) if task.make_expert or task.name in tasks]
    if everything:
        chosen = [task for task in chosen if "held-out" not in task.tags or task.name in tasks]
    recordings = [
        make_recording(
            task,
            recipe,
            episodes=episodes,
            seed=seed,
            noise=noise,
            noise_strength=noise_strength,
            keep=keep,
            min_score=min_score,
            linger=linger,
        )
        for task in chosen
    ]
    record_all(recordings, out, num_workers, Console())
