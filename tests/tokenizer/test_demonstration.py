"""Demonstrations: which part is shown, within which budget."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gato.tokenizer.demonstration import cut_demonstration, join_demonstrations


def spans(parts):
    """First and one past the last token of each."""
    return {(int(part.tokens[0]), int(part.tokens[-1]) + 1) for part in parts}


@pytest.mark.parametrize(
    "part, max_tokens, expected",
    [
        ("first", 3, (0, 3)),
        ("first", 8, (0, 7)),
        ("first", 9, (0, 9)),
        ("first", 99, (0, 14)),
        ("end", 5, (9, 14)),
        ("end", 6, (9, 14)),
        ("end", 7, (7, 14)),
        ("end", 99, (0, 14)),
    ],
)
def test_the_first_and_the_end_are_as_many_timesteps_as_fit(make_tokens, part, max_tokens, expected):
    # Timesteps start at 0, 3, 7 and 9.
    assert spans([cut_demonstration(make_tokens([3, 4, 2, 5]), part, max_tokens)]) == {expected}


def test_a_uniform_part_starts_at_any_timestep_that_leaves_it_full(make_tokens):
    rng, num_draws = np.random.default_rng(0), 1500
    sequence = make_tokens([3, 4, 2, 5])
    starts = [int(cut_demonstration(sequence, "uniform", 8, rng=rng).tokens[0]) for _ in range(num_draws)]
    found, counts = np.unique(starts, return_counts=True)
    assert found.tolist() == [0, 3, 7]
    assert np.abs(counts - 500).max() < 5 * np.sqrt(num_draws * (1 / 3) * (2 / 3))


def test_a_uniform_part_is_as_long_as_fits_from_where_it_starts(make_tokens):
    rng = np.random.default_rng(1)
    drawn = [cut_demonstration(make_tokens([3, 4, 2, 5]), "uniform", 8, rng=rng) for _ in range(100)]
    assert spans(drawn) == {(0, 7), (3, 9), (7, 14)}


@pytest.mark.parametrize(
    "part, max_patches, expected",
    [("first", 3, (0, 4)), ("first", 4, (0, 6)), ("end", 1, (4, 6)), ("end", 3, (2, 6)), ("end", 4, (0, 6))],
)
def test_patches_have_a_budget_of_their_own(make_tokens, part, max_patches, expected):
    # Timesteps of two tokens with 1, 2 and 1 patches.
    sequence = make_tokens([2, 2, 2], [0, 2, 3, 4])
    shown = cut_demonstration(sequence, part, 6, max_patches=max_patches)
    assert spans([shown]) == {expected}
    assert len(shown.patches) <= max_patches


@settings(deadline=None, max_examples=60)
@given(
    data=st.data(),
    part=st.sampled_from(["first", "end", "uniform"]),
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=8),
    seed=st.integers(0, 99),
)
def test_a_demonstration_is_whole_timesteps_within_both_budgets(make_tokens, assert_same, data, part, lengths, seed):
    patches_at = sorted(data.draw(st.sets(st.integers(0, sum(lengths) - 1))))
    max_tokens, max_patches = data.draw(st.integers(5, 30)), data.draw(st.integers(5, 30))
    sequence = make_tokens(lengths, patches_at)
    shown = cut_demonstration(sequence, part, max_tokens, max_patches=max_patches, rng=np.random.default_rng(seed))
    assert len(shown) <= max_tokens
    assert len(shown.patches) <= max_patches
    first = sequence.starts.tolist().index(shown.tokens[0])
    assert_same(shown, sequence.timesteps(first, first + shown.num_timesteps))


def test_a_uniform_part_needs_a_generator(make_tokens):
    with pytest.raises(ValueError, match="a uniform part of a demonstration needs an rng"):
        cut_demonstration(make_tokens([3]), "uniform", 8)


@pytest.mark.parametrize("part", ["first", "end", "uniform"])
@pytest.mark.parametrize("max_tokens, max_patches", [(3, 9), (9, 1)], ids=["tokens", "patches"])
def test_a_demonstration_of_which_nothing_fits_is_refused(make_tokens, part, max_tokens, max_patches):
    sequence = make_tokens([4, 5], [0, 1, 4, 5])
    match = f"no timestep of the demonstration fits into {max_tokens} tokens and {max_patches} patches.*has 5 tokens"
    with pytest.raises(ValueError, match=match):
        cut_demonstration(sequence, part, max_tokens, max_patches=max_patches, rng=np.random.default_rng(0))


def test_one_joined_demonstration_is_the_cut_demonstration(make_tokens, assert_same):
    sequence = make_tokens([3, 4, 2, 5], [0, 9])
    assert_same(join_demonstrations([sequence], "end", 8), cut_demonstration(sequence, "end", 8))


def test_joined_demonstrations_share_the_budget_and_pass_on_what_is_left(make_tokens):
    # 20 tokens: the first may take 10 and takes 4 + 4, the second takes what then is left, 12 = 5 + 5 and not 15.
    four = make_tokens([4, 4, 4], first_token=100)
    five = make_tokens([5, 5, 5], first_token=200)
    shown = join_demonstrations([four, five], "first", 20)
    assert shown.tokens.tolist() == [*range(100, 108), *range(200, 210)]
    assert shown.starts.tolist() == [0, 4, 8, 13, 18]
    # The other way round: 10 for the first, then 10 are left, enough for 4 + 4.
    shown = join_demonstrations([five, four], "end", 20)
    assert shown.tokens.tolist() == [*range(205, 215), *range(104, 112)]


def test_joined_demonstrations_share_the_patches_too(make_tokens):
    # Two patches a timestep. Of 7 the first may take 3, so one timestep; 5 are left, so two timesteps.
    one = make_tokens([3, 3, 3], [0, 1, 3, 4, 6, 7], first_token=100)
    two = make_tokens([3, 3, 3], [0, 1, 3, 4, 6, 7], first_token=200)
    shown = join_demonstrations([one, two], "first", 100, max_patches=7)
    assert shown.tokens.tolist() == [100, 101, 102, *range(200, 206)]
    assert shown.patch_indices.tolist() == [0, 1, 3, 4, 6, 7]


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=6), min_size=1, max_size=4),
    spare=st.integers(0, 20),
    part=st.sampled_from(["first", "end", "uniform"]),
)
def test_joined_demonstrations_show_some_of_each_within_the_budget(make_tokens, lengths, spare, part):
    episodes = [make_tokens(each, first_token=100 * i) for i, each in enumerate(lengths)]
    max_tokens = 4 * len(episodes) + spare
    shown = join_demonstrations(episodes, part, max_tokens, rng=np.random.default_rng(spare))
    assert len(shown) <= max_tokens
    assert list(dict.fromkeys((shown.tokens // 100).tolist())) == list(range(len(episodes)))


def test_a_share_too_small_for_a_timestep_is_refused(make_tokens):
    with pytest.raises(ValueError, match="no timestep of the demonstration fits into 3 tokens"):
        join_demonstrations([make_tokens([4]), make_tokens([4])], "first", 7)


def test_an_empty_demonstration_is_refused(make_tokens):
    with pytest.raises(ValueError, match=r"no timestep of the demonstration fits into 8 tokens .* it is empty"):
        cut_demonstration(make_tokens([]), "first", 8)
