import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from gato.evaluation.stacking import stack_members

NESTED = spaces.Dict(
    {
        "mission": spaces.Text(max_length=20),
        "camera": spaces.Box(0, 255, (2, 3, 3), np.uint8),
        "rest": spaces.Tuple((spaces.Discrete(5, start=-2), spaces.MultiBinary(3), spaces.MultiDiscrete([2, 3]))),
    }
)


def test_nested_members_are_stacked_leaf_by_leaf():
    NESTED.seed(0)
    members = [NESTED.sample() for _ in range(4)]
    stacked = stack_members(NESTED, members)
    assert stacked["mission"] == [member["mission"] for member in members]
    assert stacked["camera"].shape == (4, 2, 3, 3)
    assert stacked["camera"].dtype == np.uint8
    number, bits, pair = stacked["rest"]
    for t, member in enumerate(members):
        np.testing.assert_array_equal(stacked["camera"][t], member["camera"])
        assert number[t] == member["rest"][0]
        np.testing.assert_array_equal(bits[t], member["rest"][1])
        np.testing.assert_array_equal(pair[t], member["rest"][2])


def test_plain_numbers_take_the_dtype_of_the_space():
    assert stack_members(spaces.Discrete(3), [0, 2, 1]).dtype == np.int64
    assert stack_members(spaces.Box(-1, 1, (2,), np.float32), [[0.5, 1.0]]).dtype == np.float32


def test_stacking_no_members_keeps_the_leaf_shape():
    assert stack_members(spaces.Box(-1, 1, (2, 3)), []).shape == (0, 2, 3)


def test_members_of_varying_size_are_refused():
    space: gym.Space = spaces.Dict({"list": spaces.Sequence(spaces.Discrete(2))})
    with pytest.raises(TypeError, match="cannot stack members of Sequence"):
        stack_members(space, [{"list": (0, 1)}])
