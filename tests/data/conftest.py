"""Numbered elements and records in memory, a small text tokenizer and a config of its size, for the data tests."""

import dataclasses

import numpy as np
import pytest

from gato.config import TokenizerConfig
from gato.data.encoded import ElementsCache, EncodedSource
from gato.tokenizer.elements import Elements
from gato.tokenizer.text import TextTokenizer

TEXTS = [
    "go to the red ball\nthen pick up the green key",
    "a blue box next to the grey door, and a yellow ball behind it",
    "What colour is the ball? The ball is red.",
    "open the door that is left of the key; put the ball next to the box",
]


class Listed:
    """Records in a list, as a source."""

    def __init__(self, name, records):
        self.name, self._records = name, records

    def __len__(self):
        return len(self._records)

    def __getitem__(self, index):
        return self._records[index]


@pytest.fixture(scope="session")
def text():
    return TextTokenizer.train(TEXTS, 300)


@pytest.fixture(scope="session")
def config(text):
    return TokenizerConfig(text_vocab_size=text.vocab_size, patch_size=4)


@pytest.fixture(scope="session")
def listed():
    return Listed


@pytest.fixture(scope="session")
def make_elements():
    """Timesteps of the given lengths, tokens numbered from `first_token` on, patches at the given elements."""

    def make(lengths, patches_at=(), *, first_token=0, patch_size=1):
        n, p = sum(lengths), len(patches_at)
        return Elements(
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
def make_encoded():
    """Elements by index, as the rows see a source."""

    def make(records, name="numbers"):
        return EncodedSource(Listed(name, records), lambda elements: elements, ElementsCache(1 << 24))

    return make


@pytest.fixture(scope="session")
def assert_same():
    """Whether two dataclasses of arrays (elements, batches) agree in every value and dtype."""

    def check(a, b):
        assert type(a) is type(b)
        for field in dataclasses.fields(a):
            left, right = getattr(a, field.name), getattr(b, field.name)
            if left is None or right is None:
                assert left is right, field.name
                continue
            assert left.dtype == right.dtype, field.name
            np.testing.assert_array_equal(left, right, err_msg=field.name)

    return check
