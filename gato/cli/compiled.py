"""Compiled programs are kept between commands, so that a resumed run or a second evaluation starts at once.

Whoever can write to that folder can run code as its reader (JAX's documentation of its persistent cache says so), so it
is the user's own. It is also the machine's own: programs for one kind of processor may crash on another.
"""

import os
import socket
import stat
from pathlib import Path

_FOLDER = "JAX_COMPILATION_CACHE_DIR"
_MAX_BYTES = 2 << 30  # the programs that were used longest ago go first


def keep_compiled_programs() -> None:
    """Names JAX's cache of compiled programs, unless JAX_COMPILATION_CACHE_DIR does; must come before JAX is imported.

    Raises:
        PermissionError: the folder belongs to somebody else, or others may write to it.
    """
    if os.environ.get(_FOLDER):
        return
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "gato" / "compiled" / socket.gethostname()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(
            f"{folder} is to hold compiled programs, but others than you can write to it: chmod 700, or name another "
            f"folder in {_FOLDER}"
        )
    os.environ[_FOLDER] = str(folder)
    os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(_MAX_BYTES))
