"""Scales of continuous leaves: which bin a value gets, what comes back, and whose a scale is."""

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from gato.config import FieldScale, TokenizerConfig
from gato.tokenizer.spaces import TimestepTokenizer

CONFIG = TokenizerConfig()
STATE = spaces.Dict(
    {"pixels": spaces.Box(0, 255, (16, 16, 3), np.uint8), "state": spaces.Box(-np.inf, np.inf, (2,), np.float32)}
)
BUTTON = spaces.Discrete(2)


def scale(path, low, high):
    return FieldScale(path=path, low=tuple(low), high=tuple(high))


def observed_bins(values, low, high, space=None):
    """Bins of one observed vector."""
    space = spaces.Box(-np.inf, np.inf, (len(low),), np.float32) if space is None else space
    tokenizer = TimestepTokenizer(space, BUTTON, CONFIG, fields=[scale("observation", low, high)])
    tokens = tokenizer.encode_observation(np.array(values, space.dtype)).tokens[:-1]
    return (tokens - CONFIG.continuous_ids.start).tolist()


def acting(space, low, high):
    return TimestepTokenizer(spaces.Discrete(3), space, CONFIG, fields=[scale("action", low, high)])


def test_low_and_high_are_the_first_and_the_last_bin_and_what_lies_beyond_too():
    low, high = [0.0] * 5, [10.0] * 5
    assert observed_bins([0, 10, 5, -3, 99], low, high) == [0, 1023, 512, 0, 1023]
    assert observed_bins([0.25] * 2, [0, 0], [1, 0.5]) == [256, 512]  # each element by its own span


def test_only_the_leaf_that_is_named_is_scaled():
    state = {"pixels": np.zeros((16, 16, 3), np.uint8), "state": np.array([99, 101], np.float32)}
    plain = TimestepTokenizer(STATE, BUTTON, CONFIG).encode_observation(state)
    fields = [scale("observation/state", [99, 99], [101, 101])]
    scaled = TimestepTokenizer(STATE, BUTTON, CONFIG, fields=fields).encode_observation(state)
    differ = np.flatnonzero(plain.tokens != scaled.tokens)
    assert differ.tolist() == [1, 2]
    assert (scaled.tokens[1:3] - CONFIG.continuous_ids.start).tolist() == [0, 1023]


@given(
    low=st.floats(-1e6, 1e6),
    width=st.floats(1e-3, 1e6),
    share=st.floats(0, 1),
    bounds=st.sampled_from([(-np.inf, np.inf), (-2e7, 2e7)]),
)
def test_actions_come_back_within_half_a_bin_of_their_span(low, width, share, bounds):
    space = spaces.Box(*bounds, (1,), np.float64)
    tokenizer = acting(space, [low], [low + width])
    action = np.array([low + share * width])
    decoded = tokenizer.decode_action(tokenizer.encode_action(action))
    assert abs(decoded[0] - action[0]) <= width / CONFIG.num_bins * 0.5000001 + 1e-9
    assert space.contains(decoded)


@pytest.mark.parametrize("token", [0, 511, 1023])
def test_decoded_actions_lie_in_the_span_and_in_the_space(token):
    space = spaces.Box(-1, 1, (2,), np.float32)
    ids = np.full(2, CONFIG.continuous_ids.start + token)
    decoded = acting(space, [0.25, -4.0], [0.5, 4.0]).decode_action(ids)
    assert space.contains(decoded)
    assert 0.25 <= decoded[0] <= 0.5


@pytest.mark.parametrize("value", [0.1, -7.3, 1e9, 0.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_is_the_centre_bin_and_comes_back_as_it_was(value, dtype):
    space = spaces.Box(-np.inf, np.inf, (1,), dtype)
    constant = float(dtype(value))
    tokenizer = acting(space, [constant], [constant])
    for action in (constant, constant + 5):
        assert tokenizer.encode_action(np.array([action], dtype)) == CONFIG.continuous_ids.start + 512
    assert tokenizer.decode_action([CONFIG.continuous_ids.start + 3]) == dtype(value)
    # A span that the space's dtype cannot hold counts as its values do.
    assert observed_bins([value], [value], [value], spaces.Box(-np.inf, np.inf, (1,), np.float32)) == [512]


def test_whole_numbers_are_scaled_and_rounded():
    tokenizer = acting(spaces.Box(0, 100_000, (1,), np.int32), [100.0], [200.0])
    for value, expected in ((100, 100), (151, 151), (200, 200), (5, 100), (90_000, 200)):
        decoded = tokenizer.decode_action(tokenizer.encode_action(np.array([value], np.int32)))
        assert (decoded.dtype, decoded[0]) == (np.int32, expected)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([scale("observation/stat", [0, 0], [1, 1])], "no continuous leaf .*: did you mean 'observation/state'"),
        ([scale("qqq", [0], [1])], r"fields scale 'qqq', which .*: those are \['observation/state'\]"),
        ([scale("observation/pixels", [0], [1])], "scale 'observation/pixels', which is no continuous leaf"),
        ([scale("action", [0], [1])], "scale 'action', which is no continuous leaf"),
        ([scale("observation/state", [0], [1])], "observation/state has 2 elements, but its scale has 1"),
        ([scale("observation/state", [0, 0], [1, 1])] * 2, "fields must be of different paths"),
    ],
)
def test_scales_of_other_spaces_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        TimestepTokenizer(STATE, BUTTON, CONFIG, fields=fields)
