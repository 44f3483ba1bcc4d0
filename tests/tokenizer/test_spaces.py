"""Timesteps: tokens worked by hand, order, masks, positions, two paths that agree, refusals by name."""

import dataclasses

import numpy as np
import pytest
from gymnasium import spaces

from gato.config import TokenizerConfig
from gato.tokenizer.continuous import mu_law_decode
from gato.tokenizer.image import image_to_patches, patch_intervals
from gato.tokenizer.spaces import TimestepTokenizer

CONFIG = TokenizerConfig(text_vocab_size=32_000)
SEPARATOR, ACTION = CONFIG.separator_id, 33_024
TWO_BUTTONS = spaces.Discrete(2)


def observe(space, observation, text=None, config=CONFIG, **options):
    """The tokens of one observation, without the separator."""
    sequence = TimestepTokenizer(space, TWO_BUTTONS, config, text, **options).encode_observation(observation)
    assert sequence.tokens[-1] == config.separator_id
    return sequence.tokens[:-1].tolist()


def pixels(height=32, width=48, channels=3, dtype=np.uint8):
    return spaces.Box(0, 255, (height, width, channels), dtype)


def assert_equal(a, b):
    assert a.arrays().keys() == b.arrays().keys()
    for name, left in a.arrays().items():
        right = b.arrays()[name]
        assert left.shape == right.shape, name
        assert left.dtype == right.dtype, name
        assert (left == right).all(), name


# Tokens of single leaves


def test_id_ranges_are_those_of_the_paper():
    assert (CONFIG.continuous_ids, CONFIG.discrete_ids) == (range(32_000, 33_024), range(33_024, 34_048))


def test_discrete_values_count_from_their_start():
    assert observe(spaces.Discrete(5), 3) == [33_027]
    assert observe(spaces.Discrete(5, start=-2), np.int64(-2)) == [33_024]


def test_discrete_values_re_use_text_ids_if_taken_literally():
    literal = TokenizerConfig(paper_literal=True)
    assert observe(spaces.Discrete(5), 3, config=literal) == [3]


def test_multi_discrete_is_read_row_major():
    space = spaces.MultiDiscrete([[3, 4], [5, 6]], start=[[0, 1], [2, 3]])
    assert observe(space, np.array([[2, 1], [6, 8]])) == [33_026, 33_024, 33_028, 33_029]


def test_multi_binary_is_read_row_major():
    assert observe(spaces.MultiBinary((2, 2)), np.array([[0, 1], [1, 1]], np.int8)) == [33_024, 33_025, 33_025, 33_025]


def test_floats_are_companded_clipped_and_binned():
    # mu-law of 1 is log(101) / log(25601) = 0.4547, bin floor((0.4547 + 1) * 512) = 744; see appendix B.
    space = spaces.Box(-np.inf, np.inf, (6,), np.float64)
    tokens = observe(space, np.array([0.0, 1.0, -1.0, 256.0, -1e300, 1e300]))
    assert tokens == [32_512, 32_744, 32_279, 33_023, 32_000, 33_023]


def test_one_as_the_largest_value_stays_among_the_continuous_ids():
    # The next id would be the first discrete value.
    tokenizer = TimestepTokenizer(TWO_BUTTONS, spaces.Box(-1, 1, (2,)), CONFIG)
    assert tokenizer.encode_action(np.array([1.0, -1.0], np.float32)).tolist() == [33_023, 32_000]


def test_bounds_of_an_observed_float_box_do_not_change_its_tokens():
    value = np.array([0.3, -70.0], np.float32)
    bounded, unbounded = spaces.Box(-1, 1, (2,)), spaces.Box(-np.inf, np.inf, (2,))
    assert observe(bounded, value) == observe(unbounded, value)


def test_a_float64_value_has_the_tokens_of_its_float32_copy():
    # Values that rounding to float32 carries over the edge of a bin.
    edges = mu_law_decode(np.linspace(-1, 1, 1025)[1:-1], CONFIG.mu, CONFIG.mu_scale)
    space = spaces.Box(-np.inf, np.inf, edges.shape, np.float32)
    config = TokenizerConfig(local_position_size=1023)
    for values in (edges * (1 + 1e-12), edges * (1 - 1e-12)):
        assert observe(space, values, config=config) == observe(space, values.astype(np.float32), config=config)


def test_integer_boxes_of_few_values_are_discrete():
    assert observe(spaces.Box(-3, 5, (2, 2), np.int16), np.array([[-3, -2], [0, 5]])) == [
        33_024,
        33_025,
        33_027,
        33_032,
    ]
    assert observe(spaces.Box(0, 255, (2,), np.uint8), np.array([0, 255], np.uint8)) == [33_024, 33_279]
    assert observe(spaces.Box(0, 1023, (), np.int64), 1023) == [34_047]


def test_integer_boxes_of_the_top_of_uint64_are_discrete():
    top = 2**64 - 1
    space = spaces.Box(np.array([top - 5], np.uint64), np.array([top], np.uint64), dtype=np.uint64)
    assert observe(space, np.array([top - 4], np.uint64)) == [33_025]


def test_integer_boxes_of_many_values_are_continuous():
    assert observe(spaces.Box(0, 1024, (2,), np.int64), np.array([0, 256])) == [32_512, 33_023]


def test_text_is_encoded_as_it_is(text, config):
    assert observe(spaces.Text(20), "the red ball", text, config) == text.encode("the red ball").tolist()


def test_scalars_take_one_token():
    assert observe(spaces.Box(-np.inf, np.inf, ()), np.float32(1.0)) == [32_744]
    assert observe(spaces.MultiBinary(1), [1]) == [33_025]


# Order, positions, masks


def mixed_space():
    return spaces.Dict(
        {
            "text": spaces.Text(30),
            "image": pixels(16, 32),
            "vector": spaces.Tuple((spaces.Discrete(9), spaces.Box(-np.inf, np.inf, (2,)))),
        }
    )


def mixed_observation(words="the red ball", seed=0):
    rng = np.random.default_rng(seed)
    return {
        "vector": (np.int64(rng.integers(9)), rng.normal(size=2).astype(np.float32)),
        "text": words,
        "image": rng.integers(0, 256, (16, 32, 3), dtype=np.uint8),
    }


def mixed_batch(observations):
    return {
        "vector": (
            np.stack([observation["vector"][0] for observation in observations]),
            np.stack([observation["vector"][1] for observation in observations]),
        ),
        "image": np.stack([observation["image"] for observation in observations]),
        "text": [observation["text"] for observation in observations],
    }


def test_a_mixed_timestep_is_laid_out_as_in_the_paper(text, config):
    action_space = spaces.MultiDiscrete([3, 4])
    tokenizer = TimestepTokenizer(mixed_space(), action_space, config, text)
    observation = mixed_observation()
    sequence = tokenizer.encode_episode(mixed_batch([observation]), np.array([[2, 3]]))
    words = text.encode("the red ball").tolist()
    n = len(words)
    index, (x, y) = observation["vector"][0], observation["vector"][1]
    floats = observe(spaces.Box(-np.inf, np.inf, (2,)), np.array([x, y]), config=config)
    first = config.discrete_ids.start
    padding = config.padding_id
    # Lexicographic: image, text, vector.
    assert sequence.tokens.tolist() == (
        [padding, padding, *words, first + index, *floats, config.separator_id, first + 2, first + 3]
    )
    assert sequence.local_positions.tolist() == [
        *range(2 + n + 3),
        config.separator_position,
        *[config.action_position] * 2,
    ]
    assert sequence.loss_mask.tolist() == [False] * 2 + [True] * n + [False] * 4 + [True] * 2
    assert sequence.changed_mask.tolist() == [False] * (2 + n + 4) + [True] * 2
    assert sequence.patch_indices.tolist() == [0, 1]
    assert (sequence.patches == image_to_patches(observation["image"], 16)).all()
    assert (sequence.patch_intervals == patch_intervals(16, 32, 16, 128)).all()
    assert sequence.starts.tolist() == [0, len(sequence)]


def test_the_order_of_keys_in_an_observation_does_not_matter(text, config):
    tokenizer = TimestepTokenizer(mixed_space(), TWO_BUTTONS, config, text)
    observation = mixed_observation()
    assert_equal(
        tokenizer.encode_observation(observation), tokenizer.encode_observation(dict(reversed(observation.items())))
    )


def test_episodes_of_varying_text_lengths_equal_their_observations(text, config):
    tokenizer = TimestepTokenizer(mixed_space(), spaces.Box(-1, 1, (2,)), config, text)
    words = ["go to the red ball", "", "a", "go to the red ball", "\u65e5\u672c"]
    observations = [mixed_observation(word, seed) for seed, word in enumerate(words)]
    actions = np.linspace(-1, 1, 8, dtype=np.float32).reshape(4, 2)
    episode = tokenizer.encode_episode(mixed_batch(observations), actions, terminal_observation=True)
    assert episode.num_timesteps == 5
    for t, observation in enumerate(observations):
        timestep = episode.timesteps(t, t + 1)
        seen = tokenizer.encode_observation(observation)
        num_seen = len(seen)
        assert timestep.tokens[num_seen:].tolist() == (tokenizer.encode_action(actions[t]).tolist() if t < 4 else [])
        shown = dataclasses.replace(
            timestep,
            **{
                name: getattr(timestep, name)[:num_seen]
                for name in ("tokens", "local_positions", "loss_mask", "changed_mask")
            },
            starts=np.array([0, num_seen]),
        )
        assert_equal(shown, seen)


def test_several_pictures_keep_their_order_and_positions():
    space = spaces.Dict({"wrist": pixels(16, 16), "front": pixels(32, 16), "n": spaces.Discrete(3)})
    tokenizer = TimestepTokenizer(space, TWO_BUTTONS, CONFIG)
    rng = np.random.default_rng(0)
    batch = {
        "wrist": rng.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8),
        "front": rng.integers(0, 256, (3, 32, 16, 3), dtype=np.uint8),
        "n": np.array([0, 1, 2]),
    }
    sequence = tokenizer.encode_episode(batch, np.array([0, 1, 1]))
    # front 0 1, n 2, wrist 3, separator 4, action 5
    assert sequence.patch_indices.tolist() == [0, 1, 3, 6, 7, 9, 12, 13, 15]
    assert (sequence.patches[6:8] == image_to_patches(batch["front"][2], 16)).all()
    assert (sequence.patches[8] == batch["wrist"][2]).all()
    assert sequence.patch_intervals[:3].tolist() == [[0, 64, 0, 128], [64, 128, 0, 128], [0, 128, 0, 128]]
    assert (sequence.tokens[sequence.patch_indices] == CONFIG.padding_id).all()


def test_changed_mask_marks_actions_that_differ_from_the_one_before():
    tokenizer = TimestepTokenizer(spaces.Discrete(4), spaces.MultiDiscrete([3, 3]), CONFIG)
    actions = np.array([[0, 0], [0, 0], [0, 1], [0, 1], [2, 1]])
    sequence = tokenizer.encode_episode(np.zeros(5, int), actions)
    rows = sequence.changed_mask.reshape(5, 4)
    assert not rows[:, :2].any()
    assert rows[:, 2].tolist() == rows[:, 3].tolist() == [True, False, True, False, True]


def test_masked_actions_are_shown_without_loss():
    tokenizer = TimestepTokenizer(spaces.Discrete(4), TWO_BUTTONS, CONFIG)
    observations, actions = np.arange(3), np.array([0, 1, 1])
    plain = tokenizer.encode_episode(observations, actions)
    masked = tokenizer.encode_episode(observations, actions, action_mask=np.array([True, False, True]))
    assert masked.tokens.tolist() == plain.tokens.tolist()
    assert plain.loss_mask.tolist() == [False, False, True] * 3
    assert masked.loss_mask.tolist() == [False, False, True, False, False, False, False, False, True]


def test_text_of_observations_is_a_target_only_if_wanted(text, config):
    space = spaces.Text(20)
    with_loss = TimestepTokenizer(space, TWO_BUTTONS, config, text).encode_observation("red")
    without = TimestepTokenizer(space, TWO_BUTTONS, config, text, text_loss=False).encode_observation("red")
    assert with_loss.loss_mask[:-1].all()
    assert not with_loss.loss_mask[-1]
    assert not without.loss_mask.any()


def test_the_last_observation_is_left_out_or_shown():
    tokenizer = TimestepTokenizer(spaces.Discrete(4), TWO_BUTTONS, CONFIG)
    actions = np.array([1, 0])
    expected = [33_024, SEPARATOR, ACTION + 1, 33_025, SEPARATOR, ACTION]
    assert tokenizer.encode_episode(np.arange(2), actions).tokens.tolist() == expected
    assert tokenizer.encode_episode(np.arange(3), actions).tokens.tolist() == expected
    shown = tokenizer.encode_episode(np.arange(3), actions, terminal_observation=True)
    assert shown.tokens.tolist() == [*expected, 33_026, SEPARATOR]
    assert shown.starts.tolist() == [0, 3, 6, 8]
    assert not shown.loss_mask[6:].any()
    assert not shown.changed_mask[6:].any()


def test_an_environment_without_observations_has_timesteps_of_separator_and_action():
    tokenizer = TimestepTokenizer(spaces.Tuple(()), TWO_BUTTONS, CONFIG)
    assert tokenizer.encode_episode((), np.array([0, 1])).tokens.tolist() == [SEPARATOR, ACTION, SEPARATOR, ACTION + 1]


def test_arrays_that_come_in_are_left_untouched():
    tokenizer = TimestepTokenizer(spaces.Box(-5, 5, (2,)), spaces.Box(-1, 1, (1,)), CONFIG)
    observations, actions = np.array([[1.0, -9.0]]), np.array([[3.0]])
    tokenizer.encode_episode(observations, actions)
    assert observations.tolist() == [[1.0, -9.0]]
    assert actions.tolist() == [[3.0]]


# Which Box is a picture


@pytest.mark.parametrize(
    "space, num_tokens",
    [
        (pixels(16, 16), 1),
        (pixels(17, 33, 1), 6),
        (pixels(16, 16, 4), 1),
        (pixels(15, 16), None),
        (spaces.Box(0, 255, (7, 7, 3), np.uint8), 147),
        (spaces.Box(0, 255, (16, 16, 2), np.uint8), 512),
        (spaces.Box(0, 255, (16, 16), np.uint8), 256),
        (spaces.Box(0, 1, (3, 4, 4), np.float32), 48),
    ],
    ids=["rgb", "grey", "rgba", "below-a-patch", "symbols", "two-channels", "two-axes", "floats"],
)
def test_the_image_rule(space, num_tokens):
    if num_tokens is None:
        with pytest.raises(ValueError, match="observation takes 720 tokens, most of them for observation"):
            TimestepTokenizer(space, TWO_BUTTONS, CONFIG)
    else:
        assert len(observe(space, np.zeros(space.shape, space.dtype))) == num_tokens


def test_modalities_override_the_image_rule():
    space = spaces.Dict({"map": spaces.Box(0, 255, (16, 16), np.uint8), "rgb": pixels(16, 16, 1)})
    observation = {"map": np.zeros((16, 16), np.uint8), "rgb": np.zeros((16, 16, 1), np.uint8)}
    assert len(observe(space, observation)) == 256 + 1
    options = {"modalities": {"observation/map": "image", "observation/rgb": "tensor"}}
    assert len(observe(space, observation, **options)) == 1 + 256


@pytest.mark.parametrize(
    "modalities, match",
    [
        ({"observation/rbg": "image"}, "did you mean 'observation/rgb'"),
        ({"observation/rgb": "picture"}, "expected 'image' or 'tensor'"),
        ({"observation/vector": "image"}, "observation/vector cannot be an image: it has dtype float32"),
    ],
    ids=["path", "modality", "dtype"],
)
def test_wrong_modalities_are_refused(modalities, match):
    space = spaces.Dict({"rgb": pixels(), "vector": spaces.Box(-1, 1, (2,))})
    with pytest.raises(ValueError, match=match):
        TimestepTokenizer(space, TWO_BUTTONS, CONFIG, modalities=modalities)


# Refusals


@pytest.mark.parametrize(
    "space, match",
    [
        (
            spaces.Discrete(5000),
            r"observation/a/0 is Discrete\(5000\), more than the 1024 values .* raise num_discrete",
        ),
        (spaces.MultiDiscrete([2, 1025]), "observation/a/0 is MultiDiscrete.* more than the 1024 values"),
        (spaces.Sequence(spaces.Discrete(2)), "observation/a/0 is Sequence, expected Discrete, .* wrap"),
        (spaces.OneOf((spaces.Discrete(2),)), "observation/a/0 is OneOf, expected Discrete"),
        (spaces.Graph(spaces.Discrete(2), None), "observation/a/0 is Graph, expected Discrete"),
        (spaces.Text(5), "observation/a/0 is Text, but there is no text tokenizer: pass"),
        (spaces.Box(-1, 1, (513,)), "513 tokens, most of them for observation/a/0, but .* local_position_size = 512"),
        (spaces.Box(0, 255, (3, 84, 84), np.uint8), "for observation/a/0.* channels last"),
        (pixels(512, 512), "observation takes 1024 tokens, most of them for observation/a/0"),
    ],
    ids=["discrete", "multi-discrete", "sequence", "one-of", "graph", "text", "wide", "channels-first", "big-picture"],
)
def test_observation_spaces_that_cannot_be_represented_are_refused_by_path(space, match):
    nested = spaces.Dict({"a": spaces.Tuple((space,))})
    with pytest.raises(ValueError, match=match):
        TimestepTokenizer(nested, TWO_BUTTONS, CONFIG)


def test_tokens_of_all_leaves_count_towards_the_limit():
    space = spaces.Dict({"a": spaces.Box(-1, 1, (500,)), "b": spaces.Box(-1, 1, (13,))})
    with pytest.raises(ValueError, match="513 tokens, most of them for observation/a"):
        TimestepTokenizer(space, TWO_BUTTONS, CONFIG)


def test_text_that_makes_an_observation_too_long_is_refused(text, config):
    tokenizer = TimestepTokenizer(spaces.Dict({"m": spaces.Text(9999)}), TWO_BUTTONS, config, text)
    with pytest.raises(ValueError, match="600 tokens, most of them for observation/m"):
        tokenizer.encode_observation({"m": "\u0416" * 300})


def test_a_text_tokenizer_larger_than_its_id_range_is_refused(text):
    with pytest.raises(ValueError, match="320 pieces, but text_vocab_size is 300"):
        TimestepTokenizer(spaces.Text(5), TWO_BUTTONS, TokenizerConfig(text_vocab_size=300), text)


@pytest.mark.parametrize(
    "space, value, match",
    [
        (spaces.Box(-1, 1, (2,)), [0.0, np.nan], "observation/x is nan at timestep 0, element 1, expected finite"),
        (spaces.Box(-1, 1, (2,)), [-np.inf, 0.0], "observation/x is -inf at timestep 0, element 0, expected finite"),
        (spaces.Box(-1, 1, (2,)), [0.0, 1.0, 2.0], r"observation/x has shape \(3,\), expected \(2,\)"),
        (spaces.Box(-1, 1, (2,)), ["a", "b"], "observation/x has dtype <U1, expected numbers"),
        (spaces.Box(-1, 1, (2,)), [1j, 0], "observation/x has dtype complex128, expected numbers"),
        (spaces.Box(0, 9, (2,), np.int64), [0, 10], r"observation/x is 10 at timestep 0, element 1, .*\[0, 10\)"),
        (spaces.Box(0, 9, (2,), np.int64), [0.0, 1.0], "observation/x has dtype float64, expected integers"),
        (spaces.Discrete(4, start=2), 1, r"observation/x is 1 at timestep 0, .*\[2, 6\)"),
        (spaces.Discrete(4), 4, r"observation/x is 4 at timestep 0, .*\[0, 4\)"),
        (spaces.Discrete(4), 1.0, "observation/x has dtype float64, expected integers"),
        (spaces.Discrete(4), [1], r"observation/x has shape \(1,\), expected \(\)"),
        (spaces.MultiDiscrete([2, 3]), [1, 3], r"observation/x is 3 at timestep 0, element 1, .*\[0, 3\)"),
        (spaces.MultiBinary(2), [1, 2], "observation/x is 2 at timestep 0"),
        (pixels(), np.zeros((32, 48), np.uint8), r"observation/x has shape \(32, 48\), expected \(32, 48, 3\)"),
        (pixels(), np.zeros((32, 48, 3)), "observation/x has dtype float64, expected uint8"),
        (pixels(), np.zeros((32, 48, 3), np.uint16), "observation/x has dtype uint16, expected uint8"),
        (spaces.Box(-1, 1, (2, 2)), [[0.0, 1.0], [2.0]], "observation/x has values of differing shapes"),
    ],
    ids=[
        "nan", "inf", "box-shape", "box-str", "box-complex", "integer-range", "integer-dtype", "below-start", "above",
        "discrete-dtype", "discrete-shape", "multi-discrete", "multi-binary", "image-shape", "image-float",
        "image-uint16", "ragged",
    ],
)  # fmt: skip
def test_values_that_do_not_fit_are_refused_by_name(space, value, match):
    tokenizer = TimestepTokenizer(spaces.Dict({"x": space, "other": spaces.Discrete(2)}), TWO_BUTTONS, CONFIG)
    with pytest.raises(ValueError, match=match):
        tokenizer.encode_observation({"x": value, "other": 0})


def test_a_bad_value_within_an_episode_is_named_with_its_timestep():
    tokenizer = TimestepTokenizer(spaces.Box(-1, 1, (2,)), spaces.Box(-1, 1, (1,)), CONFIG)
    observations, actions = np.zeros((4, 2)), np.zeros((3, 1))
    observations[2, 1] = np.nan
    with pytest.raises(ValueError, match="observation is nan at timestep 2, element 1"):
        tokenizer.encode_episode(observations, actions)
    actions[1] = np.inf
    with pytest.raises(ValueError, match="action is inf at timestep 1, element 0"):
        tokenizer.encode_episode(np.zeros((4, 2)), actions)


@pytest.mark.parametrize(
    "value, match",
    [(3, "observation/m is int at timestep 0, expected str"), ("a\ud800", "observation/m: .* lone surrogate")],
    ids=["int", "surrogate"],
)
def test_text_that_is_none_is_refused_by_name(text, config, value, match):
    tokenizer = TimestepTokenizer(spaces.Dict({"m": spaces.Text(5)}), TWO_BUTTONS, config, text)
    with pytest.raises(ValueError, match=match):
        tokenizer.encode_observation({"m": value})


def test_one_str_for_an_episode_of_text_is_refused(text, config):
    tokenizer = TimestepTokenizer(spaces.Text(5), TWO_BUTTONS, config, text)
    with pytest.raises(ValueError, match="observation is one str, expected a list"):
        tokenizer.encode_episode("go", np.array([0, 1]))


@pytest.mark.parametrize(
    "observations, options, match",
    [
        (np.zeros(5, int), {}, "observation has 5 timesteps for 3 actions, expected 4 or 3"),
        (np.zeros(2, int), {}, "observation has 2 timesteps for 3 actions, expected 4 or 3"),
        (np.zeros(3, int), {"terminal_observation": True}, "observation has 3 timesteps for 3 actions, expected 4$"),
        (np.int64(3), {}, "expected one value per timestep"),
        (np.zeros(3, int), {"action_mask": np.ones(4, bool)}, r"action_mask has shape \(4,\)"),
        (np.zeros(3, int), {"action_mask": np.ones(3)}, "action_mask has .* dtype float64, expected .* bool"),
    ],
    ids=["long", "short", "no-last", "scalar", "mask-shape", "mask-dtype"],
)
def test_episodes_whose_lengths_disagree_are_refused(observations, options, match):
    tokenizer = TimestepTokenizer(spaces.Discrete(4), TWO_BUTTONS, CONFIG)
    with pytest.raises(ValueError, match=match):
        tokenizer.encode_episode(observations, np.zeros(3, int), **options)


def test_actions_whose_lengths_disagree_are_refused():
    space = spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Discrete(2)})
    tokenizer = TimestepTokenizer(spaces.Discrete(4), space, CONFIG)
    with pytest.raises(ValueError, match="action/b has 2 timesteps, other actions have 3"):
        tokenizer.encode_episode(np.zeros(3, int), {"a": np.zeros(3, int), "b": np.zeros(2, int)})
