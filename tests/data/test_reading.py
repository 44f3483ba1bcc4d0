"""Reading what can be read of a source."""

import pytest

from gato.data.reading import readable


class Broken:
    """Ten numbers, of which two cannot be read."""

    name = "numbers"

    def __init__(self):
        self.read = []

    def __len__(self):
        return 10

    def __getitem__(self, index):
        self.read.append(index)
        if index == 3:
            raise ValueError("record 3 is no number")
        if index == 7:
            raise OSError("record 7 is torn")
        return 100 + index


def test_bad_records_are_passed_over_with_their_messages():
    problems = []
    found = list(readable(Broken(), skip_bad=True, problems=problems))
    assert found == [(index, 100 + index) for index in (0, 1, 2, 4, 5, 6, 8, 9)]
    assert problems == ["record 3 is no number", "record 7 is torn"]


def test_indices_are_read_in_their_order():
    source = Broken()
    assert list(readable(source, [8, 7, 2], skip_bad=True)) == [(8, 108), (2, 102)]
    assert source.read == [8, 7, 2]


@pytest.mark.parametrize("index, error", [(3, ValueError), (7, OSError)])
def test_a_bad_record_ends_the_reading_where_none_are_skipped(index, error):
    with pytest.raises(error, match=f"record {index}"):
        list(readable(Broken(), [1, index, 2], skip_bad=False))


def test_records_are_read_one_by_one():
    source = Broken()
    records = readable(source, skip_bad=False)
    assert next(records) == (0, 100)
    assert source.read == [0]


def test_other_errors_are_never_skipped():
    class Wrong(Broken):
        def __getitem__(self, index):
            raise KeyError(index)

    with pytest.raises(KeyError):
        list(readable(Wrong(), skip_bad=True))
