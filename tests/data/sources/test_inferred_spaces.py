"""Spaces of columns: what JSON says, what types say, and values as they were in the batched form of their space."""

import numpy as np
import pyarrow as pa
import pytest
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Text
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gato.data.sources.inferred_spaces import infer_space, parse_space, read_leaf


@pytest.mark.parametrize(
    ("form", "space"),
    [
        ({"discrete": 7}, Discrete(7)),
        ({"discrete": {"n": 7, "start": -3}}, Discrete(7, start=-3)),
        ({"multi_discrete": [3, 5]}, MultiDiscrete([3, 5])),
        ({"multi_discrete": {"n": 11, "shape": [2, 2]}}, MultiDiscrete([[11, 11], [11, 11]])),
        ({"multi_binary": 4}, MultiBinary(4)),
        ({"multi_binary": [2, 3]}, MultiBinary([2, 3])),
        ({"box": {"low": -1, "high": 1, "shape": [3]}}, Box(-1, 1, (3,))),
        ({"box": {"low": [-1, -2], "high": 1}}, Box(np.float32([-1, -2]), np.float32([1, 1]))),
        ({"box": {"high": [1.5, 2.5]}}, Box(np.float32([-np.inf] * 2), np.float32([1.5, 2.5]))),
        ({"box": {"low": 0, "high": 9, "shape": [], "dtype": "int16"}}, Box(0, 9, (), np.int16)),
        ({"image": [84, 84, 4]}, Box(0, 255, (84, 84, 4), np.uint8)),
        ({"text": {"max_length": 5, "charset": "ab"}}, Text(5, min_length=0, charset="ab")),
    ],
)
def test_json_describes_spaces(form, space):
    assert parse_space(form, "set") == space


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (7, r"the space is 7, expected an object with one key: discrete, "),
        ({"discrete": 2, "text": 3}, r"the space is .*, expected an object with one key"),
        ({"dsicrete": 7}, r"the space is .*, expected an object with one key"),
        ({"box": 3}, r"the space is .*, expected an object with one key"),
        ({"discrete": 0}, r"cannot be made"),
        ({"discrete": {"size": 3}}, r"cannot be made"),
        ({"multi_discrete": {"n": 3}}, r"cannot be made \(KeyError\('shape'\)\)"),
        ({"box": {"low": 0, "high": 1}}, r"no shape was given: add one"),
        ({"box": {"low": 2, "high": 1, "shape": [1]}}, r"low is above high"),
        ({"box": {"low": [0, 0], "high": 1, "shape": [3]}}, r"cannot be made"),
        ({"box": {"low": 0, "shape": [3], "dtype": "int8"}}, r"integers need both bounds"),
        (
            {"box": {"low": 0, "high": 1, "shape": [3], "dtype": "object"}},
            r"dtype is 'object', expected a type of numbers",
        ),
    ],
)
def test_other_json_is_refused(form, message):
    with pytest.raises(ValueError, match=rf"^set: .*{message}"):
        parse_space(form, "set")


def nested(values):
    """An Arrow column of lists, with the array's own type innermost."""
    kind = pa.from_numpy_dtype(values.dtype)
    for _ in values.shape[1:]:
        kind = pa.list_(kind)
    return pa.array(values.tolist(), kind)


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.float64, np.bool_]),
        arrays.array_shapes(min_dims=1, max_dims=4, max_side=4),
    ),
    st.integers(0, 3),
)
def test_numbers_come_back_as_they_were_under_the_inferred_space(values, start):
    column = nested(values)
    space = infer_space(column, "set", list)
    assert space.shape == values.shape[1:]
    read = read_leaf(column, space, "set")
    np.testing.assert_array_equal(read, values.astype(space.dtype))
    if values.dtype != bool:
        assert read.dtype == values.dtype
    # A slice and a column in chunks are read alike.
    start = min(start, len(values) - 1)
    np.testing.assert_array_equal(read_leaf(column[start:], space, "set"), values[start:])
    chunks = pa.chunked_array([column[:start], column[start:]])
    np.testing.assert_array_equal(read_leaf(chunks, space, "set"), values)


@pytest.mark.parametrize("kind", [pa.list_(pa.float32(), 2), pa.large_list(pa.float32()), pa.list_(pa.float16())])
def test_every_type_of_list_is_read(kind):
    column = pa.array([np.float16([1, 2]), np.float16([3, 4])], kind)
    space = infer_space(column, "set", list)
    assert space == Box(-np.inf, np.inf, (2,), np.float32)
    assert read_leaf(column, space, "set").tolist() == [[1, 2], [3, 4]]
    assert read_leaf(column[1:], space, "set").tolist() == [[3, 4]]


def test_text_is_read_plain_and_by_dictionary():
    column = pa.array(["a", "é", "a"])
    space = infer_space(column, "set", list)
    assert isinstance(space, Text)
    assert read_leaf(column, space, "set") == ["a", "é", "a"]
    assert read_leaf(column.dictionary_encode(), space, "set") == ["a", "é", "a"]


def test_bytes_are_pictures_and_byte_arrays_with_channels_too():
    pixels = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)
    assert infer_space(nested(pixels), "set", list) == Box(0, 255, (4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match=r"^set: timestep 0: the picture cannot be decoded"):
        infer_space(pa.array([b"png"]), "set", list)


def test_integers_report_the_values_of_the_whole_column():
    column = nested(np.array([[1, 2]]))
    with pytest.raises(
        ValueError, match=r"^set holds int64 of shape \(2,\), .*\(found: -3 to 9\): declare .*'shape': \[2\]"
    ):
        infer_space(column, "set", lambda: [column, nested(np.array([[-3, 0], [9, 1]]))])


@pytest.mark.parametrize(
    ("values", "space", "message"),
    [
        (pa.array([0, 1, 7]), Discrete(7), r"is 7 at timestep 2, expected a member of Discrete\(7\)"),
        (pa.array([0, -1]), Discrete(7), r"is -1 at timestep 1"),
        (pa.array([[0, 1], [5, 0]]), MultiDiscrete([5, 5]), r"is 5 at timestep 1"),
        (pa.array([[0, 2]]), MultiBinary(2), r"is 2 at timestep 0"),
        (pa.array([300]), Box(0, 255, (), np.uint8), r"is 300 at timestep 0"),
        (pa.array([0.5]), Discrete(7), r"holds float64, expected whole numbers"),
        (pa.array([0.5]), Box(0, 9, (), np.int32), r"holds float64, expected whole numbers"),
        (pa.array([[1.0]]), Box(0, 1, (2,)), r"has values of shape \(1,\), expected \(2,\)"),
        (pa.array([["a"]]), Box(0, 1, (1,)), r"is string, expected numbers"),
        (pa.array(["a", None]), Text(3), r"holds 1 missing values, the first at 1"),
        (pa.array([1.0]), Text(3), r"is double, expected strings"),
        (pa.array([[1.0, 2.0], [1.0]]), Box(0, 1, (2,)), r"holds lists of 1 to 2 values, expected one length"),
    ],
)
def test_values_that_do_not_fit_are_refused(values, space, message):
    with pytest.raises(ValueError, match=rf"^set {message}"):
        read_leaf(values, space, "set")


def test_a_vector_of_one_number_may_be_stored_as_the_number():
    assert read_leaf(pa.array([1.0, 2.0]), Box(0, 9, (1,)), "set").shape == (2, 1)
    assert read_leaf(pa.array([[1], [2]]), Discrete(3), "set").shape == (2,)
