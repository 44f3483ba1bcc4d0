"""Makes JAX strict for every test: implicit rank promotion raises. One CPU device; tests of more start processes.

Compiled programs are kept for the session, in a folder of its own: many tests, and the processes that they start,
compile the same ones.
"""

import os
import shutil
import signal
import tempfile

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="gato-compiled-")
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")
# What runs in the background may ignore Ctrl-C and a closed terminal, and hands that on; runs heed what is not ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Deletes the programs of the session."""
    shutil.rmtree(os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
