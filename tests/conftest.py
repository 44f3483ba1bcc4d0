"""Makes JAX strict for every test: implicit rank promotion raises. One CPU device; tests of more start processes.

Compiled programs are kept for the session, in a folder of its own: many tests, and the processes that they start,
compile the same ones.
"""

import dataclasses
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
import numpy as np
import pytest

from gato.config import TokenizerConfig
from gato.tokenizer.sequence import TokenSequence
from gato.tokenizer.text import TextTokenizer

jax.config.update("jax_numpy_rank_promotion", "raise")
# What runs in the background may ignore Ctrl-C and a closed terminal, and hands that on; runs heed what is not ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Deletes the programs of the session."""
    shutil.rmtree(os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)


_TEXTS = [
    "go to the red ball\nthen pick up the green key",
    "a blue box next to the grey door, and a yellow ball behind it",
    "What colour is the ball? The ball is red.",
    "open the door that is left of the key; put the ball next to the box",
]


class _Listed:
    """Records in a list, as a source."""

    def __init__(self, name, records):
        self.name, self._records = name, records

    def __len__(self):
        return len(self._records)

    def __getitem__(self, index):
        return self._records[index]


@pytest.fixture(scope="session")
def text():
    """A small text tokenizer."""
    return TextTokenizer.train(_TEXTS, 300)


@pytest.fixture(scope="session")
def config(text):
    """A tokenizer config of its size."""
    return TokenizerConfig(text_vocab_size=text.vocab_size, patch_size=4)


@pytest.fixture(scope="session")
def listed():
    return _Listed


@pytest.fixture(scope="session")
def make_tokens():
    """Timesteps of the given lengths, tokens numbered from `first_token` on, patches at the given tokens."""

    def make(lengths, patches_at=(), *, first_token=0, patch_size=1):
        n, p = sum(lengths), len(patches_at)
        return TokenSequence(
            tokens=first_token + np.arange(n, dtype=np.int32),
            local_positions=np.arange(n, dtype=np.int32) * 2,
            loss_mask=np.ones(n, bool),
            changed_mask=np.arange(n) % 3 == 0,
            patches=np.broadcast_to(
                np.arange(p, dtype=np.uint8).reshape(p, 1, 1, 1), (p, patch_size, patch_size, 3)
            ).copy(),
            patch_indices=np.array(patches_at, np.int32),
            patch_intervals=np.arange(4 * p, dtype=np.int32).reshape(p, 4),
            starts=np.cumsum([0, *lengths]),
        )

    return make


@pytest.fixture(scope="session")
def assert_same():
    """Whether two dataclasses of arrays (tokens, batches) agree in every value and dtype."""

    def check(a, b):
        assert type(a) is type(b)
        for field in dataclasses.fields(a):
            left, right = getattr(a, field.name), getattr(b, field.name)
            if left is None or right is None:
                assert left is right, field.name
                continue
            if dataclasses.is_dataclass(left):
                check(left, right)
                continue
            assert left.dtype == right.dtype, field.name
            np.testing.assert_array_equal(left, right, err_msg=field.name)

    return check
