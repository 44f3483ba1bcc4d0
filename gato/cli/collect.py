"""`gato collect`: an expert plays a task, its episodes become a Minari dataset."""

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gato.data.episode import Episode
from gato.data.sources.minari import write_minari
from gato.envs import Task, get_task
from gato.evaluation.actors import ExpertActor
from gato.evaluation.rollout import rollout
from gato.evaluation.scores import normalized_score

CHUNK = 50  # episodes between two lines of progress of one task


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What to record of one task."""

    task: str
    episodes: int
    noise: tuple[float, float] | None = None  # range of the share of random executed actions, drawn per episode
    min_score: float | None = (
        0.8  # normalised return below which an episode is left out (section 3.1: 80 % of the expert)
    )


def record(recording: Recording, out: Path, seed: int) -> dict[str, Any]:
    """Plays until enough episodes are kept and writes them; returns what happened in numbers.

    Raises:
        ValueError: the task has no expert, or fewer than one episode in ten reaches `min_score`.
    """
    task = get_task(recording.task)
    kept: list[Episode] = []
    played = 0
    for episode in _episodes(task, recording, seed):
        played += 1
        if _good_enough(task, recording, episode):
            kept.append(episode)
        if len(kept) == recording.episodes:
            break
        if played >= 10 * recording.episodes:
            raise ValueError(
                f"task {task.name!r}: only {len(kept)} of {played} episodes reach the normalised score "
                f"{recording.min_score}, {recording.episodes} wanted: lower --min-score or the noise"
            )
    env = task.make()
    write_minari(
        out,
        kept,
        env.observation_space,
        env.action_space,
        dataset_id=f"gato/{task.name}-v0",
        metadata={
            "task": task.name,
            "seed": seed,
            "noise": list(recording.noise or (0.0, 0.0)),
            "min_score": recording.min_score,
        },
    )
    env.close()
    return {
        "task": task.name,
        "episodes": len(kept),
        "played": played,
        "timesteps": sum(len(episode) for episode in kept),
        "return_mean": sum(episode.episode_return for episode in kept) / len(kept),
    }


def _episodes(task: Task, recording: Recording, seed: int) -> Iterator[Episode]:
    if task.make_expert is None:
        raise ValueError(f"task {task.name!r} has no expert: record it by hand or give a dataset of it")
    for start in itertools.count(seed, CHUNK):
        seeds = range(start, start + CHUNK)
        options = [task.variants[index % len(task.variants)] for index in seeds]
        for done in rollout(task.make, ExpertActor(task.make_expert), seeds, options=options, noise=recording.noise):
            yield done.episode


def _good_enough(task: Task, recording: Recording, episode: Episode) -> bool:
    if recording.min_score is None:
        return True
    if task.scores is None:
        raise ValueError(f"task {task.name!r} has no reference scores to filter by: pass --min-score None")
    score = normalized_score(episode.episode_return, task.scores.random_mean, task.scores.expert_mean)
    return score is not None and score >= recording.min_score


def record_all(recordings: Sequence[Recording], out: Path, seed: int, num_workers: int, console: Console) -> None:
    """Records several tasks in worker processes, each into its own folder below `out`; finished ones are kept."""
    wanted = [recording for recording in recordings if not (out / recording.task).exists()]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("demonstrations", total=len(recordings), completed=len(recordings) - len(wanted))
        with ProcessPoolExecutor(num_workers, mp_context=get_context("spawn")) as pool:
            futures = [pool.submit(record, recording, out / recording.task, seed) for recording in wanted]
            for future in as_completed(futures):
                result = future.result()
                progress.advance(bar)
                progress.console.print(
                    f"  {result['task']}: {result['episodes']} episodes, {result['timesteps']} timesteps, "
                    f"mean return {result['return_mean']:.1f} (left out {result['played'] - result['episodes']})"
                )


def collect(
    tasks: Annotated[tuple[str, ...], tyro.conf.Positional],
    episodes: int = 100,
    out: Path = Path("data/demonstrations"),
    seed: int = 0,
    noise: tuple[float, float] | None = None,
    min_score: float | None = 0.8,
    num_workers: int = 2,
) -> None:
    """Records expert demonstrations. Example: gato collect cartpole pendulum --episodes 50

    Args:
        tasks: names from `gato tasks`.
        episodes: kept episodes a task.
        out: folder; each task gets a Minari dataset of its name below it.
        seed: of the first episode; episode i uses seed + i.
        noise: range of the share of random executed actions, drawn per episode; these carry no loss.
        min_score: episodes below this normalised return (0 = random, 1 = expert) are left out; None keeps all.
        num_workers: processes; one task runs in one process.
    """
    existing = [name for name in tasks if (out / name).exists()]
    if existing:
        raise FileExistsError(f"{out / existing[0]} exists already: choose another --out or remove it")
    recordings = [Recording(task=name, episodes=episodes, noise=noise, min_score=min_score) for name in tasks]
    for recording in recordings:
        get_task(recording.task)
    record_all(recordings, out, seed, num_workers, Console())
