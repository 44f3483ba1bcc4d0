"""The split of a source, and which of its episodes are trained on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gato.config import SourceConfig
from gato.data.episode import Episode
from gato.data.split import split_records, spread, training_records


@settings(deadline=None)
@given(num_records=st.integers(1, 300), fraction=st.floats(0, 1, exclude_max=True))
def test_a_split_is_disjoint_and_covers_every_record(num_records, fraction):
    held_out = split_records(num_records, fraction, held_out=True).tolist()
    trained_on = split_records(num_records, fraction, held_out=False).tolist()
    assert sorted(held_out + trained_on) == list(range(num_records))
    assert held_out == sorted(held_out)
    assert trained_on == sorted(trained_on)


@pytest.mark.parametrize(
    "num_records, fraction, expected",
    [(10, 0.0, 0), (10, 0.001, 1), (10, 0.24, 2), (10, 0.99, 9), (2, 0.9, 1), (1, 0.5, 0), (500, 0.02, 10)],
)
def test_a_fraction_above_zero_holds_out_at_least_one_record_but_never_all(num_records, fraction, expected):
    assert len(split_records(num_records, fraction, held_out=True)) == expected


@given(num_records=st.integers(2, 100), fraction=st.floats(0, 0.9), more=st.floats(0, 0.09))
def test_what_a_fraction_holds_out_a_larger_one_holds_out_too(num_records, fraction, more):
    small, large = (
        set(split_records(num_records, each, held_out=True).tolist()) for each in (fraction, fraction + more)
    )
    assert small <= large


def test_a_split_lasts():
    # Written down, since a split that changes would let what old checkpoints trained on into their held-out loss.
    assert split_records(10, 0.3, held_out=True).tolist() == [1, 2, 3]
    assert split_records(100, 0.05, held_out=True).tolist() == [55, 56, 59, 63, 96]


def test_a_split_does_not_take_the_first_or_last_records_only():
    held_out = split_records(1000, 0.1, held_out=True)
    assert np.abs(np.histogram(held_out, bins=4, range=(0, 1000))[0] - 25).max() < 20


def test_split_groups_stay_together_and_the_fraction_is_one_of_names():
    groups = [f"emoji {index // 3}" for index in range(60)]
    held_out = split_records(60, 0.2, held_out=True, split_groups=groups)
    trained_on = split_records(60, 0.2, held_out=False, split_groups=groups)
    assert sorted([*held_out, *trained_on]) == list(range(60))
    assert len(held_out) == 12
    assert not {groups[index] for index in held_out} & {groups[index] for index in trained_on}


@pytest.fixture
def make_episodes():
    """Makes a source of episodes of one timestep and of the given returns; an error is raised in its place."""

    class Watched:
        name = "toy"

        def __init__(self, returns):
            self._returns, self.read = returns, set()

        def __len__(self):
            return len(self._returns)

        def __getitem__(self, index):
            self.read.add(index)
            if isinstance(self._returns[index], Exception):
                raise self._returns[index]
            zeros = np.zeros(1)
            rewards = np.array([self._returns[index]])
            return Episode(observations=zeros, actions=zeros, rewards=rewards, terminated=True, truncated=False)

    return Watched


def test_episodes_are_trained_on_that_are_neither_held_out_nor_below_min_return(make_episodes):
    returns = [float(i % 2) for i in range(20)]
    source = SourceConfig(name="toy", kind="minari", path="", held_out=0.25)
    trained = split_records(20, 0.25, held_out=False)
    episodes = make_episodes(returns)
    assert training_records(episodes, source).tolist() == trained.tolist()
    assert not episodes.read
    filtered = SourceConfig(name="toy", kind="minari", path="", held_out=0.25, min_return=0.8)
    expected = [index for index in trained.tolist() if returns[index] == 1]
    assert training_records(episodes, filtered).tolist() == expected
    assert episodes.read == set(range(20))
    again = make_episodes(returns)
    assert training_records(again, filtered, np.array(returns)).tolist() == expected
    assert not again.read


def test_bad_episodes_stop_the_filter_or_are_not_trained_on(make_episodes):
    episodes = make_episodes([1.0, 1.0, OSError("torn"), 1.0])
    source = SourceConfig(name="toy", kind="minari", path="", held_out=0, min_return=0.5)
    with pytest.raises(OSError, match="torn"):
        training_records(episodes, source)
    skipping = SourceConfig(name="toy", kind="minari", path="", held_out=0, min_return=0.5, bad_records="skip")
    assert training_records(episodes, skipping).tolist() == [0, 1, 3]


@pytest.mark.parametrize("most, expected", [(1, [10]), (2, [10, 14]), (3, [10, 12, 14]), (9, [10, 11, 12, 13, 14])])
def test_indices_are_spread_evenly(most, expected):
    assert spread(np.arange(10, 15), most).tolist() == expected
