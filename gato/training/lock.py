"""One run at a time trains in a folder.

The lock ends with the process that holds it, however that process ends: a killed run blocks nobody. Linux carries it
over NFS to every machine that mounts the folder. A file system that has no locks is reported, and the run goes on
without one.
"""

import contextlib
import errno
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from gato.files import lock_file
from gato.run_files import LOCK_FILE

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def lock_run(run_folder: Path, report: Callable[[str], None]) -> Iterator[None]:
    """Keeps every other process out of the run folder within the block; makes the folder if it is missing.

    Raises:
        FileExistsError: another run has the lock; the message names its process and machine.
        OSError: the folder cannot be written.
    """
    run_folder.mkdir(parents=True, exist_ok=True)
    path = run_folder / LOCK_FILE
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(lock_file(path))
        except BlockingIOError:
            raise FileExistsError(
                f"{_holder(path)} is training in {run_folder}: wait for it, end it with SIGTERM, which saves, or "
                "choose another run folder"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            report(f"the file system of {run_folder} has no locks ({error}): see that no second run uses this folder")
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        path.write_text(json.dumps(holder) + "\n")
        yield


def _holder(path: Path) -> str:
    """Tells who has the lock, as far as the file says: it may be read before its holder has written."""
    try:
        holder = json.loads(path.read_text())
        return f"process {holder['pid']} on {holder['host']} (since {holder['since']})"
    except (ValueError, KeyError, TypeError):
        return "another process"
