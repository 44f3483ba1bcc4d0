"""Batched trees against their spaces: members pass, and what is none is named by leaf and timestep."""

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Sequence, Text, Tuple

from gato.data.validation import check_members


@pytest.mark.parametrize(
    "space, values",
    [
        (Discrete(3, start=-1), np.array([-1, 1])),
        (MultiDiscrete([2, 3]), np.array([[0, 2], [1, 0]], np.uint8)),
        (MultiDiscrete([2, 3], start=[5, -5]), np.array([[6, -5]])),
        (MultiBinary((2, 2)), np.ones((3, 2, 2), bool)),
        (Box(0, 255, (2, 2, 3), np.uint8), np.full((1, 2, 2, 3), 255, np.uint8)),
        (Box(-np.inf, np.inf, ()), np.array([1e30, -5], np.float64)),
        (Box(-1, 1, (1,)), np.array([[1], [0]])),
        (Box(-1, 1, (0,)), np.zeros((2, 0))),
        (Text(3, min_length=0, charset="ab "), ["", "a b"]),
        (Tuple((Discrete(2), Dict({"x": Discrete(2)}))), (np.zeros(2, int), {"x": np.ones(2, int)})),
    ],
)
def test_members_of_any_space_pass(space, values):
    check_members(space, values, "x")


@pytest.mark.parametrize(
    "space, values, match",
    [
        (Discrete(3, start=-1), np.array([0, -2]), "x is -2 at timestep 1, expected a member of"),
        (Discrete(3), np.array([0.0, 1.0]), "x is float64, expected integers for Discrete"),
        (MultiDiscrete([2, 3]), np.array([[0, 2], [0, 3]]), r"x is 3 at timestep 1, element \[1\]"),
        (MultiBinary(2), np.array([[0, 2]]), r"x is 2 at timestep 0, element \[1\]"),
        (Box(-1, 1, (2,)), np.array([[0, 1.5]]), r"x is 1.5 at timestep 0, element \[1\]"),
        (Box(-np.inf, np.inf, ()), np.array([0, np.nan]), "x is nan at timestep 1"),
        (Box(-np.inf, np.inf, ()), np.array([np.inf]), "x is inf at timestep 0"),
        (Box(-1, 1, (2,)), np.zeros((3, 3)), r"x is float64 \(3, 3\), expected numbers of shape"),
        (Text(3), ["abc", "abcd"], "x is 'abcd' at timestep 1, expected 1 to 3 of the space's characters"),
        (Text(3), ["a b"], "x is 'a b' at timestep 0"),
        (Dict({"a": Dict({"b": Discrete(2)})}), {"a": {"b": np.array([2])}}, "x/a/b is 2 at timestep 0"),
        (Tuple((Discrete(2), Discrete(2))), (np.array([0]), np.array([2])), "x/1 is 2 at timestep 0"),
        (Tuple((Discrete(2),)), [np.array([0])], "x is list, expected a tuple of 1"),
    ],
)
def test_what_is_no_member_is_refused_by_leaf_and_timestep(space, values, match):
    with pytest.raises(ValueError, match=match):
        check_members(space, values, "x")


def test_a_space_that_is_not_read_is_refused():
    with pytest.raises(ValueError, match=r"x is .*Sequence"):
        check_members(Sequence(Discrete(2)), np.zeros(2, int), "x")
