"""Sequences of tokens: timesteps and slices as views, what fits, joining and extending."""

import dataclasses

import numpy as np
import pytest

from gato.tokenizer.sequence import TokenSequence


def sequence(lengths, patches_at=()):
    """Timesteps of the given lengths with numbered tokens, patches at the given tokens."""
    n, p = sum(lengths), len(patches_at)
    return TokenSequence(
        tokens=np.arange(n, dtype=np.int32),
        local_positions=np.arange(n, dtype=np.int32) * 2,
        loss_mask=np.arange(n) % 2 == 0,
        changed_mask=np.arange(n) % 3 == 0,
        patches=np.arange(p, dtype=np.uint8).reshape(p, 1, 1, 1).repeat(3, axis=-1),
        patch_indices=np.array(patches_at, np.int32),
        patch_intervals=np.arange(4 * p, dtype=np.int32).reshape(p, 4),
        starts=np.cumsum([0, *lengths]),
    )


def assert_equal(a, b):
    assert a.arrays().keys() == b.arrays().keys()
    for name, left in a.arrays().items():
        right = b.arrays()[name]
        assert left.shape == right.shape, name
        assert left.dtype == right.dtype, name
        assert (left == right).all(), name


def test_equal_sequences_have_equal_keys_and_others_have_not():
    one = sequence([3, 4, 2], patches_at=[0, 4])
    assert one.key == sequence([3, 4, 2], patches_at=[0, 4]).key
    for name, array in one.arrays().items():
        changed = array.copy()
        changed.flat[0] = 1 - changed.flat[0]
        assert dataclasses.replace(one, **{name: changed}).key != one.key
    assert dataclasses.replace(one, tokens=one.tokens.astype(np.int64)).key != one.key
    assert sequence([4, 3, 2], patches_at=[0, 4]).key != one.key


def test_timesteps_are_cut_with_their_patches():
    part = sequence([3, 4, 2], patches_at=[0, 4, 5, 7]).timesteps(1, 3)
    assert part.tokens.tolist() == [3, 4, 5, 6, 7, 8]
    assert part.starts.tolist() == [0, 4, 6]
    assert part.num_timesteps == 2
    assert part.patch_indices.tolist() == [1, 2, 4]
    assert part.patches[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert part.patch_intervals[:, 0].tolist() == [4, 8, 12]


def test_timesteps_share_memory():
    whole = sequence([3, 4])
    assert np.shares_memory(whole.timesteps(0, 1).tokens, whole.tokens)


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_concatenating_the_parts_gives_the_whole(cut):
    whole = sequence([3, 4, 2], patches_at=[0, 4, 5, 7])
    assert_equal(TokenSequence.concatenate([whole.timesteps(0, cut), whole.timesteps(cut, 3)]), whole)


@pytest.mark.parametrize(
    "first, max_tokens, expected",
    [(0, 0, 0), (0, 2, 0), (0, 3, 1), (0, 6, 1), (0, 7, 2), (0, 100, 3), (1, 4, 1), (2, 2, 1), (3, 5, 0)],
)
def test_num_fitting_counts_whole_timesteps(first, max_tokens, expected):
    assert sequence([3, 4, 2]).num_fitting(first, max_tokens) == expected


@pytest.mark.parametrize(
    "first, max_patches, expected", [(0, 0, 0), (0, 1, 1), (0, 2, 1), (0, 3, 2), (0, 4, 3), (1, 2, 1)]
)
def test_num_fitting_respects_patches(first, max_patches, expected):
    assert sequence([3, 4, 2], patches_at=[0, 4, 5, 7]).num_fitting(first, 100, max_patches) == expected


def test_num_fitting_takes_the_tighter_limit():
    assert sequence([3, 4, 2], patches_at=[0, 4, 5, 7]).num_fitting(0, 3, 4) == 1


def test_the_key_is_that_of_the_content():
    whole, again = (sequence([3, 4, 2], patches_at=[0, 4]) for _ in range(2))
    assert whole.key == again.key
    assert whole.timesteps(0, 2).key == again.timesteps(0, 2).key
    others = [
        whole.timesteps(0, 2),
        sequence([3, 4, 2], patches_at=[0, 5]),
        sequence([3, 6], patches_at=[0, 4]),
        dataclasses.replace(whole, tokens=whole.tokens + np.int32(1)),
        dataclasses.replace(whole, tokens=whole.tokens.astype(np.int64)),
        dataclasses.replace(whole, loss_mask=~whole.loss_mask),
    ]
    assert len({whole.key, *(other.key for other in others)}) == len(others) + 1


def test_a_slice_is_one_timestep_wherever_timesteps_begin():
    whole = sequence([3, 4, 2], patches_at=[0, 4, 5, 7])
    part = whole.slice(2, 6)
    assert part.tokens.tolist() == [2, 3, 4, 5]
    assert part.local_positions.tolist() == [4, 6, 8, 10]
    assert part.loss_mask.tolist() == [True, False, True, False]
    assert part.changed_mask.tolist() == [False, True, False, False]
    assert part.patch_indices.tolist() == [2, 3]
    assert part.patches[:, 0, 0, 0].tolist() == [1, 2]
    assert part.patch_intervals[:, 0].tolist() == [4, 8]
    assert part.starts.tolist() == [0, 4]
    assert np.shares_memory(part.tokens, whole.tokens)
    assert_equal(whole.slice(3, 7), whole.timesteps(1, 2))


def test_extending_adds_tokens_to_the_last_timestep():
    whole = sequence([3, 2, 1, 1], patches_at=[0, 4, 6])
    longer = whole.timesteps(0, 2).extend(whole.timesteps(2, 4))
    assert_equal(longer.slice(0, 7), whole.slice(0, 7))
    assert longer.starts.tolist() == [0, 3, 7]


def test_without_targets_only_the_loss_mask_is_cleared():
    whole = sequence([3, 2], patches_at=[0, 4])
    assert not whole.without_targets().loss_mask.any()
    assert whole.loss_mask.any()
    assert_equal(dataclasses.replace(whole.without_targets(), loss_mask=whole.loss_mask), whole)


def test_a_sequence_is_shown_by_its_sizes():
    assert repr(sequence([3, 4, 2], [0, 4])) == "TokenSequence(3 timesteps, 9 tokens, 2 patches of (1, 1, 3))"
