import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gato.model.gato import Gato, matrix_mask, parameters, rebuild


@pytest.fixture(scope="module")
def model(tokenizer, model_config, build):
    return build(Gato, model_config(smooth_bins=True), tokenizer)


def _replace_entry(array, index, value):
    changed = np.array(array)
    changed[index] = value
    return changed


def _changed_batches(batch, tokenizer):
    """Each modality's array changed at one token of row 0, and that token's index."""
    place = int(batch.patch_indices[0, 1])
    token_place = next(i for i in range(5, 12) if batch.tokens[0, i] != tokenizer.padding_id)
    token = (batch.tokens[0, token_place] + 1) % tokenizer.separator_id
    position = (batch.local_positions[0, token_place] + 1) % tokenizer.no_position
    at_token = (0, token_place)
    return {
        "token": ({"tokens": _replace_entry(batch.tokens, at_token, token)}, token_place),
        "local position": ({"local_positions": _replace_entry(batch.local_positions, at_token, position)}, token_place),
        "patch": ({"patches": _replace_entry(batch.patches, (0, 1), 255 - batch.patches[0, 1])}, place),
        "patch position": ({"patch_intervals": _replace_entry(batch.patch_intervals, (0, 1), [0, 2, 3, 5])}, place),
    }


@pytest.mark.parametrize("modality", ["token", "local position", "patch", "patch position"])
def test_an_token_changes_its_own_and_later_hidden_vectors_only(modality, model, tokenizer, random_batch, run):
    batch = random_batch()
    changes, place = _changed_batches(batch, tokenizer)[modality]
    assert place > 0
    difference = np.abs(run(model, batch) - run(model, dataclasses.replace(batch, **changes))).max(axis=-1)
    assert not difference[0, :place].any()
    assert (difference[0, place:] > 1e-6).all()
    assert not difference[1:].any()


def test_isolated_parts_of_a_row_are_as_alone(model, tokenizer, random_batch, run):
    """Two pictures with text, joined in one row, give what each gives in a row of its own."""
    first, second = (random_batch(num_rows=1, seed=seed) for seed in (1, 2))
    second_indices = np.where(second.patch_indices < 12, second.patch_indices + 12, 24)
    joined = dataclasses.replace(
        first,
        tokens=np.concatenate([first.tokens, second.tokens], axis=1),
        local_positions=np.concatenate([first.local_positions, second.local_positions], axis=1),
        patches=np.concatenate([first.patches, second.patches], axis=1),
        patch_indices=np.concatenate(
            [np.where(first.patch_indices < 12, first.patch_indices, 24), second_indices], axis=1
        ),
        patch_intervals=np.concatenate([first.patch_intervals, second.patch_intervals], axis=1),
    )
    alone = np.concatenate([run(model, first), run(model, second)], axis=1)
    apart = dataclasses.replace(joined, visible_from=np.repeat(np.array([[0, 12]], np.int32), 12, axis=1))
    np.testing.assert_allclose(run(model, apart), alone, atol=1e-5)
    assert np.abs(run(model, joined) - alone)[:, 12:].max() > 1e-2


def test_padding_and_empty_patch_places_change_nothing(model, tokenizer, random_batch, run):
    batch = random_batch()
    after, two_more = ((0, 0), (0, 4)), ((0, 0), (0, 2))
    indices = np.where(batch.patch_indices == 12, 16, batch.patch_indices)
    longer = dataclasses.replace(
        batch,
        tokens=np.pad(batch.tokens, after, constant_values=tokenizer.padding_id),
        local_positions=np.pad(batch.local_positions, after, constant_values=tokenizer.no_position),
        loss_mask=np.pad(batch.loss_mask, after),
        changed_mask=np.pad(batch.changed_mask, after),
        patches=np.pad(batch.patches, (*two_more, (0, 0), (0, 0), (0, 0)), constant_values=7),
        patch_indices=np.pad(indices, two_more, constant_values=16),
        patch_intervals=np.pad(batch.patch_intervals, (*two_more, (0, 0))),
    )
    np.testing.assert_allclose(run(model, longer)[:, :12], run(model, batch), atol=1e-5)


def test_rows_do_not_see_one_another(model, random_batch, run):
    batch = random_batch()
    order = np.array([2, 0, 1])
    shuffled = jax.tree.map(lambda array: array[order], batch)
    np.testing.assert_allclose(run(model, shuffled), run(model, batch)[order], atol=1e-5)


def test_a_batch_without_patches_runs_without_the_stem(model, tokenizer, random_batch, run):
    batch = random_batch(num_patches=1)
    with_none = dataclasses.replace(batch, patch_indices=np.full((3, 1), 12, np.int32))
    names = ("patches", "patch_indices", "patch_intervals")
    without = dataclasses.replace(batch, **{name: getattr(batch, name)[:, :0] for name in names})
    np.testing.assert_allclose(run(model, without), run(model, with_none), atol=1e-6)


def test_training_is_a_function_of_its_key(tokenizer, model_config, random_batch, build, run):
    model = build(Gato, model_config(num_layers=1, stochastic_depth=0.5), tokenizer)
    batch = random_batch(num_patches=0)
    first, second, again = (run(model, batch, key=jax.random.key(seed)) for seed in (0, 1, 0))
    assert jnp.abs(first - second).max() > 0.1
    np.testing.assert_array_equal(first, again)


def test_bfloat16_is_close_to_float32(tokenizer, model_config, random_batch, run, init):
    batch = random_batch()
    params = init(model_config(), tokenizer, jax.random.key(0))
    exact, rough = (rebuild(model_config(compute_dtype=dtype), tokenizer, params) for dtype in ("float32", "bfloat16"))
    hidden = run(rough, batch)
    assert hidden.dtype == jnp.bfloat16
    assert rough.logits(hidden).dtype == jnp.float32
    error = jnp.abs(rough.logits(hidden) - exact.logits(run(exact, batch)))
    assert 0 < float(error.mean()) < 0.02
    assert {leaf.dtype for leaf in jax.tree.leaves(parameters(rough))} == {jnp.dtype("float32")}


def test_logits_are_products_with_the_token_table(model):
    hidden = jax.random.normal(jax.random.key(0), (5, 32))
    table = model.embedding.tokens[...]
    np.testing.assert_allclose(model.logits(hidden), hidden @ table.T, atol=1e-5)
    np.testing.assert_allclose(model.logits(hidden, slice(260, 276)), (hidden @ table.T)[:, 260:276], atol=1e-5)


def test_a_rebuilt_model_is_the_same_function(model, tokenizer, random_batch, run):
    batch = random_batch()
    rebuilt = jax.jit(lambda params, batch: rebuild(model.config, tokenizer, params)(batch))
    np.testing.assert_allclose(rebuilt(parameters(model), batch), run(model, batch), atol=1e-5)


def test_parameters_are_plain_dicts_of_arrays_and_nothing_else(model):
    params = parameters(model)
    leaves = jax.tree.leaves_with_path(params)
    assert all(type(part) is jax.tree_util.DictKey for path, _ in leaves for part in path)
    assert {leaf.dtype for _, leaf in leaves} == {jnp.dtype("float32")}
    assert params["transformer"]["blocks"]["attention"]["qkv"]["kernel"].shape == (2, 32, 3 * 16)


def test_init_is_a_function_of_its_key(tokenizer, model_config, init):
    first, again, other = (init(model_config(), tokenizer, jax.random.key(seed)) for seed in (0, 0, 1))
    for one, two, three in zip(*(jax.tree.leaves(params) for params in (first, again, other)), strict=True):
        np.testing.assert_array_equal(one, two)
        assert one.ndim <= 2 or jnp.abs(one - three).max() > 0.001


def test_scanned_and_unrolled_models_share_one_layout(tokenizer, model_config, init):
    unrolled = init(model_config(), tokenizer, jax.random.key(0))
    rebuild(model_config(scan_layers=True, remat="full", attention_block=7), tokenizer, unrolled)


def test_foreign_parameters_are_refused_by_name(tokenizer, model_config, init):
    params = init(model_config(), tokenizer, jax.random.key(0))
    with pytest.raises(ValueError, match=r"'transformer.blocks.mlp.down.kernel' is float32\[2, 24, 32\], expected"):
        rebuild(model_config(mlp_width=64), tokenizer, params)
    del params["embedding"]["patch_rows"]
    with pytest.raises(ValueError, match=r"'embedding.patch_rows' is absent, expected float32\[128, 32\]"):
        rebuild(model_config(), tokenizer, params)


def test_matrix_mask_leaves_out_norms_and_biases(tokenizer, model_config, init):
    params = init(model_config(patch_stem="residual"), tokenizer, jax.random.key(0))
    mask = matrix_mask(params)
    blocks = mask["transformer"]["blocks"]
    assert blocks["attention_norm"] == {"scale": False, "bias": False}
    assert blocks["attention"] == {"qkv": {"kernel": True}, "out": {"kernel": True}}
    assert mask["embedding"]["tokens"]
    assert mask["embedding"]["stem"]["stem"]["norm_1"] == {"scale": False, "bias": False}
