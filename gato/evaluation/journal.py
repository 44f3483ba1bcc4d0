"""Results of episodes, written down as they come, so that an evaluation that was stopped goes on where it was.

The first line holds the settings, every other line one finished episode. Lines are appended whole; the part of a line
that a crash leaves at the end is dropped.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from gato.evaluation.plan import EpisodeKey
from gato.evaluation.scores import Prompt, Variants


@dataclass(frozen=True, kw_only=True)
class EpisodeResult:
    """What became of one episode of a plan."""

    task: str
    prompt: Prompt
    variants: Variants
    episode: int
    variant: int
    seed: int
    episode_return: float
    length: int  # steps
    success: bool | None = None
    followed: bool | None = None  # whether it did what its demonstration showed; None without one

    @property
    def key(self) -> EpisodeKey:
        """The key of its `EpisodeSpec`."""
        return self.task, self.prompt, self.variants, self.episode


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
        whole = _whole_lines(path) if path.exists() else []
        if whole:
            _check_settings(path, _parsed(path, 0, whole[0]), settings)
        for number, line in enumerate(whole[1:], start=1):
            result = _result(path, number, _parsed(path, number, line))
            self.results[result.key] = result
        self._file = path.open("r+b" if path.exists() else "wb")
        self._file.seek(sum(map(len, whole)))
        self._file.truncate()
        if not whole:
            self._write(settings)

    def append(self, result: EpisodeResult) -> None:
        """Writes the result down; it is on the way to the disk when this returns."""
        self.results[result.key] = result
        self._write(asdict(result))

    def _write(self, content: Mapping[str, Any]) -> None:
        self._file.write((json.dumps(content, allow_nan=False) + "\n").encode())
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        os.fsync(self._file.fileno())
        self._file.close()


def _whole_lines(path: Path) -> list[bytes]:
    lines = path.read_bytes().splitlines(keepends=True)
    return lines if not lines or lines[-1].endswith(b"\n") else lines[:-1]


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{path}, line {number + 1} is not JSON: evaluate again with --overwrite") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}, line {number + 1} holds {type(content).__name__}, expected an object")
    return content


def _result(path: Path, number: int, content: dict[str, Any]) -> EpisodeResult:
    if set(content) != (names := {field.name for field in fields(EpisodeResult)}):
        raise ValueError(f"{path}, line {number + 1} has {sorted(content)}, expected {sorted(names)}")
    return EpisodeResult(**content)


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
