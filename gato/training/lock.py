"""One run at a time trains in a folder.

The lock ends with the process that holds it, however that process ends: a killed run blocks nobody. Linux carries it
over NFS to every machine that mounts the folder. A file system that has no locks is reported, and the run goes on
without one.
"""

import errno
import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self, TextIO

from gato.files import lock_file
from gato.run_files import LOCK_FILE

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
        path = self._run_folder / LOCK_FILE
        try:
            self._file = lock_file(path)
        except BlockingIOError:
            raise FileExistsError(
                f"{_holder(path)} is training in {self._run_folder}: wait for it, end it with SIGTERM, which saves, or "
                "choose another run folder"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            self._report(
                f"the file system of {self._run_folder} has no locks ({error}): see that no second run uses this folder"
            )
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        try:
            path.write_text(json.dumps(holder) + "\n")
        except OSError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        if self._file is not None:
            self._file.close()


def _holder(path: Path) -> str:
    """Tells who has the lock, as far as the file says: it may be read before its holder has written."""
    try:
        holder = json.loads(path.read_text())
        return f"process {holder['pid']} on {holder['host']} (since {holder['since']})"
    except (ValueError, KeyError, TypeError):
        return "another process"
