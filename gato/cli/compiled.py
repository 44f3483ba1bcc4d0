"""Compiled programs are kept between commands, so that a resumed run or a second evaluation starts at once.

Whoever can write to that folder can run code as its reader (JAX's documentation of its persistent cache says so), so it
is the user's own. It is also the machine's own: programs for one kind of processor may crash on another.
"""

import os
import socket
import stat
from pathlib import Path

import jax

_MAX_BYTES = 2 << 30  # the programs that were used longest ago go first


def keep_compiled_programs() -> None:
    """Sets JAX's cache of compiled programs, unless JAX_COMPILATION_CACHE_DIR has chosen one.

    Raises:
        PermissionError: the folder belongs to somebody else, or others may write to it.
    """
    if jax.config.values["jax_compilation_cache_dir"]:
        return
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "gato" / "compiled" / socket.gethostname()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(
            f"{folder} is to hold compiled programs, but others than you can write to it: chmod 700, or name another "
            "folder in JAX_COMPILATION_CACHE_DIR"
        )
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", _MAX_BYTES)
