import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import concatenate, create_empty_array

from gato.inference.vector import entry, is_batched, split, stack

SPACES = [
    spaces.Discrete(3),
    spaces.Box(-1, 1, (2, 3)),
    spaces.MultiBinary(4),
    spaces.Text(5),
    spaces.Tuple((spaces.Text(5), spaces.Discrete(2))),
    spaces.Dict(a=spaces.Tuple((spaces.Box(0, 1, (1,)), spaces.Text(3))), b=spaces.Discrete(4)),
]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: type(space).__name__)
def test_entries_of_a_batch_are_its_members(space):
    members = [space.sample() for _ in range(3)]
    batched = stack(members)
    for index, member in enumerate(members):
        np.testing.assert_equal(entry(batched, index), member)
        assert not is_batched(space, member)
    assert is_batched(space, batched)


@pytest.mark.parametrize("space", [*SPACES, spaces.Dict()], ids=lambda space: type(space).__name__)
def test_a_batch_splits_into_its_members_as_stacked_here_and_by_gymnasium(space):
    members = [space.sample() for _ in range(3)]
    np.testing.assert_equal(split(space, stack(members), 3), members)
    np.testing.assert_equal(split(space, concatenate(space, members, create_empty_array(space, 3)), 3), members)


def test_a_batch_of_another_number_or_nesting_is_refused():
    space = spaces.Dict(goal=spaces.Text(5), speed=spaces.Box(-1, 1, (3,)))
    batched = stack([space.sample() for _ in range(2)])
    with pytest.raises(ValueError, match=r"observation/goal has 2 values, expected 3: one for each environment"):
        split(space, batched, 3)
    with pytest.raises(ValueError, match=r"observation/goal is str without a batch, expected 3 values"):
        split(space, {**batched, "goal": "abc"}, 3)
    with pytest.raises(ValueError, match=r"observation has keys \['goal'\]"):
        split(space, {"goal": ["a", "b"]}, 2)
    with pytest.raises(ValueError, match=r"observation has keys \['speed'\]"):
        is_batched(space, {"speed": batched["speed"]})
    with pytest.raises(ValueError, match="observation has keys ndarray"):
        is_batched(space, np.zeros(3))
