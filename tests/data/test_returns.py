"""The paper's return filter, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato.data.returns import MAX_WINDOW, expert_return, good_episodes


@pytest.mark.parametrize(
    "returns, expected",
    [
        ([3.0], 3.0),
        ([1.0, 5.0, 2.0], 5.0),  # fewer than ten: windows of one
        ([0.0] * 10 + [4.0, 6.0] + [1.0] * 8, 5.0),  # twenty: the best two neighbours
        ([9.0, 0.0] * 10, 4.5),  # never two good ones together
        ([-8.0, -2.0, -4.0], -2.0),
    ],
)
def test_expert_return_is_the_best_tenth_in_a_row(returns, expected):
    assert expert_return(np.array(returns)) == expected


def test_the_window_does_not_grow_for_ever():
    returns = np.zeros(30 * MAX_WINDOW)
    returns[5 : 5 + MAX_WINDOW] = 7
    assert expert_return(returns) == 7


def test_good_is_within_a_share_of_the_expert():
    assert good_episodes(np.array([100.0, 80.0, 79.9]), 0.8).tolist() == [True, True, False]
    assert good_episodes(np.array([-100.0, -120.0, -120.1]), 0.8).tolist() == [True, True, False]
    assert good_episodes(np.array([0.0, -0.1]), 0.8).tolist() == [True, False]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9), st.floats(0, 1))
def test_the_best_of_few_episodes_is_always_good(returns, share):
    values = np.array(returns)
    assert good_episodes(values, share)[values.argmax()]
