"""Windows cut at timesteps, and seen as often as they should be."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gato.data.window import START_TIMESTEPS, draw_length, draw_span, draw_start, draw_window
from gato.tokenizer.demonstration import largest_timestep, last_start

EVERYTHING = 1_000


def within(count, num_draws, share):
    """Whether a count over independent draws lies within five standard errors of its share."""
    return abs(count - num_draws * share) <= 5 * np.sqrt(num_draws * share * (1 - share))


@pytest.mark.parametrize(
    "max_tokens, max_patches, expected",
    [(9, 4, 0), (8, 4, 1), (6, 4, 1), (5, 4, 2), (2, 4, 2), (1, 4, 3), (9, 3, 1), (9, 1, 2), (9, 0, 3), (5, 3, 2)],
)
def test_last_start_is_the_earliest_timestep_from_which_the_rest_fits(make_tokens, max_tokens, max_patches, expected):
    # Timesteps of 3, 4 and 2 tokens, with 1, 2 and 1 patches.
    assert last_start(make_tokens([3, 4, 2], [0, 3, 4, 7]), max_tokens, max_patches) == expected


def test_the_largest_timestep_is_taken_apart_for_tokens_and_patches(make_tokens):
    assert largest_timestep(make_tokens([3, 5, 2], [0, 1, 2, 8])) == (5, 3)


@pytest.mark.parametrize(
    "lengths, max_tokens, windows",
    [
        ([2, 3, 2], 7, {(0, 7): 1.0}),
        ([2, 3, 2], 5, {(0, 5): 1 / 2, (2, 7): 1 / 2}),
        ([2, 3, 2], 4, {(0, 2): 1 / 3, (2, 5): 1 / 3, (5, 7): 1 / 3}),
        ([1, 4, 1, 1], 5, {(0, 5): 2 / 5, (1, 6): 1 / 5, (5, 7): 2 / 5}),
        ([1, 4, 1, 1], 6, {(0, 6): 1 / 2, (1, 7): 1 / 2}),
    ],
    ids=["whole", "two-of-three", "one-of-three", "uneven", "uneven-wide"],
)
def test_windows_are_whole_timesteps_drawn_by_alignment(make_tokens, lengths, max_tokens, windows):
    rng, num_draws = np.random.default_rng(0), 1000
    sequence = make_tokens(lengths)
    counts = dict.fromkeys(windows, 0)
    for _ in range(num_draws):
        drawn = draw_window(sequence, max_tokens, EVERYTHING, rng)
        low, high = int(drawn.tokens[0]), int(drawn.tokens[-1]) + 1
        assert drawn.tokens.tolist() == list(range(low, high))
        counts[low, high] += 1
    assert all(within(counts[part], num_draws, share) for part, share in windows.items()), counts


@settings(deadline=None, max_examples=60)
@given(data=st.data(), seed=st.integers(0, 2**32), lengths=st.lists(st.integers(1, 6), min_size=1, max_size=12))
def test_a_window_fits_and_takes_as_many_timesteps_as_it_can(make_tokens, assert_same, data, seed, lengths):
    patches_at = sorted(data.draw(st.sets(st.integers(0, sum(lengths) - 1))))
    sequence = make_tokens(lengths, patches_at)
    num_tokens, num_patches = largest_timestep(sequence)
    max_tokens = data.draw(st.integers(num_tokens, sum(lengths) + 1))
    max_patches = data.draw(st.integers(num_patches, len(patches_at) + 1))

    def fits(first, stop):
        part = sequence.timesteps(first, stop)
        return len(part) <= max_tokens and len(part.patches) <= max_patches

    drawn = draw_window(sequence, max_tokens, max_patches, np.random.default_rng(seed))
    first = sequence.starts.tolist().index(drawn.tokens[0])
    stop = first + drawn.num_timesteps
    assert_same(drawn, sequence.timesteps(first, stop))
    assert fits(first, stop)
    if stop < len(lengths):
        assert not fits(first, stop + 1)
    elif first:
        assert not fits(first - 1, stop)


def test_a_share_of_windows_begins_where_episodes_do(make_tokens):
    rng, num_draws = np.random.default_rng(1), 4000
    sequence = make_tokens([2] * 400)
    firsts = [int(draw_window(sequence, 9, EVERYTHING, rng, start_share=0.5).tokens[0]) // 2 for _ in range(num_draws)]
    # Of the other half, 16 + 3 of the 403 alignments begin there too.
    early = sum(first < START_TIMESTEPS for first in firsts)
    assert within(early, num_draws, 0.5 + 0.5 * (START_TIMESTEPS + 3) / 403)
    counts = np.bincount(firsts, minlength=START_TIMESTEPS)[1:START_TIMESTEPS]
    assert counts.min() > 0.6 * num_draws / 2 / START_TIMESTEPS
    short = make_tokens([2] * 5)
    assert {len(draw_window(short, 9, EVERYTHING, rng, start_share=1.0).tokens) for _ in range(50)} == {8}


def test_without_a_share_nothing_more_is_drawn(make_tokens):
    sequence = make_tokens([2] * 40)
    plain, zero = np.random.default_rng(3), np.random.default_rng(3)
    for _ in range(20):
        ours = draw_window(sequence, 9, EVERYTHING, zero, start_share=0.0)
        assert np.array_equal(draw_window(sequence, 9, EVERYTHING, plain).tokens, ours.tokens)


def test_the_first_and_last_timesteps_are_seen_as_often_as_those_in_the_middle(make_tokens):
    # 20 timesteps, 4 to a window: 23 alignments, of which 4 show any one timestep. Moving 3 of them inside at
    # either end adds to the timesteps beside the first and the last.
    rng, num_draws = np.random.default_rng(1), 5000
    sequence = make_tokens([2] * 20)
    seen = np.zeros(20)
    for _ in range(num_draws):
        seen[draw_window(sequence, 9, EVERYTHING, rng).tokens[::2] // 2] += 1
    alignments = np.array([4, 5, 6, 7, *[4] * 12, 7, 6, 5, 4])
    assert all(within(count, num_draws, share) for count, share in zip(seen, alignments / 23, strict=True)), seen


def test_starts_cover_every_place_a_window_has():
    rng = np.random.default_rng(2)
    assert {draw_start(7, 3, rng) for _ in range(300)} == {0, 1, 2, 3, 4}
    assert {draw_start(7, 7, rng) for _ in range(100)} == {0}
    assert {draw_start(3, 1, rng) for _ in range(100)} == {0, 1, 2}


def test_windows_are_cut_before_they_need_too_many_patches(make_tokens):
    sequence = make_tokens([2, 2, 2], [0, 1, 2, 4])
    rng = np.random.default_rng(3)
    drawn = {tuple(draw_window(sequence, EVERYTHING, 2, rng).tokens) for _ in range(100)}
    assert drawn == {(0, 1), (2, 3, 4, 5)}


@pytest.mark.parametrize(
    "max_tokens, max_patches, match",
    [
        (4, 3, "a timestep of 5 tokens, 2 of them patches, does not fit into 4 tokens and 3 patches"),
        (9, 1, "a timestep of 5 tokens, 2 of them patches, does not fit into 9 tokens and 1 patches"),
    ],
    ids=["tokens", "patches"],
)
def test_a_timestep_that_is_too_large_is_refused(make_tokens, max_tokens, max_patches, match):
    sequence = make_tokens([3, 5, 2], [3, 4, 8])
    with pytest.raises(ValueError, match=match + ": raise context_length or max_patches"):
        draw_window(sequence, max_tokens, max_patches, np.random.default_rng(0))


def test_spans_of_a_document_are_cut_at_any_token(make_tokens):
    document = make_tokens([10])
    rng, num_draws = np.random.default_rng(4), 3000
    counts = np.zeros(7)
    for _ in range(num_draws):
        span = draw_span(document, 4, rng)
        low = int(span.tokens[0])
        assert span.tokens.tolist() == [low, low + 1, low + 2, low + 3]
        assert span.local_positions.tolist() == [2 * low, 2 * low + 2, 2 * low + 4, 2 * low + 6]
        assert span.starts.tolist() == [0, 4]
        assert not len(span.patches)
        counts[low] += 1
    # 13 alignments, four of which are moved to either end.
    assert all(within(count, num_draws, share / 13) for count, share in zip(counts, [4, 1, 1, 1, 1, 1, 4], strict=True))


def test_a_span_keeps_the_masks_beside_their_tokens(make_tokens):
    document = dataclasses.replace(make_tokens([12]), loss_mask=np.arange(12) % 2 == 0)
    span = draw_span(document, 5, np.random.default_rng(5))
    assert (span.loss_mask == (span.tokens % 2 == 0)).all()
    assert (span.changed_mask == (span.tokens % 3 == 0)).all()


def test_a_document_that_fits_is_shown_whole(make_tokens, assert_same):
    document = make_tokens([10])
    assert_same(draw_span(document, 10, np.random.default_rng(6)), document)
    assert_same(draw_span(document, 99, np.random.default_rng(6)), document)


def test_a_log_uniform_length_lies_as_often_in_each_octave():
    rng, num_draws = np.random.default_rng(0), 4000
    lengths = np.array([draw_length(1, 63, rng) for _ in range(num_draws)])
    assert lengths.min() == 1
    assert lengths.max() == 63
    for octave in range(6):  # 1, 2 to 3, ..., 32 to 63
        count = int(((lengths >= 2**octave) & (lengths < 2 ** (octave + 1))).sum())
        assert within(count, num_draws, 1 / 6), (octave, count)


@pytest.mark.parametrize("shortest, longest", [(1, 1), (7, 7), (3, 4)])
def test_a_length_lies_within_its_limits(shortest, longest):
    rng = np.random.default_rng(0)
    assert {draw_length(shortest, longest, rng) for _ in range(100)} == set(range(shortest, longest + 1))
