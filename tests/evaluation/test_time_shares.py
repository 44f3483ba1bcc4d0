import time

import pytest

from gato.evaluation.time_shares import TimeShares


def test_time_of_an_inner_block_is_booked_there_alone():
    shares = TimeShares()
    with shares.of("outer"):
        time.sleep(0.02)
        for _ in range(2):
            with shares.of("inner"):
                time.sleep(0.03)
    time.sleep(0.01)
    seconds = shares.seconds()
    assert list(seconds) == ["inner", "outer", "elsewhere"]
    assert seconds["inner"] >= 0.06
    assert 0.02 <= seconds["outer"] < 0.06
    assert seconds["elsewhere"] >= 0.01
    assert "inner" in str(shares)


def test_a_block_that_fails_is_booked():
    def fail() -> None:
        with shares.of("work"):
            time.sleep(0.01)
            raise KeyError

    shares = TimeShares()
    with pytest.raises(KeyError):
        fail()
    assert shares.seconds()["work"] >= 0.01
