"""Writes down which records training leaves out because they cannot be used, as it meets them."""

import json
from pathlib import Path
from typing import Any, Self

from rich.console import Console

from gato.batch import Batch
from gato.data.mixture import Mixture

SKIPPED_FILE = "skipped.jsonl"


class SkipLog:
    """The batches of a mixture; each newly skipped record becomes a line of the console and of a file in the run."""

    def __init__(self, batches: Mixture, run: Path, console: Console, *, resume: bool) -> None:
        """The file is continued by a resumed run, and begun anew by any other."""
        self.source_names = batches.source_names
        self._batches, self._path, self._console = batches, run / SKIPPED_FILE, console
        if not resume:
            self._path.unlink(missing_ok=True)
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
        self._known = {(entry["source"], entry["record"]) for entry in map(json.loads, lines)}

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
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"source": source, "record": record, "reason": reason}) + "\n")
        self._console.print(f"skipped {reason}", markup=False, highlight=False, soft_wrap=True)
