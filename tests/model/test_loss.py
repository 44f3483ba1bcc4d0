import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gato.model.gato import rebuild
from gato.model.loss import loss

NUM_SOURCES = 2

losses = nnx.jit(loss, static_argnums=3)


@pytest.fixture(scope="module")
def params(tokenizer, model_config, init):
    return init(model_config(), tokenizer, jax.random.key(0))


def _plain(model, hidden, batch, action_position):
    """Full logits of every token, then masks; sums by (source, kind)."""
    log_probs = jax.nn.log_softmax(model.logits(hidden[:, :-1]), axis=-1)
    targets = jnp.asarray(batch.tokens)[:, 1:]
    nll = -jnp.take_along_axis(log_probs, targets[..., None], axis=-1)[..., 0]
    weights = batch.loss_mask[:, 1:] * batch.row_weights[:, None]
    scalar = (nll * weights).sum() / weights.sum()
    right = log_probs.argmax(axis=-1) == targets
    action = batch.local_positions[:, 1:] == action_position
    sums = {}
    for source in range(NUM_SOURCES):
        for kind, of_kind in enumerate((~action, action)):
            mask = batch.loss_mask[:, 1:] & of_kind & (batch.source_ids == source)[:, None]
            changed = mask & batch.changed_mask[:, 1:] & action
            sums[source, kind] = (
                (nll * mask).sum(), mask.sum(), (right & mask).sum(), changed.sum(), (right & changed).sum(),
            )  # fmt: skip
    return scalar, sums


@pytest.mark.parametrize("loss_chunk", [1, 5, 1024])
def test_chunked_loss_and_gradients_equal_the_plain_ones(loss_chunk, params, tokenizer, model_config, random_batch):
    batch = random_batch(num_rows=4, length=20)
    config = model_config(loss_chunk=loss_chunk)
    hidden = jax.random.normal(jax.random.key(1), (4, 20, 32))

    def chunked(params, hidden):
        return loss(rebuild(config, tokenizer, params), hidden, batch, NUM_SOURCES)[0]

    def plain(params, hidden):
        return _plain(rebuild(config, tokenizer, params), hidden, batch, tokenizer.action_position)[0]

    value, gradients = jax.jit(jax.value_and_grad(chunked, argnums=(0, 1)))(params, hidden)
    expected, expected_gradients = jax.jit(jax.value_and_grad(plain, argnums=(0, 1)))(params, hidden)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    for actual, reference in zip(jax.tree.leaves(gradients), jax.tree.leaves(expected_gradients), strict=True):
        np.testing.assert_allclose(actual, reference, atol=1e-6)
    assert jnp.abs(gradients[0]["embedding"]["tokens"]).max() > 1e-3


def _gradients(params, tokenizer, config, batch, factor):
    def value(params, hidden):
        return factor * loss(rebuild(config, tokenizer, params), hidden, batch, NUM_SOURCES)[0]

    hidden = jax.random.normal(jax.random.key(1), (*batch.tokens.shape, config.width))
    return jax.grad(value, argnums=(0, 1)), params, hidden


def test_a_multiple_of_the_loss_has_that_multiple_of_its_gradients(params, tokenizer, model_config, random_batch):
    batch, config = random_batch(), model_config(loss_chunk=8)
    once, tripled = (
        jax.jit(gradient)(*inputs)
        for gradient, *inputs in (_gradients(params, tokenizer, config, batch, factor) for factor in (1, 3))
    )
    for one, three in zip(jax.tree.leaves(once), jax.tree.leaves(tripled), strict=True):
        np.testing.assert_allclose(three, 3 * one, rtol=1e-5, atol=1e-7)


def test_training_multiplies_by_the_table_once_forward_and_twice_backward(
    params, tokenizer, model_config, random_batch
):
    gradient, *inputs = _gradients(params, tokenizer, model_config(loss_chunk=8), random_batch(), 1)
    assert str(jax.make_jaxpr(gradient)(*inputs)).count("= dot_general[") == 3


def test_sums_are_those_of_the_plain_loss(params, tokenizer, model_config, random_batch, run):
    batch = random_batch(num_rows=4, length=20)
    actions = np.where(np.arange(20) % 3 == 0, tokenizer.action_position, batch.local_positions)
    batch = dataclasses.replace(batch, local_positions=actions.astype(np.int32))
    model = rebuild(model_config(loss_chunk=8), tokenizer, params)
    hidden = run(model, batch)
    _, sums = losses(model, hidden, batch, NUM_SOURCES)
    _, expected = _plain(model, hidden, batch, tokenizer.action_position)
    for (source, kind), (loss_sum, *counts) in expected.items():
        np.testing.assert_allclose(sums.loss_sum[source, kind], loss_sum, rtol=1e-5, atol=1e-5)
        assert [
            sums.count[source, kind],
            sums.correct[source, kind],
            sums.changed_count[source, kind],
            sums.changed_correct[source, kind],
        ] == counts
    assert sums.count.sum() == batch.loss_mask[:, 1:].sum()
    assert sums.changed_count[:, 0].sum() == 0


def test_a_hidden_vector_that_points_at_the_next_token_is_right(params, tokenizer, model_config, random_batch):
    batch = random_batch(num_patches=0)
    model = rebuild(model_config(), tokenizer, params)
    table = model.embedding.tokens[...]
    pointing = 1000 * jnp.roll(table[jnp.asarray(batch.tokens)], -1, axis=1)
    scalar, sums = losses(model, pointing, batch, NUM_SOURCES)
    assert scalar < 1e-3
    np.testing.assert_array_equal(sums.correct, sums.count)
    # The same vectors one place later point at the token that has just been.
    scalar, sums = losses(model, jnp.roll(pointing, 1, axis=1), batch, NUM_SOURCES)
    assert scalar > 10
    assert sums.correct.sum() < sums.count.sum() / 4


def test_the_first_token_is_never_a_target(params, tokenizer, model_config, random_batch, run):
    batch = random_batch()
    only_first = dataclasses.replace(batch, loss_mask=np.broadcast_to(np.arange(12) == 0, batch.loss_mask.shape))
    model = rebuild(model_config(), tokenizer, params)
    scalar, sums = losses(model, run(model, batch), only_first, NUM_SOURCES)
    assert scalar == 0
    assert sums.count.sum() == 0


def test_without_targets_loss_and_gradient_are_zero(params, tokenizer, model_config, random_batch):
    batch = dataclasses.replace(random_batch(), loss_mask=np.zeros((3, 12), bool))

    def value(params):
        model = rebuild(model_config(), tokenizer, params)
        return loss(model, model(batch), batch, NUM_SOURCES)[0]

    scalar, gradients = jax.jit(jax.value_and_grad(value))(params)
    assert scalar == 0
    assert not any(jnp.any(leaf) for leaf in jax.tree.leaves(gradients))


def test_full_logits_never_exist(tokenizer, model_config, random_batch, init):
    tokenizer = dataclasses.replace(tokenizer, text_vocab_size=4000)
    config = model_config(loss_chunk=32)
    batch = random_batch(num_rows=8, length=128)
    params = init(config, tokenizer, jax.random.key(0))
    hidden = jnp.ones((8, 128, 32))

    def value(params, hidden):
        return loss(rebuild(config, tokenizer, params), hidden, batch, NUM_SOURCES)[0]

    compiled = jax.jit(jax.grad(value, argnums=(0, 1))).lower(params, hidden).compile()
    full_logits_bytes = 8 * 128 * tokenizer.vocab_size * 4
    assert compiled.memory_analysis().temp_size_in_bytes < full_logits_bytes / 4
