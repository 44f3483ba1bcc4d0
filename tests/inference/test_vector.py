import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, iterate

from gato.inference.vector import is_batched, split, stack

SPACES = [
    spaces.Discrete(3),
    spaces.Box(-1, 1, (2, 3)),
    spaces.MultiBinary(4),
    spaces.Text(5),
    spaces.Tuple((spaces.Text(5), spaces.Discrete(2))),
    spaces.Dict(a=spaces.Tuple((spaces.Box(0, 1, (1,)), spaces.Text(3))), b=spaces.Discrete(4)),
]


@pytest.mark.parametrize("space", [*SPACES, spaces.Dict()], ids=lambda space: type(space).__name__)
def test_a_batch_splits_into_its_members(space):
    members = [space.sample() for _ in range(3)]
    np.testing.assert_equal(split(space, stack(space, members), 3), members)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: type(space).__name__)
def test_a_batch_is_told_from_a_member_and_is_one_of_gymnasium(space):
    members = [space.sample() for _ in range(3)]
    batched = stack(space, members)
    assert is_batched(space, batched)
    assert not any(is_batched(space, member) for member in members)
    assert batch_space(space, 3).contains(batched)
    np.testing.assert_equal(list(iterate(batch_space(space, 3), batched)), members)


def test_texts_of_a_batch_may_be_a_list_as_minari_has_them():
    space = spaces.Dict(goal=spaces.Text(5), speed=spaces.Discrete(3))
    batched = {"goal": ["a", "b"], "speed": [1, 2]}
    assert split(space, batched, 2) == [{"goal": "a", "speed": 1}, {"goal": "b", "speed": 2}]


def test_a_batch_of_another_number_or_nesting_is_refused():
    space = spaces.Dict(goal=spaces.Text(5), speed=spaces.Box(-1, 1, (3,)))
    batched = stack(space, [space.sample() for _ in range(2)])
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
