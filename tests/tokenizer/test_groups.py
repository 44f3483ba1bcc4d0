"""Several numbers in one token: what they are stays what it is with a token each; only where they stand changes."""

import dataclasses

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from gato.config import TokenizerConfig
from gato.tokenizer.groups import group_sizes, token_places, widest_group
from gato.tokenizer.spaces import TimestepTokenizer

SCALAR = TokenizerConfig(text_vocab_size=400, num_discrete=64, patch_size=16)
GROUPED = dataclasses.replace(SCALAR, values_per_token=5, action_tokens="grouped")
OBSERVATIONS = spaces.Dict(
    a=spaces.Box(-np.inf, np.inf, (7,), np.float32),
    b=spaces.Discrete(5),
    c=spaces.Box(0, 255, (16, 32, 3), np.uint8),
    d=spaces.MultiDiscrete([4, 9]),
)
ACTIONS = spaces.Tuple((spaces.Discrete(3), spaces.Box(-1, 1, (3,), np.float32)))


def episode(num_timesteps, seed=0):
    OBSERVATIONS.seed(seed)
    ACTIONS.seed(seed + 1)
    seen = [OBSERVATIONS.sample() for _ in range(num_timesteps + 1)]
    acted = [ACTIONS.sample() for _ in range(num_timesteps)]
    observations = {key: np.stack([member[key] for member in seen]) for key in OBSERVATIONS.spaces}
    return observations, tuple(np.stack([member[index] for member in acted]) for index in range(2))


def encode(config, seed=0, num_timesteps=4, **options):
    return TimestepTokenizer(OBSERVATIONS, ACTIONS, config).encode_episode(
        *episode(num_timesteps, seed), terminal_observation=True, **options
    )


@given(st.integers(1, 400), st.integers(1, 60))
def test_numbers_are_cut_evenly_into_the_fewest_tokens(num_values, values_per_token):
    sizes = group_sizes(num_values, values_per_token)
    assert sum(sizes) == num_values
    assert len(sizes) == -(-num_values // values_per_token)
    assert 0 <= max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)


def test_leaves_of_other_kinds_part_the_numbers():
    assert widest_group([7, 1, None, 2], GROUPED) == 4  # eight numbers in two tokens, then two in one
    assert widest_group([None], GROUPED) == 0


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), separator=st.sampled_from(["token", "mark"]), values=st.integers(4, 12))
def test_grouped_numbers_are_the_tokens_of_the_scalar_layout(seed, separator, values):
    config = dataclasses.replace(GROUPED, values_per_token=values, separator=separator)
    grouped, scalar = encode(config, seed), encode(SCALAR, seed)
    held = grouped.numbers.values[grouped.numbers.values != SCALAR.padding_id]
    ids = scalar.tokens[(scalar.tokens != SCALAR.padding_id) & (scalar.tokens != SCALAR.separator_id)]
    assert held.tolist() == ids.tolist()
    np.testing.assert_array_equal(grouped.patches, scalar.patches)


@pytest.mark.parametrize("separator", ["token", "mark"])
def test_hand_worked_timesteps(separator):
    sequence = encode(dataclasses.replace(GROUPED, separator=separator))
    config = GROUPED
    # Eight numbers in two tokens, two patches, two numbers in one, the separator if it has a token, the action.
    positions = [0, 1, 2, 3, 4, config.separator_position, config.action_position]
    if separator == "mark":
        positions = [0, 1, 2, 3, config.separator_position, config.action_position]
    assert sequence.timesteps(1, 2).local_positions.tolist() == positions
    assert sequence.timesteps(4, 5).local_positions.tolist() == positions[:-1]  # the last observation, without action
    assert sequence.patch_indices[:4].tolist() == [2, 3, len(positions) + 2, len(positions) + 3]
    # The action is predicted from the token before it, and stands in the next.
    predicting = len(positions) - 2
    numbers = sequence.numbers
    action = TimestepTokenizer(OBSERVATIONS, ACTIONS, config).encode_action((2, np.array([-1, 0, 1], np.float32)))
    assert numbers.action_mask[: len(positions)].tolist() == [index == predicting for index in range(len(positions))]
    assert numbers.values[predicting + 1, :4].tolist() == numbers.action_values[predicting].tolist()
    assert len(action) == len(numbers.action_ranges) == 4
    assert not sequence.loss_mask.any()


def test_an_action_mask_and_changes_stand_where_the_action_is_predicted():
    observations, (choices, forces) = episode(4)
    choices, forces = choices[[0, 0, 1, 1]], forces[[0, 0, 1, 1]]
    mask = np.array([True, False, True, True])
    sequence = TimestepTokenizer(OBSERVATIONS, ACTIONS, GROUPED).encode_episode(
        observations, (choices, forces), action_mask=mask
    )
    predicting = sequence.starts[1:] - 2
    assert sequence.numbers.action_mask[predicting].tolist() == mask.tolist()
    assert sequence.changed_mask[predicting].tolist() == [True, False, True, False]
    assert sequence.numbers.action_mask.sum() == 3


@pytest.mark.parametrize("config", [SCALAR, GROUPED, dataclasses.replace(GROUPED, action_tokens="sequential")])
@pytest.mark.parametrize("separator", ["token", "mark"])
def test_a_timestep_alone_and_its_action_are_those_of_the_episode(config, separator):
    config = dataclasses.replace(config, separator=separator)
    tokenizer = TimestepTokenizer(OBSERVATIONS, ACTIONS, config)
    observations, actions = episode(3)
    whole = tokenizer.encode_episode(observations, actions).timesteps(2, 3)
    alone = tokenizer.encode_observation({key: values[2] for key, values in observations.items()})
    ids = tokenizer.encode_action((int(actions[0][2]), actions[1][2]))
    extended = alone.extend(tokenizer.action_sequence(ids))
    assert extended.tokens.tolist() == whole.tokens.tolist()
    assert extended.local_positions.tolist() == whole.local_positions.tolist()
    if config.has_groups:
        assert extended.numbers.values.tolist() == whole.numbers.values.tolist()
    decoded = tokenizer.decode_action(ids)
    assert ACTIONS.contains(decoded)


def test_an_observation_without_tokens_keeps_its_separator(text):
    config = TokenizerConfig(text_vocab_size=text.vocab_size, separator="mark")
    tokenizer = TimestepTokenizer(spaces.Text(20, charset="abc "), spaces.Discrete(2), config, text)
    sequence = tokenizer.encode_episode(["a b", "", "c"], np.array([0, 1]), terminal_observation=True)
    empty = sequence.timesteps(1, 2)
    assert empty.tokens.tolist() == [config.separator_id, config.discrete_ids.start + 1]
    assert empty.local_positions.tolist() == [config.separator_position, config.action_position]
    first = sequence.timesteps(0, 1)
    assert config.separator_id not in first.tokens
    assert first.local_positions[-2:].tolist() == [config.separator_position, config.action_position]


def test_kept_tokens_leave_their_timesteps_and_patches_in_place():
    sequence = encode(GROUPED)
    kept = sequence.keep(sequence.local_positions != GROUPED.action_position)
    assert kept.num_timesteps == sequence.num_timesteps
    assert np.diff(kept.starts).tolist() == [6] * 5
    assert kept.patch_indices.tolist() == [6 * step + place for step in range(5) for place in (2, 3)]
    assert kept.numbers.action_mask.sum() == 4


def test_an_action_that_one_token_cannot_hold_is_refused():
    config = dataclasses.replace(GROUPED, values_per_token=3)
    with pytest.raises(ValueError, match="4 numbers, but values_per_token is 3 and action_tokens 'grouped'"):
        TimestepTokenizer(OBSERVATIONS, ACTIONS, config)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"values_per_token": 0}, "values_per_token is 0"),
        ({"pieces_per_token": 0}, "pieces_per_token is 0, needs to lie between 1 and"),
        ({"pieces_per_token": 2}, "pieces_per_token is 2, .* values_per_token, which is 1"),
        ({"action_tokens": "grouped"}, "action_tokens is 'grouped', but values_per_token is 1"),
        ({"own_actions": "hidden"}, "own_actions is 'hidden', but action_tokens is 'sequential'"),
        ({"own_action_dropout": 1.5}, "own_action_dropout is 1.5"),
    ],
)
def test_layouts_that_do_not_go_together_are_refused(settings_, message):
    with pytest.raises(ValueError, match=message):
        TokenizerConfig(**settings_)


TEXTS = spaces.Dict(
    a=spaces.Box(-np.inf, np.inf, (3,), np.float32),
    b=spaces.Text(200),
    c=spaces.Text(200),
    d=spaces.Discrete(5),
)


def encode_texts(config, text, b, c):
    count = len(b)
    observations = {"a": np.zeros((count, 3), np.float32), "b": b, "c": c, "d": np.arange(count) % 5}
    actions = np.zeros(count - 1, np.int64)
    return TimestepTokenizer(TEXTS, spaces.Discrete(2), config, text).encode_episode(
        observations, actions, terminal_observation=True
    )


def sharing(text, pieces):
    return TokenizerConfig(
        text_vocab_size=text.vocab_size, values_per_token=8, pieces_per_token=pieces, action_tokens="grouped"
    )


@settings(deadline=None, max_examples=30)
@given(
    pieces=st.integers(2, 8), missions=st.lists(st.text("abc red", max_size=20), min_size=2, max_size=5), same=st.data()
)
def test_pieces_that_share_tokens_are_the_tokens_of_the_scalar_layout(text, pieces, missions, same):
    others = same.draw(st.lists(st.text("go to", max_size=12), min_size=len(missions), max_size=len(missions)))
    config = sharing(text, pieces)
    shared = encode_texts(config, text, missions, others)
    alone = encode_texts(dataclasses.replace(config, pieces_per_token=1), text, missions, others)
    assert not shared.loss_mask.any()
    padding = config.padding_id
    for step in range(len(missions)):
        first, second = (len(text.encode(words[step])) for words in (missions, others))
        num_tokens = 1 + -(-first // pieces) + -(-second // pieces) + 1 + 1  # numbers, texts, a number, the separator
        whole = shared.timesteps(step, step + 1)
        assert len(whole) == num_tokens + (step < len(missions) - 1)
        held = whole.numbers.values[1 : num_tokens - 2]
        told = alone.timesteps(step, step + 1).tokens
        assert held[held != padding].tolist() == told[(told < text.vocab_size)].tolist()
        assert (whole.numbers.values[num_tokens - 2, 0], whole.tokens[num_tokens - 1]) == (
            config.discrete_ids.start + step % 5,
            config.separator_id,
        )
    by_step = TimestepTokenizer(TEXTS, spaces.Discrete(2), config, text).encode_observation(
        {"a": np.zeros(3, np.float32), "b": missions[-1], "c": others[-1], "d": (len(missions) - 1) % 5}
    )
    last = shared.timesteps(len(missions) - 1, len(missions))
    np.testing.assert_array_equal(by_step.numbers.values, last.numbers.values)
    np.testing.assert_array_equal(by_step.local_positions, last.local_positions)


def test_places_of_texts_that_share_tokens_by_hand():
    config = dataclasses.replace(GROUPED, pieces_per_token=3)
    places = token_places([7, 2, 4, 0, 1], ["numbers", "numbers", "text", "text", "patches"], config)
    assert [place.tolist() for place in places] == [[0, 0, 0, 0, 0, 1, 1], [1, 1], [2, 2, 2, 3], [], [4]]
    places = token_places([7, 2, 4], ["numbers", "text", "text"], GROUPED)
    assert [place.tolist() for place in places] == [[0, 0, 0, 0, 1, 1, 1], [2, 3], [4, 5, 6, 7]]
