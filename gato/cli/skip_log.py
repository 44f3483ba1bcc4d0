"""Writes down which records training leaves out because they cannot be used, as it meets them."""

from pathlib import Path
from typing import Any, Self

from rich.console import Console

from gato.batch import Batch
from gato.data.mixture import Mixture
from gato.training.writers import append_line, continue_lines, read_lines

SKIPPED_FILE = "skipped.jsonl"


class SkipLog:
    """The batches of a mixture; each newly skipped record becomes a line of the console and of a file in the run."""

    def __init__(self, batches: Mixture, run: Path, console: Console, *, resume: bool) -> None:
        """The file is continued by a resumed run, and begun anew by any other."""
        self.source_names = batches.source_names
        self._batches, self._path, self._console = batches, run / SKIPPED_FILE, console
        self._known: set[tuple[str, int]] = set()
        if not resume:
            self._path.unlink(missing_ok=True)
        elif self._path.exists():
            entries = read_lines(self._path)
            continue_lines(self._path, entries).close()  # without a line that a crash cut short
            self._known = {(entry["source"], entry["record"]) for entry in entries}

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        batch = next(self._batches)
        for source, records in self._batches.skipped().items():
            for record, reason in records.items():
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
        self._console.print(f"skipped {reason}", markup=False, highlight=False, soft_wrap=True)
