"""Actions: whatever legal ids are drawn, a member of the space comes out; and close to what went in."""

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from gato.config import TokenizerConfig
from gato.tokenizer.spaces import TimestepTokenizer

CONFIG = TokenizerConfig()
EYES = spaces.Discrete(2)


def tokenizer_for(action_space, text=None, config=CONFIG):
    return TimestepTokenizer(EYES, action_space, config, text)


# Random spaces

shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@st.composite
def multi_discretes(draw):
    shape = draw(st.lists(st.integers(1, 3), min_size=1, max_size=2).map(tuple))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return spaces.MultiDiscrete(rng.integers(1, 1025, shape), start=rng.integers(-(10**6), 10**6, shape))


@st.composite
def float_boxes(draw):
    dtype = np.dtype(draw(st.sampled_from(["float16", "float32", "float64"])))
    shape = draw(shapes)
    limits = np.finfo(dtype)
    bound = st.one_of(
        st.sampled_from([-np.inf, np.inf, float(limits.min), float(limits.max), 0.0, 1.0, -1.0, float(limits.tiny)]),
        st.floats(-1000, 1000, width=16),
        st.floats(allow_nan=False, allow_infinity=False, width=8 * dtype.itemsize),
    )
    size = int(np.prod(shape))
    pairs = [sorted(draw(st.tuples(bound, bound))) for _ in range(size)]
    low = np.array([a if a < np.inf else 0.0 for a, _ in pairs], dtype).reshape(shape)
    high = np.array([b if b > -np.inf and a < np.inf else max(0.0, a if a < np.inf else 0.0) for a, b in pairs], dtype)
    return spaces.Box(low, high.reshape(shape), dtype=dtype)


@st.composite
def integer_boxes(draw):
    dtype = np.dtype(draw(st.sampled_from(["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])))
    shape = draw(shapes)
    limits = np.iinfo(dtype)
    bound = st.one_of(
        st.sampled_from([limits.min, limits.max]),
        st.integers(limits.min, limits.max),
        st.integers(0, 100),
    )
    pairs = [sorted(draw(st.tuples(bound, bound))) for _ in range(int(np.prod(shape)))]
    low = np.array([a for a, _ in pairs], dtype).reshape(shape)
    high = np.array([b for _, b in pairs], dtype).reshape(shape)
    return spaces.Box(low, high, dtype=dtype)


@st.composite
def texts(draw):
    shortest = draw(st.integers(0, 8))
    charset = draw(st.sets(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
    return spaces.Text(shortest + draw(st.integers(0, 20)), min_length=shortest, charset=frozenset(charset))


leaves = st.one_of(
    st.builds(lambda n, start: spaces.Discrete(n, start=start), st.integers(1, 1024), st.integers(-(2**40), 2**40)),
    st.sampled_from(["uint8", "int16", "int32"]).map(lambda dtype: spaces.Discrete(100, start=3, dtype=dtype)),
    multi_discretes(),
    st.lists(st.integers(1, 3), min_size=1, max_size=2).map(lambda shape: spaces.MultiBinary(tuple(shape))),
    shapes.map(lambda shape: spaces.Box(np.zeros(shape, bool), np.ones(shape, bool), dtype=bool)),
    float_boxes(),
    integer_boxes(),
    texts(),
)
nested = st.recursive(
    leaves,
    lambda children: st.one_of(
        st.lists(children, max_size=3).map(lambda entries: spaces.Tuple(tuple(entries))),
        st.dictionaries(st.text("abZ_", min_size=1, max_size=3), children, max_size=3).map(spaces.Dict),
    ),
    max_leaves=5,
)
any_space = nested.map(lambda space: spaces.Tuple((space, spaces.Discrete(3))))  # never without a token


def draw_ids(ranges, seed):
    """Legal ids, the outermost ones often."""
    rng = np.random.default_rng(seed)
    inner = rng.integers(ranges[:, 0], ranges[:, 1])
    choice = rng.integers(0, 4, len(ranges))
    return np.select([choice == 0, choice == 1], [ranges[:, 0], ranges[:, 1] - 1], inner)


@settings(deadline=None, max_examples=300)
@given(space=any_space, seed=st.integers(0, 2**32))
def test_any_legal_ids_decode_to_a_member_of_the_space(text, config, space, seed):
    tokenizer = tokenizer_for(space, text, config)
    ranges = tokenizer.action_ranges
    assert ranges.shape == (tokenizer.num_action_tokens, 2)
    assert ranges.dtype == np.int32
    for offset in range(3):
        ids = draw_ids(ranges, seed + offset)
        action = tokenizer.decode_action(ids)
        assert space.contains(action)
        for leaf in _arrays(action):
            assert not isinstance(leaf, np.ndarray) or np.isfinite(leaf.astype(np.float64)).all()


@settings(deadline=None, max_examples=100)
@given(space=any_space, seed=st.integers(0, 2**32))
def test_any_member_encodes_to_legal_ids_alone_and_in_an_episode(text, space, seed):
    config = TokenizerConfig(text_vocab_size=text.vocab_size, text_action_tokens=200)
    tokenizer = tokenizer_for(space, text, config)
    ranges = tokenizer.action_ranges
    actions = [tokenizer.decode_action(draw_ids(ranges, seed + offset)) for offset in range(3)]
    rows = np.stack([tokenizer.encode_action(action) for action in actions])
    assert (rows >= ranges[:, 0]).all()
    assert (rows < ranges[:, 1]).all()
    episode = tokenizer.encode_episode(np.zeros(3, int), batch(space, actions))
    assert episode.tokens.reshape(3, -1)[:, 2:].tolist() == rows.tolist()


@settings(deadline=None, max_examples=100)
@given(space=any_space, seed=st.integers(0, 2**32))
def test_any_observation_is_encoded_alone_as_in_an_episode(text, space, seed):
    config = TokenizerConfig(text_vocab_size=text.vocab_size, local_position_size=4096)
    source = tokenizer_for(space, text, config)
    observations = [source.decode_action(draw_ids(source.action_ranges, seed + offset)) for offset in range(3)]
    tokenizer = TimestepTokenizer(space, spaces.Discrete(2), config, text)
    episode = tokenizer.encode_episode(batch(space, observations), np.array([0, 1]), terminal_observation=True)
    for t, observation in enumerate(observations):
        alone, part = tokenizer.encode_observation(observation), episode.timesteps(t, t + 1)
        assert part.tokens[: len(alone)].tolist() == alone.tokens.tolist()
        assert part.local_positions[: len(alone)].tolist() == alone.local_positions.tolist()
        assert len(part) == len(alone) + (t < 2)


def batch(space, values):
    """Values stacked as Minari stores them."""
    if isinstance(space, spaces.Dict):
        return {key: batch(child, [value[key] for value in values]) for key, child in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(batch(child, [value[i] for value in values]) for i, child in enumerate(space.spaces))
    return list(values) if isinstance(space, spaces.Text) else np.stack(values)


def _arrays(value):
    if isinstance(value, dict):
        value = tuple(value.values())
    return [leaf for child in value for leaf in _arrays(child)] if isinstance(value, tuple) else [value]


# Precision


@settings(deadline=None, max_examples=200)
@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.floats(0, 1))
def test_bounded_actions_come_back_within_half_a_bin(low, span, share):
    space = spaces.Box(np.array([low]), np.array([low + span]), dtype=np.float64)
    tokenizer = tokenizer_for(space)
    action = np.clip(low + share * span, space.low, space.high)
    decoded = tokenizer.decode_action(tokenizer.encode_action(action))
    assert abs(decoded - action)[0] <= span / 2048 * (1 + 1e-6) + 1e-9


@pytest.mark.parametrize(
    "space", [spaces.Box(-2, 6, (3,)), spaces.Box(-np.inf, np.inf, (3,))], ids=["linear", "mu-law"]
)
def test_every_bin_and_its_neighbours_are_their_own_decodings(space):
    tokenizer = tokenizer_for(space)
    low, high = CONFIG.continuous_ids.start, CONFIG.continuous_ids.stop
    for bin_id in range(low, high):
        ids = np.clip([bin_id - 1, bin_id, bin_id + 1], low, high - 1)
        assert tokenizer.encode_action(tokenizer.decode_action(ids)).tolist() == ids.tolist()


def test_bounded_actions_are_scaled_linearly():
    tokenizer = tokenizer_for(spaces.Box(np.array([0, -2]), np.array([10, 2]), dtype=np.float64))
    assert tokenizer.encode_action(np.array([5.0, 1.0])).tolist() == [32_512, 32_768]
    # Centres: 5 + 10 / 2048 and 1 + 4 / 2048.
    assert tokenizer.decode_action([32_512, 32_768]).tolist() == pytest.approx([5.0048828125, 1.001953125])


def test_actions_beyond_their_bounds_are_clipped():
    tokenizer = tokenizer_for(spaces.Box(-1, 1, (2,)))
    assert tokenizer.encode_action(np.array([1.5, -1e30])).tolist() == [33_023, 32_000]


@pytest.mark.parametrize("largest", [np.inf, 3.4028234663852886e38])
def test_actions_without_finite_bounds_are_companded(largest):
    tokenizer = tokenizer_for(spaces.Box(-largest, largest, (1,), np.float64))
    assert tokenizer.encode_action(np.array([1.0])).tolist() == [32_744]  # as an observation, see test_spaces.py


def test_a_single_finite_bound_is_kept():
    tokenizer = tokenizer_for(spaces.Box(np.array([0.5]), np.array([np.inf]), dtype=np.float64))
    assert tokenizer.decode_action([32_000]) == [0.5]
    assert tokenizer.decode_action([33_023]) == pytest.approx([256], rel=0.01)


@pytest.mark.parametrize("bound", [1e30, 1.7e308])
def test_a_single_bound_far_beyond_the_mu_law_scale_takes_the_outer_bin(bound):
    above = tokenizer_for(spaces.Box(np.array([bound]), np.array([np.inf]), dtype=np.float64))
    assert above.encode_action(np.array([bound])).tolist() == [33_023]
    assert above.decode_action([32_000]) == [bound]
    below = tokenizer_for(spaces.Box(np.array([-np.inf]), np.array([-bound]), dtype=np.float64))
    assert below.encode_action(np.array([-bound])).tolist() == [32_000]
    assert below.decode_action([33_023]) == [-bound]


@pytest.mark.parametrize("dtype", [np.int32, np.uint32])
def test_wide_integer_boxes_are_scaled_and_rounded(dtype):
    tokenizer = tokenizer_for(spaces.Box(0, 10_230, (2,), dtype))
    decoded = tokenizer.decode_action(tokenizer.encode_action(np.array([0, 7000])))
    assert decoded.dtype == dtype
    assert abs(decoded.astype(int) - [0, 7000]).max() <= 5


@pytest.mark.parametrize(
    "space, action",
    [
        (spaces.Discrete(1024, start=-5), np.int64(1018)),
        (spaces.MultiDiscrete([[2, 3], [4, 5]]), np.array([[1, 2], [3, 4]])),
        (spaces.MultiBinary((2, 3)), np.array([[0, 1, 1], [1, 0, 0]], np.int8)),
        (spaces.Box(-3, 900, (2,), np.int16), np.array([-3, 900], np.int16)),
        (spaces.Box(0, 255, (16, 16, 3), np.uint8), np.arange(768, dtype=np.uint8).reshape(16, 16, 3)),
    ],
    ids=["discrete", "multi-discrete", "multi-binary", "small-integers", "picture"],
)
def test_discrete_actions_come_back_exactly(space, action):
    tokenizer = tokenizer_for(space)
    decoded = tokenizer.decode_action(tokenizer.encode_action(action))
    assert decoded.dtype == space.dtype
    assert decoded.tolist() == action.tolist()


def test_a_discrete_action_is_a_scalar():
    decoded = tokenizer_for(spaces.Discrete(3)).decode_action([33_026])
    assert isinstance(decoded, np.int64)
    assert decoded == 2


def test_nested_actions_keep_their_structure(text, config):
    space = spaces.Dict({"b": spaces.Discrete(3), "a": spaces.Tuple((spaces.Box(-1, 1, ()), spaces.Text(12)))})
    tokenizer = tokenizer_for(space, text, config)
    action = {"b": np.int64(2), "a": (np.array(0.25, np.float32), "red")}
    ids = tokenizer.encode_action(action)
    assert tokenizer.num_action_tokens == len(ids) == 1 + config.text_action_tokens + 1
    assert ids[-1] == config.discrete_ids.start + 2
    decoded = tokenizer.decode_action(ids)
    assert decoded["a"][1] == "red"
    assert decoded["b"] == 2
    assert abs(decoded["a"][0] - 0.25) <= 1 / 1024


def test_text_actions_come_back_exactly(text, config):
    tokenizer = tokenizer_for(spaces.Text(20, min_length=0, charset="abcdeghlortu "), text, config)
    for words in ["", "the red ball", " a  b ", "goat"]:
        ids = tokenizer.encode_action(words)
        assert len(ids) == config.text_action_tokens
        assert ids[-1] == text.end_id
        assert tokenizer.decode_action(ids) == words


def test_decoded_text_is_filtered_cut_and_padded(text, config):
    def decode(space, words):
        ids = np.full(config.text_action_tokens, text.end_id)
        encoded = text.encode(words)
        ids[: len(encoded)] = encoded
        return tokenizer_for(space, text, config).decode_action(ids)

    assert decode(spaces.Text(9, charset="abc"), "xaybzc") == "abc"
    assert decode(spaces.Text(2, charset="abc"), "abcabc") == "ab"
    assert decode(spaces.Text(9, min_length=4, charset="cba"), "bc") == "bcaa"


def test_text_after_the_first_end_mark_is_ignored(text, config):
    tokenizer = tokenizer_for(spaces.Text(9, min_length=0), text, config)
    ids = np.full(config.text_action_tokens, text.encode("x")[0])
    ids[1] = text.end_id
    assert tokenizer.decode_action(ids) == "x"


# Refusals


@pytest.mark.parametrize(
    "ids, match",
    [
        ([33_024], r"shape \(1,\) and dtype int64, expected \(2,\) integers"),
        ([33_024.0, 33_024.0], "dtype float64, expected"),
        ([33_024, 33_027], r"action token 1 is 33027, expected an id in \[33024, 33027\)"),
        ([33_023, 33_024], r"action token 0 is 33023, expected an id in \[33024, 33026\)"),
    ],
    ids=["few", "floats", "above", "below"],
)
def test_ids_that_are_no_action_are_refused(ids, match):
    with pytest.raises(ValueError, match=match):
        tokenizer_for(spaces.MultiDiscrete([2, 3])).decode_action(ids)


def test_text_that_does_not_fit_its_slots_is_refused(text, config):
    tokenizer = tokenizer_for(spaces.Text(40, charset="\u0416"), text, config)
    assert tokenizer.decode_action(tokenizer.encode_action("\u0416" * 15)) == "\u0416" * 15
    with pytest.raises(
        ValueError, match=r"action is .* 32 tokens and an end mark, but text_action_tokens is 32: raise it"
    ):
        tokenizer.encode_action("\u0416" * 16)


def test_text_outside_its_space_is_refused(text, config):
    with pytest.raises(ValueError, match="action is 'x y', expected a member of Text"):
        tokenizer_for(spaces.Text(5), text, config).encode_action("x y")


@pytest.mark.parametrize("space", [spaces.Tuple(()), spaces.Box(-1, 1, (0,))], ids=["tuple", "box"])
def test_an_action_space_without_tokens_is_refused(space):
    with pytest.raises(ValueError, match="no tokens: there is nothing to predict"):
        tokenizer_for(space)


def test_an_action_space_that_cannot_be_represented_is_refused_by_path():
    with pytest.raises(ValueError, match=r"action/1 is Discrete\(5000\)"):
        tokenizer_for(spaces.Tuple((spaces.Discrete(2), spaces.Discrete(5000))))


def test_a_wrong_action_is_refused_by_name():
    tokenizer = tokenizer_for(spaces.Dict({"torque": spaces.Box(-1, 1, (2,))}))
    with pytest.raises(ValueError, match="action/torque is nan at timestep 0, element 1"):
        tokenizer.encode_action({"torque": [0.0, np.nan]})
