"""Rows padded to a batch."""

import dataclasses

import numpy as np
import pytest

from gato.config import DataConfig
from gato.data.collate import Row, make_batch


def rows_and_sizes(make_tokens):
    first = make_tokens([2, 2], [0, 2], first_token=10, patch_size=4)
    second = dataclasses.replace(make_tokens([3], first_token=20, patch_size=4), loss_mask=np.array([1, 0, 1], bool))
    rows = [Row(sequence=first, source_id=3), Row(sequence=second, source_id=1)]
    return rows, DataConfig(context_length=6, max_patches=3)


def test_rows_are_padded_on_the_right(make_tokens, config):
    rows, data = rows_and_sizes(make_tokens)
    batch = make_batch(rows, data, config)
    pad, nowhere = config.padding_id, config.no_position
    assert batch.tokens.tolist() == [[10, 11, 12, 13, pad, pad], [20, 21, 22, pad, pad, pad]]
    assert batch.local_positions.tolist() == [[0, 2, 4, 6, nowhere, nowhere], [0, 2, 4, nowhere, nowhere, nowhere]]
    assert batch.changed_mask.astype(int).tolist() == [[1, 0, 0, 1, 0, 0], [1, 0, 0, 0, 0, 0]]
    assert batch.lengths.tolist() == [4, 3]
    assert batch.source_ids.tolist() == [3, 1]
    assert batch.patch_indices.tolist() == [[0, 2, 6], [6, 6, 6]]
    assert batch.patches[:, :, 1, 2, 0].tolist() == [[0, 1, 0], [0, 0, 0]]
    assert batch.patch_intervals[0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [0, 0, 0, 0]]
    assert not batch.patch_intervals[1].any()


def test_a_batch_has_the_dtypes_that_it_names(make_tokens, config):
    batch = make_batch(*rows_and_sizes(make_tokens), config)
    kinds = {name: array.dtype.name for name, array in vars(batch).items() if array is not None}
    floats, bools = {"row_weights": "float32"}, {"loss_mask": "bool", "changed_mask": "bool"}
    assert kinds == {**dict.fromkeys(kinds, "int32"), **floats, **bools, "patches": "uint8"}


def test_the_first_token_of_a_row_is_never_a_target(make_tokens, config):
    batch = make_batch(*rows_and_sizes(make_tokens), config)
    assert batch.loss_mask.astype(int).tolist() == [[0, 1, 1, 1, 0, 0], [0, 0, 1, 0, 0, 0]]


def test_making_a_batch_leaves_the_rows_as_they_are(make_tokens, config):
    rows, data = rows_and_sizes(make_tokens)
    make_batch(rows, data, config)
    assert rows[0].sequence.loss_mask.all()


@pytest.mark.parametrize("exponent, expected", [(0.0, [1, 1, 0]), (1.0, [1 / 4, 1, 0]), (0.5, [1 / 2, 1, 0])])
def test_a_row_of_n_targets_weighs_n_to_the_minus_exponent(make_tokens, config, exponent, expected):
    # Four targets after the first token; one; none at all.
    lengths = [5, 2, 1]
    data = DataConfig(context_length=5, max_patches=1, row_loss_exponent=exponent)
    rows = [Row(sequence=make_tokens([length], patch_size=4), source_id=0) for length in lengths]
    np.testing.assert_allclose(make_batch(rows, data, config).row_weights, expected, rtol=1e-6)


@pytest.mark.parametrize("context_length, max_patches", [(3, 3), (6, 1)], ids=["tokens", "patches"])
def test_a_row_that_is_too_long_is_refused(make_tokens, config, context_length, max_patches):
    rows, _ = rows_and_sizes(make_tokens)
    data = DataConfig(context_length=context_length, max_patches=max_patches)
    match = f"row 1 holds 4 tokens and 2 patches, expected at most {context_length} and {max_patches}"
    with pytest.raises(ValueError, match=match):
        make_batch([rows[1], rows[0]], data, config)


def test_a_longer_context_only_adds_padding(make_tokens, config):
    rows, data = rows_and_sizes(make_tokens)
    short = make_batch(rows, data, config)
    long = make_batch(rows, dataclasses.replace(data, context_length=9), config)
    for name in ("tokens", "local_positions", "loss_mask", "changed_mask"):
        np.testing.assert_array_equal(getattr(long, name)[:, :6], getattr(short, name))
    np.testing.assert_array_equal(long.row_weights, short.row_weights)
    assert (long.tokens[:, 6:] == config.padding_id).all()


def test_without_isolation_every_token_sees_all_of_the_past(make_tokens, config):
    rows, data = rows_and_sizes(make_tokens)
    assert make_batch(rows, data, config).visible_from is None


def test_isolated_timesteps_see_themselves_only(make_tokens, config):
    pairs = Row(sequence=make_tokens([2, 3], [0, 2], patch_size=4), source_id=0, parts=(0, 2))
    episode = Row(sequence=make_tokens([2, 3], [0, 2], patch_size=4), source_id=1)
    data = DataConfig(context_length=6, max_patches=3, isolate_pairs=True)
    batch = make_batch([pairs, episode], data, config)
    assert batch.visible_from.dtype == np.int32
    assert batch.visible_from.tolist() == [[0, 0, 2, 2, 2, 0], [0] * 6]
    joined = make_batch([pairs, episode], dataclasses.replace(data, isolate_pairs=False), config)
    np.testing.assert_array_equal(batch.tokens, joined.tokens)
