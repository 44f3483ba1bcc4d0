"""Logs the records that training leaves out because they cannot be used."""

import re
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, Self

import jax
from rich.console import Console

from gato.batch import Batch
from gato.files import append_line, continue_lines, read_lines
from gato.run_files import SKIPPED_FILE
from gato.training.loop import BatchIterator
from gato.training.progress import line_printer

_FILE_NAME = re.compile(r"skipped(?:\.(\d+))?\.jsonl")


class SkippingIterator(BatchIterator, Protocol):
    """Batches that leave out records which cannot be used."""

    def skipped(self) -> dict[str, dict[int, str]]:
        """Returns the reasons by source and record so far, in the order in which the records were met."""
        ...


class SkipLog:
    """Passes batches on and logs each newly skipped record, as a line of the console and of a file in the run.

    Each of several processes writes its own file, since lines that machines append to one file over a network can
    overwrite one another. A record that more than one process meets may stand in the file of each.
    """

    def __init__(self, batches: SkippingIterator, run: Path, console: Console, *, resume: bool) -> None:
        """Continues the files of a resumed run, and replaces those of any other, however many processes wrote them."""
        self.source_names = batches.source_names
        self._batches, self._say = batches, line_printer(console)
        self._num_seen = dict.fromkeys(batches.source_names, 0)  # skipped records
        self._known: set[tuple[str, int]] = set()
        index, count = jax.process_index(), jax.process_count()
        self._path = run / (f"skipped.{index}.jsonl" if index else SKIPPED_FILE)
        for path, writer in _files_of(run):
            mine = writer % count == index  # also what a run of more processes left: one of these owns every file
            if not resume:
                if mine:
                    path.unlink(missing_ok=True)
                continue
            entries = read_lines(path)
            if mine:
                continue_lines(path, entries).close()  # without a line that a crash cut short
            self._known |= {(entry["source"], entry["record"]) for entry in entries}

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        batch = next(self._batches)
        for source, records in self._batches.skipped().items():
            # They stand in the order in which they were met: the new ones are the last.
            new = list(islice(reversed(records.items()), len(records) - self._num_seen[source]))
            self._num_seen[source] = len(records)
            for record, reason in reversed(new):
                if (source, record) not in self._known:
                    self._write(source, record, reason)
        return batch

    def get_state(self) -> dict[str, Any]:
        return self._batches.get_state()

    def set_state(self, state: dict[str, Any]) -> None:
        self._batches.set_state(state)

    def _write(self, source: str, record: int, reason: str) -> None:
        self._known.add((source, record))
        with self._path.open("ab", buffering=0) as file:
            append_line(file, {"source": source, "record": record, "reason": reason})
        self._say(f"skipped {reason}")


def _files_of(run: Path) -> list[tuple[Path, int]]:
    """Lists the files of a run folder, each with the number of the process that wrote it."""
    found = [(path, _FILE_NAME.fullmatch(path.name)) for path in sorted(run.glob("skipped*.jsonl"))]
    return [(path, int(name[1] or 0)) for path, name in found if name is not None]
