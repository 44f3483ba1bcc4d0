"""Results of episodes, written down as they come, so that an evaluation that was stopped goes on where it was.

The first line holds the settings, every other line one finished episode.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from gato.config import read_saved
from gato.evaluation.plan import EpisodeKey, PlannedEpisode
from gato.files import append_line, continue_lines, read_lines


@dataclass(frozen=True, kw_only=True)
class EpisodeResult(PlannedEpisode):
    """What became of one episode of a plan."""

    episode_return: float
    length: int  # steps
    success: bool | None = None
    followed: bool | None = None  # whether it did what its demonstration showed; None without one


class Journal:
    """The results so far, by key, and the file that they are kept in; a context manager."""

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Opens the file, or begins it.

        Args:
            path: a file of JSON lines.
            settings: JSON values that the results depend on.

        Raises:
            ValueError: the file was written under other settings, or is no journal.
        """
        self.results: dict[EpisodeKey, EpisodeResult] = {}
        settings = json.loads(json.dumps(settings))  # as they come back
        entries = read_lines(path, remedy="evaluate again with --overwrite") if path.exists() else []
        if entries:
            _check_settings(path, entries[0], settings)
        for number, entry in enumerate(entries[1:], start=2):
            result = read_saved(EpisodeResult, entry, f"{path}:{number}")
            self.results[result.key] = result
        self._file = continue_lines(path, entries or [dict(settings)])

    def append(self, result: EpisodeResult) -> None:
        """Writes the result down; it is on the way to the disk when this returns."""
        self.results[result.key] = result
        append_line(self._file, asdict(result))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        os.fsync(self._file.fileno())
        self._file.close()


def _check_settings(path: Path, found: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    different = [name for name in (*given, *(found.keys() - given.keys())) if found.get(name) != given.get(name)]
    if different:
        changes = "; ".join(
            f"{name} is {_short(found.get(name))} there, {_short(given.get(name))} now" for name in different
        )
        raise ValueError(
            f"{path.parent} holds another evaluation: {changes}. Give another --out, or --overwrite to begin anew"
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
