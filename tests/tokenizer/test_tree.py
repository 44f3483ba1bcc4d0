"""Nested spaces: the paper's order, and nesting as an inverse."""

import pytest
from gymnasium.spaces import Dict, Discrete, Tuple

from gato.tokenizer.tree import flatten, leaf_spaces, unflatten

SPACE = Dict(
    {"b": Discrete(2), "a": Tuple((Discrete(3), Dict({"z": Discrete(4), "y": Discrete(5)}))), "B": Discrete(6)}
)


def test_leaves_come_depth_first_with_keys_in_lexicographic_order():
    leaves = [(path, int(space.n)) for path, space in leaf_spaces(SPACE, "observation")]
    assert leaves == [
        ("observation/B", 6),
        ("observation/a/0", 3),
        ("observation/a/1/y", 5),
        ("observation/a/1/z", 4),
        ("observation/b", 2),
    ]


def test_flatten_follows_the_order_of_the_leaves_whatever_the_order_of_the_keys():
    value = {"a": (30, {"y": 50, "z": 40}), "b": 20, "B": 60}
    assert flatten(SPACE, value, "observation") == [60, 30, 50, 40, 20]
    assert flatten(SPACE, dict(reversed(value.items())), "observation") == [60, 30, 50, 40, 20]


def test_unflatten_inverts_flatten():
    value = {"a": (30, {"y": 50, "z": 40}), "b": 20, "B": 60}
    assert unflatten(SPACE, iter(flatten(SPACE, value, "observation"))) == value


def test_a_space_without_branches_is_its_own_leaf():
    assert leaf_spaces(Discrete(2), "action") == [("action", Discrete(2))]
    assert flatten(Discrete(2), 1, "action") == [1]


@pytest.mark.parametrize(
    "value, match",
    [
        ({"a": 0, "b": 0}, r"observation has keys \['a', 'b'\], expected \['B', 'a', 'b'\]"),
        ({"a": 0, "b": 0, "B": 0, "c": 0}, "observation has keys"),
        (5, "observation has keys int"),
        ({"a": (0,), "b": 0, "B": 0}, "observation/a has 1 entries, expected a tuple of 2"),
        ({"a": 7, "b": 0, "B": 0}, "observation/a has int, expected a tuple of 2"),
        ({"a": (0, {"y": 1}), "b": 0, "B": 0}, r"observation/a/1 has keys \['y'\]"),
    ],
    ids=["missing", "extra", "no-dict", "short", "no-tuple", "deep"],
)
def test_a_value_nested_otherwise_is_refused_by_name(value, match):
    with pytest.raises(ValueError, match=match):
        flatten(SPACE, value, "observation")
