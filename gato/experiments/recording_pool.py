"""Several tasks recorded at once, in worker processes, with one bar over all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Task as Bar
from rich.text import Text

from gato.experiments.recording import Collection, Part, Recording, check_recordable, record_part
from gato.experiments.workers import work


@dataclass(frozen=True)
class RecordingJob:
    """A part of a recording to be played."""

    collection_index: int
    recording: Recording
    folder: Path
    number: int


def _record(job: RecordingJob) -> Part:
    return record_part(job.recording, job.folder, job.number)


class _Pace(ProgressColumn):
    """Episodes per second, and the time left at that pace."""

    def render(self, bar: Bar) -> Text:
        if not bar.speed or bar.remaining is None:
            return Text("")
        left = int(bar.remaining / bar.speed)
        return Text(f"{bar.speed:.1f} episodes/s, {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left")


def record_all(
    recordings: Sequence[Recording],
    out: Path,
    num_workers: int,
    console: Console,
    record: Callable[[RecordingJob], Part] = _record,
) -> None:
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

    def next_job() -> RecordingJob | None:
        for index, collection in enumerate(collections):
            try:
                number = collection.next_part()
            except ValueError as error:
                fail(collection, error)
                continue
            if number is not None:
                return RecordingJob(index, collection.recording, collection.folder, number)
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
            for job, result in work(next_job, record, num_workers):
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
