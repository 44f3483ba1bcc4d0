import time

import pytest

from gato.evaluation.time_shares import TimeShares, time_spent_on


def test_time_of_an_inner_block_is_booked_there_alone():
    with TimeShares() as shares:
        with time_spent_on("outer"):
            time.sleep(0.02)
            for _ in range(2):
                with time_spent_on("inner"):
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
        with time_spent_on("work"):
            time.sleep(0.01)
            raise KeyError

    with TimeShares() as shares, pytest.raises(KeyError):
        fail()
    assert shares.seconds()["work"] >= 0.01


def test_only_the_shares_whose_block_it_is_book():
    with TimeShares() as outer:
        with TimeShares() as inner, time_spent_on("work"):
            pass
        assert list(inner.seconds()) == ["work", "elsewhere"]
    with time_spent_on("later"):
        pass
    assert list(outer.seconds()) == ["elsewhere"]
