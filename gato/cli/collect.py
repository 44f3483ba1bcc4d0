"""`gato collect`: experts play any selection of tasks, their episodes become Minari datasets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Task as Bar
from rich.text import Text

from gato.cli.recording import Collection, Keep, Part, Recording, check_recordable, record_part
from gato.cli.workers import work
from gato.envs import QUICK, select_tasks


@dataclass(frozen=True)
class _Job:
    collection_index: int
    recording: Recording
    folder: Path
    number: int


def _record(job: _Job) -> Part:
    return record_part(job.recording, job.folder, job.number)


class _Pace(ProgressColumn):
    """Episodes a second, and the minutes left at that pace."""

    def render(self, bar: Bar) -> Text:
        if not bar.speed or bar.remaining is None:
            return Text("")
        left = int(bar.remaining / bar.speed)
        return Text(f"{bar.speed:.1f} episodes/s, {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left")


def record_all(recordings: Sequence[Recording], out: Path, num_workers: int, console: Console) -> None:
    """Records several tasks in worker processes, each into its own folder below `out`.

    Finished tasks are kept and unfinished ones go on where they stopped. A task that fails does not stop the others.

    Raises:
        FileExistsError: another recording of one of the tasks lies there.
        ValueError: a task cannot be recorded; raised after the others are.
    """
    for recording in recordings:
        check_recordable(recording)
    collections = [Collection(recording, out) for recording in recordings]
    failures: dict[str, Exception] = {}

    def next_job() -> _Job | None:
        for index, collection in enumerate(collections):
            try:
                number = collection.next_part()
            except ValueError as error:
                fail(collection, error)
                continue
            if number is not None:
                return _Job(index, collection.recording, collection.folder, number)
        return None

    def fail(collection: Collection, error: Exception) -> None:
        collection.failure = error
        failures.setdefault(collection.recording.task, error)
        console.print(f"  [red]{collection.recording.task}[/red]: {error}", soft_wrap=True)

    columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn(), _Pace())
    with Progress(*columns, console=console, speed_estimate_period=120) as progress:
        total = sum(recording.episodes for recording in recordings)
        bar = progress.add_task("episodes", total=total, completed=sum(one.kept for one in collections))
        try:
            for collection in collections:  # what an interrupted run left may be enough already
                _tell(collection.finish_if_enough(), console)
            for job, result in work(next_job, _record, num_workers):
                collection = collections[job.collection_index]
                if collection.complete:
                    continue
                if isinstance(result, Exception):
                    fail(collection, result)
                else:
                    collection.parts[job.number] = result
                    _tell(collection.finish_if_enough(), console)
                progress.update(bar, completed=sum(one.kept for one in collections))
        finally:
            for collection in collections:
                collection.close()
    if failures:
        task, error = next(iter(failures.items()))
        raise ValueError(f"{len(failures)} of {len(recordings)} tasks were not recorded, the first is {task}: {error}")


def _tell(line: str | None, console: Console) -> None:
    if line is not None:
        console.print(f"  {line}", soft_wrap=True)


def collect(
    tasks: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    family: tuple[str, ...] = (),
    quick: bool = False,
    everything: Annotated[bool, tyro.conf.arg(name="all")] = False,
    episodes: int = 100,
    out: Path = Path("data/demonstrations"),
    seed: int = 0,
    noise: tuple[float, float] | None = None,
    noise_strength: float = 1.0,
    keep: Keep | None = None,
    min_score: float = 0.8,
    linger: int | None = None,
    num_workers: int = 2,
) -> None:
    """Records expert demonstrations; run it again after an interruption and it goes on.

    Example: gato collect cartpole 'babyai-go-to-*' --episodes 50

    Args:
        tasks: names from `gato tasks`, or shell patterns of them; ones without an expert are left out of a pattern.
        family: all tasks of these families that have an expert.
        quick: about forty tasks from all families, in minutes.
        everything: all tasks that have an expert and are not held out.
        episodes: kept episodes a task.
        out: folder; each task gets a Minari dataset of its name below it.
        seed: of the first episode; episode i uses seed + i.
        noise: range of the share of random executed actions, drawn per episode; these carry no loss.
        noise_strength: how far such an action lies on the way from the expert's to a random one, where actions are
            numbers; 1 is all the way.
        keep: which episodes: those of a high return, those that succeed, or all; if not given, those of a high
            return, and where episodes are cut or the expert is a weak one, those that succeed.
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
        Recording(
            task=task.name,
            episodes=episodes,
            seed=seed,
            noise=noise,
            noise_strength=noise_strength,
            keep=keep or ("return" if task.expert_solves and linger is None else "success"),
            min_score=min_score,
            linger=linger,
        )
        for task in chosen
    ]
    record_all(recordings, out, num_workers, Console())
