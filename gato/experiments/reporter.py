"""How far an evaluation is, for people: lines and progress bars, on a console or wherever the caller wants them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Advance(Protocol):
    """Moves a progress bar on, and says what is under way."""

    def __call__(self, count: int = 1, doing: str | None = None) -> None: ...


class Reporter(Protocol):
    """Whom an evaluation tells how far it is."""

    def say(self, line: str) -> None:
        """Takes a line to show."""

    def bar(self, name: str, total: int | None, done: int = 0) -> AbstractContextManager[Advance]:
        """Shows a bar as long as the block lasts; a total of None is not known."""


class ConsoleReporter:
    """Shows everything on a rich console."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True, markup=False)

    @contextmanager
    def bar(self, name: str, total: int | None, done: int = 0) -> Iterator[Advance]:
        counts = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        times = (TimeElapsedColumn(), TimeRemainingColumn())
        with Progress(*counts, *times, console=self._console, transient=total is None) as progress:
            bar = progress.add_task(name, total=total, completed=done)
            yield lambda count=1, doing=None: progress.update(bar, advance=count, description=doing or name)
