"""One run at a time trains in a folder.

The lock is the kernel's (flock) and ends with the process that holds it, however that process ends: a killed run blocks
nobody. Linux carries such locks over NFS to every machine that mounts the folder. A file system that has no locks is
reported, and the run goes on without one.
"""

import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

LOCK_FILE = "run.lock"  # stays in the folder: a lock is held on it, its presence alone means nothing

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class RunLock:
    """A context that no other process can enter for the same run folder; makes the folder if it is missing."""

    def __init__(self, run_folder: Path, report: Callable[[str], None]) -> None:
        self._run_folder, self._report = run_folder, report
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        """Takes the lock, or fails at once.

        Raises:
            FileExistsError: another run has it; the message names its process and machine.
            OSError: the folder cannot be written.
        """
        self._run_folder.mkdir(parents=True, exist_ok=True)
        file = os.fdopen(os.open(self._run_folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666), "r+")
        try:
            _take(file, self._run_folder, self._report)
            _write_holder(file)
        except BaseException:
            file.close()
            raise
        self._file = file
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._file is not None  # entered
        self._file.close()


def _take(file: TextIO, run_folder: Path, report: Callable[[str], None]) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FileExistsError(
            f"{_holder(file)} is training in {run_folder}: wait for it, end it with SIGTERM, which saves, or choose "
            "another run folder"
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        report(f"the file system of {run_folder} has no locks ({error}): see that no second run uses this folder")


def _write_holder(file: TextIO) -> None:
    file.truncate(0)
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    file.write(json.dumps(holder) + "\n")
    file.flush()


def _holder(file: TextIO) -> str:
    """Who has the lock, as far as the file tells: it may be read before its holder has written."""
    try:
        holder = json.loads(file.read())
        return f"process {holder['pid']} on {holder['host']} (since {holder['since']})"
    except (ValueError, KeyError, TypeError):
        return "another process"
