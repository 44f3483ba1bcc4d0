"""What is left out of windows and what of them is taught, and rows that several windows fill."""

import dataclasses
import itertools

import numpy as np
import pytest
from gymnasium import spaces

from gato.config import DataConfig, PromptConfig, SourceConfig, TokenizerConfig
from gato.data.action_choice import thin_repeats, without_own_actions
from gato.data.collate import make_batch
from gato.data.prepared import pack, unpack
from gato.data.rows import ControlRows
from gato.tokenizer.spaces import TimestepTokenizer

GROUPED = TokenizerConfig(
    text_vocab_size=300, num_discrete=64, values_per_token=8, action_tokens="grouped", separator="mark"
)
HIDDEN = dataclasses.replace(GROUPED, own_actions="hidden")
OBSERVATIONS, ACTIONS = spaces.Box(-1, 1, (3,), np.float32), spaces.Discrete(4)


def episodes(lengths, config=GROUPED, seed=0):
    """The first number of an observation is the number of its episode, in hundredths."""
    rng = np.random.default_rng(seed)
    tokenizer = TimestepTokenizer(OBSERVATIONS, ACTIONS, config)
    made = []
    for number, length in enumerate(lengths):
        observations = rng.uniform(-1, 1, (length, 3)).astype(np.float32)
        observations[:, 0] = number / 100
        made.append(tokenizer.encode_episode(observations, rng.integers(4, size=length)))
    return made


def rows_of(records, make_encoded, tokenizer=HIDDEN, *, held_out=False, prompt=None, **data):
    source = SourceConfig(name="numbers", kind="minari", path="", held_out=0.2, prompt=prompt or PromptConfig())
    config = DataConfig(sources=(source,), **{"context_length": 64, "max_patches": 0, **data})
    groups = np.zeros(len(records), np.int64)
    return ControlRows(make_encoded(records), config, tokenizer, 0, groups=groups, seed=0, held_out=held_out), config


def is_action(sequence):
    return sequence.local_positions == GROUPED.action_position


def test_hidden_actions_take_no_token_but_are_predicted_where_they_were():
    (whole,) = episodes([10])
    window = without_own_actions(whole, HIDDEN, np.random.default_rng(0))
    assert not is_action(window).any()
    assert len(window) == window.num_timesteps == 10
    np.testing.assert_array_equal(window.numbers.values, whole.numbers.values[~is_action(whole)])
    assert window.numbers.action_mask.all()
    np.testing.assert_array_equal(window.numbers.action_values, whole.numbers.action_values[~is_action(whole)])


def test_dropped_actions_are_left_out_as_often_as_asked_and_never_when_acting():
    (whole,) = episodes([4000])
    dropped = dataclasses.replace(GROUPED, own_actions="dropped", own_action_dropout=0.7)
    window = without_own_actions(whole, dropped, np.random.default_rng(0))
    assert abs(is_action(window).sum() - 0.3 * 4000) < 5 * np.sqrt(4000 * 0.21)
    assert window.num_timesteps == 4000
    assert without_own_actions(whole, dropped, None) is whole
    assert without_own_actions(whole, GROUPED, np.random.default_rng(0)) is whole


@pytest.mark.parametrize(
    "config", [GROUPED, dataclasses.replace(GROUPED, values_per_token=1, action_tokens="sequential")]
)
def test_a_share_of_repeated_actions_is_taught_and_all_others(config):
    (whole,) = episodes([4000], config)
    thinned = thin_repeats(whole, config, 0.25, np.random.default_rng(0))
    before, after = (
        part.numbers.action_mask if config.has_action_groups else part.loss_mask for part in (whole, thinned)
    )
    repeats = before & ~whole.changed_mask
    assert after[before & whole.changed_mask].all()
    assert abs(after[repeats].sum() - 0.25 * repeats.sum()) < 5 * np.sqrt(repeats.sum() * 0.19)
    assert not after[~before].any()


def test_a_demonstration_shows_its_actions_where_own_ones_are_hidden(make_encoded):
    rows, _ = rows_of(episodes([20] * 10), make_encoded, prompt=PromptConfig(probability=1.0, max_tokens=16))
    for index in range(20):
        sequence = rows[index].sequence
        shown = np.flatnonzero(is_action(sequence))
        assert shown.tolist() == list(range(1, 16, 2))  # eight timesteps of two tokens
        assert len(sequence) == 16 + 20


def test_a_row_is_filled_with_windows_that_do_not_see_each_other(make_encoded):
    rng = np.random.default_rng(3)
    records = episodes(rng.integers(5, 60, size=40))
    rows, config = rows_of(records, make_encoded, prompt=PromptConfig(probability=0.0), pack_windows=True)
    drawn = [rows[index] for index in range(200)]
    fill = np.mean([len(row.sequence) for row in drawn]) / 64
    assert fill >= 0.95
    assert max(len(row.sequence) for row in drawn) <= 64
    batch = make_batch(drawn, config, HIDDEN)
    for row, visible_from in zip(drawn, batch.visible_from, strict=True):
        sequence, starts = row.sequence, [*row.parts, len(row.sequence)]
        number = sequence.numbers.values[:, 0]
        for first, stop in itertools.pairwise(starts):
            assert len(set(number[first:stop].tolist())) == 1  # one episode
            assert (visible_from[first:stop] == first).all()
    alone, _ = rows_of(records, make_encoded, prompt=PromptConfig(probability=0.0))
    assert np.mean([len(alone[index].sequence) for index in range(200)]) / 64 < 0.8


def test_log_uniform_windows_show_many_starts_and_fill_rows_as_well(make_encoded):
    records = episodes([200] * 10)
    settings = {"prompt": PromptConfig(probability=0.0), "pack_windows": True}
    full, _ = rows_of(records, make_encoded, **settings)
    varied, _ = rows_of(records, make_encoded, **settings, window_lengths="log-uniform")
    assert all(len(full[index].parts) == 1 for index in range(50))
    drawn = [varied[index] for index in range(200)]
    assert all(len(row.sequence) == 64 for row in drawn)
    # The mean of log-uniform lengths from 1 to 64 is 63 / ln(64) = 15.
    assert np.mean([len(row.parts) for row in drawn]) == pytest.approx(5, abs=1)
    firsts = [row.parts[1] if len(row.parts) > 1 else 64 for row in drawn]
    assert np.mean(firsts) == pytest.approx(15, abs=3.5)
    prompted, _ = rows_of(
        episodes([12] * 30),
        make_encoded,
        prompt=PromptConfig(probability=1.0, max_tokens=16),
        pack_windows=True,
        window_lengths="log-uniform",
    )
    for index in range(20):  # a demonstration is never cut short by the length that is drawn
        assert is_action(prompted[index].sequence).sum() == 8 * len(prompted[index].parts)


def test_packed_windows_have_whole_demonstrations_or_none(make_encoded):
    prompt = PromptConfig(probability=0.5, max_tokens=16)
    rows, _ = rows_of(episodes([12] * 30), make_encoded, prompt=prompt, pack_windows=True)
    for index in range(100):
        row = rows[index]
        for first, stop in zip(row.parts, [*row.parts[1:], len(row.sequence)], strict=True):
            part = is_action(row.sequence)[first:stop]
            assert part.sum() in (0, 8)
            assert not part.any() or part[:16].sum() == 8
    always, _ = rows_of(
        episodes([12] * 30), make_encoded, prompt=dataclasses.replace(prompt, probability=1.0), pack_windows=True
    )
    for index in range(20):
        assert is_action(always[index].sequence).sum() == 8 * len(always[index].parts)


def test_rows_are_functions_of_their_number_whatever_is_dropped(make_encoded, assert_same):
    tokenizer = dataclasses.replace(GROUPED, own_actions="dropped", own_action_dropout=0.5)
    records = episodes([30] * 10)
    first, second = (
        rows_of(records, make_encoded, tokenizer, pack_windows=True, repeated_action_share=0.5)[0] for _ in range(2)
    )
    rows = [first[index] for index in range(20)]
    for index in reversed(range(20)):
        assert_same(second[index].sequence, rows[index].sequence)


def test_held_out_rows_teach_and_drop_nothing_at_random(make_encoded):
    tokenizer = dataclasses.replace(GROUPED, own_actions="dropped", own_action_dropout=1.0)
    rows, _ = rows_of(episodes([30] * 10), make_encoded, tokenizer, held_out=True, repeated_action_share=0.0)
    sequence = rows[0].sequence
    own = sequence.numbers.action_mask
    assert own.any()
    assert is_action(sequence).sum() >= own.sum()


def test_numbers_and_targets_stand_in_the_batch_as_in_the_rows(make_encoded):
    records = episodes([9] * 10)
    rows, config = rows_of(records, make_encoded, GROUPED, prompt=PromptConfig(probability=0.0))
    drawn = [rows[index] for index in range(3)]
    batch = make_batch(drawn, dataclasses.replace(config, row_loss_exponent=1.0), GROUPED)
    for index, row in enumerate(drawn):
        length = len(row.sequence)
        np.testing.assert_array_equal(batch.values[index, :length, :3], row.sequence.numbers.values)
        np.testing.assert_array_equal(batch.action_values[index, :length, :1], row.sequence.numbers.action_values)
        assert (batch.values[index, length:] == GROUPED.padding_id).all()
        assert batch.action_ranges[index, 0].tolist() == [GROUPED.discrete_ids.start, GROUPED.discrete_ids.start + 4]
        assert not batch.action_ranges[index, 1:].any()
        assert batch.row_weights[index] == pytest.approx(1 / 9)  # nine actions of one number


def test_prepared_records_hold_their_numbers(assert_same):
    for record in episodes([7, 3]):
        assert_same(unpack(pack(record)), record)
    with pytest.raises(ValueError, match="a record has"):
        unpack(pack(episodes([3])[0])[:-1])
