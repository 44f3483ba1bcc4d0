"""The jitted train step and held-out loss step, on plain nested dicts of arrays."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax

from gato.batch import Batch
from gato.config import ModelConfig, TokenizerConfig
from gato.model.gato import Parameters, rebuild
from gato.model.loss import KINDS, LossSums, loss

# (parameters, batch, key) to the scalar to minimise and sums for reporting; key None means evaluation.
LossFunction = Callable[[Parameters, Batch, jax.Array | None], tuple[jax.Array, LossSums]]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class TrainState:
    """All that one step hands to the next; donated to the step that receives it."""

    params: Parameters
    opt_state: optax.OptState
    step: jax.Array  # () int32, steps made, skipped ones included
    skipped: jax.Array  # () int32, steps whose loss or gradient was not finite
    skipped_in_row: jax.Array  # () int32, of those, the ones since the last finite step


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class IntervalSums:
    """What the steps since the last line of metrics add up to; stays on the device until it is written."""

    losses: LossSums  # of the finite steps
    updates: jax.Array  # () int32, finite steps
    grad_norm: jax.Array  # () float32, sum over the finite steps, before clipping
    learning_rate: jax.Array  # () float32, of the last step
    skipped: jax.Array  # () int32, since the start of the run
    longest_skip: jax.Array  # () int32, most non-finite steps in a row seen in the interval


TrainStep = Callable[[TrainState, IntervalSums, Batch, jax.Array], tuple[TrainState, IntervalSums]]
LossStep = Callable[[Parameters, LossSums, Batch], LossSums]


def model_loss(config: ModelConfig, tokenizer: TokenizerConfig, num_sources: int) -> LossFunction:
    """The loss of Gato as a function of its parameters."""

    def loss_function(params: Parameters, batch: Batch, key: jax.Array | None) -> tuple[jax.Array, LossSums]:
        model = rebuild(config, tokenizer, params)
        return loss(model, model(batch, key=key), batch, num_sources)

    return loss_function


def init_state(params: Parameters, optimizer: optax.GradientTransformation) -> TrainState:
    """The state before the first step. It takes the parameters over: the first step donates them."""
    return TrainState(
        params=params,
        opt_state=optimizer.init(params),
        step=jnp.zeros((), jnp.int32),
        skipped=jnp.zeros((), jnp.int32),
        skipped_in_row=jnp.zeros((), jnp.int32),
    )


def no_losses(num_sources: int) -> LossSums:
    """Sums over no targets."""
    zeros = jnp.zeros((num_sources, len(KINDS)), jnp.float32)
    return LossSums(loss_sum=zeros, count=zeros, correct=zeros, changed_count=zeros, changed_correct=zeros)


def empty_interval(num_sources: int) -> IntervalSums:
    """Sums over no steps."""
    return IntervalSums(
        losses=no_losses(num_sources),
        updates=jnp.zeros((), jnp.int32),
        grad_norm=jnp.zeros((), jnp.float32),
        learning_rate=jnp.zeros((), jnp.float32),
        skipped=jnp.zeros((), jnp.int32),
        longest_skip=jnp.zeros((), jnp.int32),
    )


def make_train_step(
    loss_function: LossFunction, optimizer: optax.GradientTransformation, schedule: optax.Schedule
) -> TrainStep:
    """The jitted step. A step whose loss or gradient is not finite changes nothing but the counters.

    Returns:
        A function of state (donated), interval sums so far, batch and the run's key (the same at every step) that
        returns the next state and the interval sums with this step in them.
    """

    def train_step(
        state: TrainState, interval: IntervalSums, batch: Batch, key: jax.Array
    ) -> tuple[TrainState, IntervalSums]:
        step_key = jax.random.fold_in(key, state.step)
        gradient = jax.value_and_grad(loss_function, has_aux=True)
        (scalar, losses), grads = gradient(state.params, batch, step_key)
        grad_norm = optax.tree.norm(grads)
        finite = jnp.isfinite(scalar) & jnp.isfinite(grad_norm)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)

        def keep(new: jax.Array, old: jax.Array) -> jax.Array:
            return jnp.where(finite, new, old)

        def add(total: jax.Array, value: jax.Array) -> jax.Array:
            return total + jnp.where(finite, value, 0)

        # Skipped steps make no update, so the schedule stands still for them, as the optimizer's own count does.
        learning_rate = jnp.asarray(schedule(state.step - state.skipped), jnp.float32)
        skipped = state.skipped + ~finite
        skipped_in_row = jnp.where(finite, 0, state.skipped_in_row + 1)
        next_state = TrainState(
            params=jax.tree.map(keep, params, state.params),
            opt_state=jax.tree.map(keep, opt_state, state.opt_state),
            step=state.step + 1,
            skipped=skipped,
            skipped_in_row=skipped_in_row,
        )
        next_interval = IntervalSums(
            losses=jax.tree.map(add, interval.losses, losses),
            updates=interval.updates + finite,
            grad_norm=add(interval.grad_norm, grad_norm),
            learning_rate=learning_rate,
            skipped=skipped,
            longest_skip=jnp.maximum(interval.longest_skip, skipped_in_row),
        )
        return next_state, next_interval

    return jax.jit(train_step, donate_argnames="state")


def make_loss_step(loss_function: LossFunction) -> LossStep:
    """The jitted step of a held-out loss: parameters (kept), sums so far and batch to the sums with it."""

    def loss_step(params: Parameters, losses: LossSums, batch: Batch) -> LossSums:
        return jax.tree.map(jnp.add, losses, loss_function(params, batch, None)[1])

    return jax.jit(loss_step)
