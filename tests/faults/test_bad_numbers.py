"""Steps without a finite loss and gradient are counted across a stop, and too many of them end the run."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gato.checkpoint import latest_checkpoint, load_checkpoint
from gato.training.metrics import interval_metrics
from gato.training.step import empty_interval, init_state, make_train_step, no_losses
from gato.training.writers import read_metrics


def test_count_of_skipped_steps_survives_a_stop(toy, tmp_path):
    """Three in a row are too many; two of them come before the stop."""
    poisoned = frozenset({8, 9, 10})
    toy.toy_train(tmp_path, toy.toy_config(num_steps=10), toy.ToyBatches(poisoned=poisoned))
    assert read_metrics(tmp_path / "metrics.jsonl")[-1]["skipped"] == 2
    stopped_at = latest_checkpoint(tmp_path)
    with pytest.raises(FloatingPointError, match=rf"3 steps in a row .*the last checkpoint is {stopped_at}"):
        toy.toy_train(tmp_path, toy.toy_config(num_steps=20), toy.ToyBatches(poisoned=poisoned), resume=True)
    assert latest_checkpoint(tmp_path) == stopped_at


def test_skipped_step_leaves_parameters_and_optimizer_as_they_were(toy, tmp_path):
    toy.toy_train(tmp_path / "run", toy.toy_config(num_steps=7), toy.ToyBatches(poisoned=frozenset({5, 6})))
    toy.toy_train(tmp_path / "before", toy.toy_config(num_steps=5))
    one, other = (load_checkpoint(tmp_path / name, train_state=True) for name in ("run", "before"))
    assert one.params["table"].tobytes() == other.params["table"].tobytes()
    assert str(one.train_state["state"]["opt_state"]) == str(other.train_state["state"]["opt_state"])
    assert (int(one.train_state["state"]["step"]), int(one.train_state["state"]["skipped"])) == (7, 2)


def run_steps(norms, ratio):
    """Plain gradient descent on one number whose gradients are these."""

    def loss_function(params, batch, key):
        loss = params["x"] * batch
        sums = no_losses(2)
        loss_sum = sums.loss_sum.at[1, 0].set(jnp.where(jnp.isnan(batch), jnp.nan, 1.0))
        return loss, dataclasses.replace(sums, loss_sum=loss_sum, count=jnp.ones_like(loss_sum))

    optimizer = optax.sgd(1.0)
    step = make_train_step(loss_function, optimizer, lambda count: 1.0, max_norm_ratio=ratio)
    state, interval = init_state({"x": jnp.float32(0)}, optimizer), empty_interval(2)
    for norm in norms:
        state, interval = step(state, interval, jnp.float32(norm), jax.random.key(0))
    return jax.device_get((state, interval))


def test_source_of_a_loss_that_is_not_finite_is_named():
    state, interval = run_steps([1.0, np.nan, np.nan, 1.0], None)
    assert int(state.skipped) == 2
    named = interval_metrics(interval, ["first", "second"])
    assert named["not_finite/second"] == 2
    assert "not_finite/first" not in named


def test_gradient_far_beyond_the_usual_is_skipped_by_a_setting():
    state, _ = run_steps([1.0, 2.0, 50.0, 1.0], 10.0)
    assert float(state.params["x"]) == -4.0
    assert int(state.skipped) == 1
    assert float(state.norm_mean) == pytest.approx(1.02 + 0.02 * (1 - 1.02))
    state, _ = run_steps([1.0, 2.0, 50.0, 1.0], None)
    assert float(state.params["x"]) == -54.0
    assert int(state.skipped) == 0
