"""Records in memory as tokens, for the data tests."""

import pytest

from gato.data.encoded import EncodedSource, SequenceCache


@pytest.fixture(scope="session")
def make_encoded(listed):
    """Tokens by index, as the rows see a source."""

    def make(records, name="numbers"):
        return EncodedSource(listed(name, records), lambda sequence: sequence, SequenceCache(1 << 24))

    return make
