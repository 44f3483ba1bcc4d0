"""Files and folders that are whole or absent, JSON lines that survive a crash, and a lock that ends with its process.

While something is written it has another name in the same folder, `.<name>.partial-<process id>`; a rename gives it its
own once it is complete. A killed process leaves that other name behind, and nothing reads it.
"""

import glob
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any, TextIO

from filelock import lock_descriptor


def replace_file(path: Path, contents: bytes | str) -> None:
    """Writes a file that appears whole or not at all: on a full disk the one before stays.

    Args:
        contents: text is encoded as UTF-8.

    Raises:
        OSError: there is no room, or the folder cannot be written; the message names the file.
    """
    try:
        with _replacing(path) as partial:
            partial.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def replace_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes an indented JSON file as `replace_file` does. Raises ValueError for numbers that JSON cannot hold."""
    replace_file(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


@contextmanager
def new_file(path: Path, *, remedy: str = "delete it or choose another path") -> Iterator[Path]:
    """Yields the name to write at; what the block leaves there takes the path if it ends well, or else is removed.

    Args:
        path: must not exist; folders above it are made.
        remedy: what the error advises where the path exists.

    Raises:
        FileExistsError: the path exists, or a killed process of the same number left its unfinished work.
    """
    if os.path.lexists(path):
        raise FileExistsError(f"{path} exists: {remedy}")
    path.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(_partial(path)):
        raise FileExistsError(f"{_partial(path)} is left over from a call that was killed, or still at work: remove it")
    with _replacing(path) as partial:
        yield partial


@contextmanager
def new_folder(path: Path, *, remedy: str = "delete it or choose another path") -> Iterator[Path]:
    """Yields a folder to fill, which takes the path if the block ends well, or else is removed; as `new_file`."""
    with new_file(path, remedy=remedy) as partial:
        partial.mkdir()
        yield partial
        sync(partial)
    sync(path.parent)


def remove_leftovers(path: Path) -> None:
    """Removes what killed processes left unfinished of a path. Only for callers who know that nobody writes it now."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.partial-*"):
        _remove(leftover)


def sync(path: Path) -> None:
    """Asks the system to bring a file or folder to the disk, so that a power cut cannot reorder our writes."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def continue_lines(path: Path, entries: Sequence[Mapping[str, Any]]) -> FileIO:
    """Opens a file for `append_line`, after it was replaced by one that holds just these entries."""
    replace_file(path, "".join(json.dumps(entry) + "\n" for entry in entries))
    return path.open("ab", buffering=0)  # what a full disk refused must not be tried again on closing


def append_line(file: FileIO, entry: Mapping[str, Any]) -> None:
    """Appends an object as one line of JSON; as `append`. Raises ValueError for numbers that JSON cannot hold."""
    append(file, json.dumps(entry, allow_nan=False).encode() + b"\n")


def append(file: FileIO, contents: bytes) -> None:
    """Appends all of it or nothing; it is on the way to the disk when this returns.

    Args:
        file: opened for appending, unbuffered.

    Raises:
        OSError: there is no room, or the file cannot be written; the message names it.
    """
    size_bytes = os.fstat(file.fileno()).st_size
    try:
        while contents:
            contents = contents[file.write(contents) :]
    except OSError as error:
        file.truncate(size_bytes)
        raise OSError(error.errno, error.strerror, str(file.name)) from error


def read_lines(path: Path, *, remedy: str = "move the file away to go on without it") -> list[dict[str, Any]]:
    """Reads the JSON objects of a file that `append_line` wrote; a last line that a crash cut short is left out.

    Raises:
        ValueError: another line is no JSON object; the message names it and ends with the remedy.
    """
    entries = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}:{number} is not JSON ({error}): {remedy}") from None
        if not isinstance(entry, dict):
            raise ValueError(f"{path}:{number} is no JSON object: {remedy}")
        entries.append(entry)
    return entries


def lock_file(path: Path) -> TextIO:
    """Opens a file, made if it is missing, under the kernel's lock, which lasts until the file is closed.

    The lock also ends with its process, however that ends; the file stays, and its presence means nothing. The content
    is the caller's: what a holder writes, others can read. Workers started by spawn do not inherit the lock.

    Raises:
        BlockingIOError: the file is locked already, by this process or another one.
        OSError: the file cannot be opened, or its file system has no locks.
    """
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+")
    try:
        if not lock_descriptor(file.fileno(), blocking=False):
            raise BlockingIOError(f"{path} is locked by another process")
    except BaseException:
        file.close()
        raise
    return file


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    partial = _partial(path)
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        _remove(partial)
        raise


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial-{os.getpid()}")
