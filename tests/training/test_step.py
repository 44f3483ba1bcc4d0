import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gato.config import OptimizerConfig
from gato.training.optimizer import make_optimizer, make_schedule
from gato.training.step import empty_interval, init_state, make_loss_step, make_train_step, no_losses

CONFIG = OptimizerConfig(peak_lr=0.1, warmup_from=0.0, warmup_steps=4, decay_steps=100)


@pytest.fixture(scope="module")
def train_step(toy):
    return make_train_step(toy.toy_loss, make_optimizer(CONFIG), make_schedule(CONFIG))


def start(toy):
    return init_state(toy.toy_params(), make_optimizer(CONFIG)), empty_interval(len(toy.SOURCES))


def batch_at(toy, index, **options):
    batches = toy.ToyBatches(**options)
    batches.set_state({"index": index})
    return next(batches)


def test_bad_step_leaves_weights_and_optimizer_and_is_counted(toy, train_step):
    key = jax.random.key(0)
    state, interval = start(toy)
    state, interval = train_step(state, interval, batch_at(toy, 0), key)
    before, sums_before = jax.device_get((state, interval))
    for bad in (1, 2):
        state, interval = train_step(state, interval, batch_at(toy, bad, poisoned=frozenset({1, 2})), key)
    after, sums_after = jax.device_get((state, interval))

    for old, new in ((before.params, after.params), (before.opt_state, after.opt_state)):
        assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(old), jax.tree.leaves(new), strict=True))
    assert (after.step, after.skipped, after.skipped_in_row) == (3, 2, 2)
    assert (sums_after.updates, sums_after.skipped, sums_after.longest_skip) == (1, 2, 2)
    assert sums_after.grad_norm == sums_before.grad_norm
    assert np.array_equal(sums_after.losses.loss_sum, sums_before.losses.loss_sum)

    state, interval = train_step(state, interval, batch_at(toy, 3), key)
    assert (int(state.skipped), int(state.skipped_in_row), int(interval.longest_skip)) == (2, 0, 2)
    assert not np.array_equal(state.params["table"], after.params["table"])
    # Second update: a quarter of the warm-up, whatever was skipped.
    assert float(interval.learning_rate) == pytest.approx(0.1 / 4)


def test_infinite_gradient_of_a_finite_loss_is_a_bad_step(toy):
    def root_loss(params, batch, key):
        scalar, losses = toy.toy_loss(params, batch, key)
        return scalar + jnp.sqrt(params["scale"] - 1).sum(), losses  # slope at zero is infinite

    step = make_train_step(root_loss, make_optimizer(CONFIG), make_schedule(CONFIG))
    state, _ = step(*start(toy), batch_at(toy, 0), jax.random.key(0))
    assert int(state.skipped) == 1
    assert np.array_equal(state.params["table"], toy.toy_params()["table"])


def test_interval_adds_up(toy, train_step):
    key = jax.random.key(0)
    state, interval = start(toy)
    norms, losses = [], []
    for index in range(3):
        alone = empty_interval(len(toy.SOURCES))
        twin = jax.tree.map(jnp.copy, state)
        _, alone = train_step(twin, alone, batch_at(toy, index), key)
        norms.append(float(alone.grad_norm))
        losses.append(np.asarray(alone.losses.loss_sum))
        state, interval = train_step(state, interval, batch_at(toy, index), key)
    assert float(interval.grad_norm) == pytest.approx(sum(norms))
    assert np.allclose(interval.losses.loss_sum, sum(losses))
    assert interval.losses.count[:, 1].tolist() == [45, 15]  # 3 steps, 3 rows and 1 row, 5 targets


def test_randomness_depends_on_the_step(toy, train_step):
    def loss_at(step):
        state, interval = start(toy)
        state = dataclasses.replace(state, step=jnp.int32(step))
        return float(train_step(state, interval, batch_at(toy, 0), jax.random.key(0))[1].losses.loss_sum.sum())

    assert loss_at(1) == loss_at(1)
    assert loss_at(1) != loss_at(2)


def test_state_is_donated_and_interval_is_not(toy, train_step):
    state, interval = start(toy)
    train_step(state, interval, batch_at(toy, 0), jax.random.key(0))
    with pytest.raises(RuntimeError, match="deleted"):
        state.params["table"] + 1
    assert float(interval.grad_norm) == 0


def test_held_out_sums_need_no_key_and_keep_the_parameters(toy):
    step = make_loss_step(toy.toy_loss)
    params, losses = toy.toy_params(), no_losses(len(toy.SOURCES))
    for index in range(2):
        losses = step(params, losses, batch_at(toy, index))
    assert losses.count.sum() == 2 * 4 * 5
    assert float(losses.loss_sum.sum()) == pytest.approx(40 * np.log(toy.NUM_TOKENS), rel=1e-6)
    assert not params["table"].is_deleted()


@pytest.mark.parametrize(("num_parts", "layout"), [(2, "sequential"), (4, "sequential"), (2, "grouped")])
def test_a_batch_in_parts_gives_the_gradient_of_the_whole(script, num_parts, layout):
    config = script.make_config(1, script.ParallelConfig(), layout=layout)
    model = dataclasses.replace(config.model, stochastic_depth=0.0)  # nothing is drawn but places of patches,
    batch = next(script.Batches(config.tokenizer))
    batch = dataclasses.replace(
        batch, patch_indices=np.full_like(batch.patch_indices, script.LENGTH)
    )  # and none stands
    assert len(set(batch.row_weights * batch.loss_mask.sum(axis=1))) == script.ROWS, "parts weigh differently"
    params = script.init_parameters(config.model, config.tokenizer, jax.random.key(0))

    def after_one_step(accumulate):
        optimizer = optax.sgd(1.0)  # the update is the gradient
        step = make_train_step(
            script.model_loss(model, config.tokenizer, 2), optimizer, lambda _: 1.0, accumulate=accumulate
        )
        state = init_state(jax.tree.map(jnp.copy, params), optimizer)
        return jax.device_get(step(state, empty_interval(2), batch, jax.random.key(0)))

    (whole, sums), (in_parts, sums_of_parts) = after_one_step(1), after_one_step(num_parts)
    for ours, theirs in zip(jax.tree.leaves(in_parts.params), jax.tree.leaves(whole.params), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert np.array_equal(sums_of_parts.losses.count, sums.losses.count)
    np.testing.assert_allclose(sums_of_parts.losses.loss_sum, sums.losses.loss_sum, rtol=1e-5)
