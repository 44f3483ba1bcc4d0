"""Numbered tokens and records in memory, for the data tests."""

import dataclasses

import numpy as np
import pytest

from gato.data.encoded import EncodedSource, SequenceCache
from gato.tokenizer.sequence import TokenSequence


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
def make_encoded(listed):
    """Tokens by index, as the rows see a source."""

    def make(records, name="numbers"):
        return EncodedSource(listed(name, records), lambda sequence: sequence, SequenceCache(1 << 24))

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
            assert left.dtype == right.dtype, field.name
            np.testing.assert_array_equal(left, right, err_msg=field.name)

    return check
