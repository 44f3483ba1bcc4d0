import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from gato.config import TokenizerConfig
from gato.model.embedding import Embedding, patch_positions, smooth_features


def _rms(x):
    return float(jnp.sqrt(jnp.mean(jnp.square(x))))


def test_patch_positions_of_the_papers_example_are_its_printed_means():
    # An 80 x 64 picture; the patch at rows [0.25, 0.5], columns [0.4, 0.6] (Gato, figure 17).
    intervals = jnp.array([[32, 64], [51, 77]])
    assert patch_positions(intervals, 128, None).tolist() == [48, 64]


def test_patch_positions_in_evaluation_stay_inside_the_table():
    assert patch_positions(jnp.array([[127, 128], [128, 128], [0, 1]]), 128, None).tolist() == [127, 127, 0]


def test_patch_positions_in_training_cover_their_interval_and_nothing_else():
    intervals = jnp.broadcast_to(jnp.array([[3, 7], [5, 5], [126, 128]]), (200, 3, 2))
    drawn = patch_positions(intervals, 128, jax.random.key(0))
    assert [sorted(set(column.tolist())) for column in drawn.T] == [[3, 4, 5, 6], [5], [126, 127]]


def test_each_training_call_draws_new_patch_positions(tokenizer, model_config, random_batch, build, run):
    embedding = build(Embedding, model_config(), tokenizer)
    batch = random_batch()
    first, second, again = (run(embedding, batch, key=jax.random.key(seed)) for seed in (1, 2, 1))
    patch_mask = batch.tokens == tokenizer.padding_id
    changed = np.asarray(jnp.abs(first - second).max(axis=-1)) > 1e-3
    np.testing.assert_array_equal(changed, patch_mask)
    np.testing.assert_array_equal(first, again)


def test_evaluation_uses_the_mean_position(tokenizer, model_config, random_batch, build, run):
    embedding = build(Embedding, model_config(), tokenizer)
    batch = random_batch()
    middle = np.repeat((batch.patch_intervals[..., ::2] + batch.patch_intervals[..., 1::2]) // 2, 2, axis=-1)
    at_middle = dataclasses.replace(batch, patch_intervals=middle)
    # An interval of one integer leaves training nothing to draw.
    np.testing.assert_allclose(run(embedding, batch), run(embedding, at_middle, key=jax.random.key(0)), atol=1e-6)


def test_an_token_is_the_sum_of_its_parts(tokenizer, model_config, random_batch, build, run):
    config = model_config(unit_rms_inputs=False)
    embedding = build(Embedding, config, tokenizer)
    batch = random_batch()
    stems = np.asarray(embedding.stem(jnp.asarray(batch.patches)))
    names = ("tokens", "local_positions", "patch_rows", "patch_columns")
    tokens, local_positions, patch_rows, patch_columns = (np.asarray(getattr(embedding, name)[...]) for name in names)
    rows, columns = batch.patch_intervals[..., 0] + 10, batch.patch_intervals[..., 2] + 10
    local_rows = np.concatenate([local_positions, np.zeros((1, config.width), np.float32)])
    expected = local_rows[batch.local_positions]
    for b, place in np.ndindex(batch.tokens.shape):
        if batch.tokens[b, place] != tokenizer.padding_id:
            expected[b, place] += tokens[batch.tokens[b, place]]
    for b, p in np.ndindex(batch.patch_indices.shape):
        if (place := batch.patch_indices[b, p]) < batch.tokens.shape[1]:
            expected[b, place] += stems[b, p] + patch_rows[rows[b, p]] + patch_columns[columns[b, p]]
    np.testing.assert_allclose(run(embedding, batch), expected, atol=1e-6)


def test_no_position_and_padding_add_nothing(tokenizer, model_config, random_batch, build, run):
    embedding = build(Embedding, model_config(), tokenizer)
    batch = random_batch(num_patches=0)
    nothing = dataclasses.replace(
        batch,
        tokens=np.full_like(batch.tokens, tokenizer.padding_id),
        local_positions=np.full_like(batch.local_positions, tokenizer.no_position),
    )
    assert not run(embedding, nothing).any()


def test_unit_rms_inputs_are_about_one(tokenizer, model_config, random_batch, build, run):
    config = model_config(width=256, patch_channels=64, pixel_offset=127.5, pixel_scale=73.9, smooth_bins=True)
    embedding = build(Embedding, config, tokenizer)
    batch = random_batch(num_rows=8, length=64, num_patches=17)
    x = run(embedding, batch)
    patch_mask = batch.tokens == tokenizer.padding_id
    bins_mask = np.isin(batch.tokens, tokenizer.continuous_ids)
    for mask in (patch_mask, bins_mask, ~patch_mask & ~bins_mask):
        assert 0.8 < _rms(x[mask]) < 1.4
    # The head reads the table as it is, so that first logits stay of size one.
    assert abs(_rms(embedding.tokens[...]) * 256**0.5 - 1) < 0.05


def test_standard_tables_start_small(tokenizer, model_config, build):
    embedding = build(Embedding, model_config(unit_rms_inputs=False), tokenizer)
    assert abs(_rms(embedding.tokens[...]) - 0.02) < 0.001


def test_smooth_features_of_neighbours_are_alike_and_of_distant_bins_are_not():
    features = smooth_features(jax.random.key(0), 1024, 256)
    assert abs(_rms(features) - 1) < 0.05
    unit = features / jnp.linalg.norm(features, axis=1, keepdims=True)
    similarity = unit @ unit.T
    assert jnp.diagonal(similarity, 1).min() > 0.99
    assert jnp.abs(jnp.diagonal(similarity, 512)).max() < 0.5


def test_smooth_bins_change_the_continuous_ids_only(model_config, build):
    tokenizer = TokenizerConfig(text_vocab_size=260, num_discrete=8)
    smooth = build(Embedding, model_config(smooth_bins=True, width=128), tokenizer).tokens[...]
    plain = build(Embedding, model_config(smooth_bins=False, width=128), tokenizer).tokens[...]
    changed = np.flatnonzero(np.abs(smooth - plain).max(axis=1))
    assert changed.tolist() == list(tokenizer.continuous_ids)

    def neighbours(table):
        unit = table / jnp.linalg.norm(table, axis=1, keepdims=True)
        bins = unit[tokenizer.continuous_ids.start : tokenizer.continuous_ids.stop]
        return float((bins[1:] * bins[:-1]).sum(axis=1).mean())

    assert neighbours(smooth) > 0.99
    assert abs(neighbours(plain)) < 0.1
