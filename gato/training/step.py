"""The jitted train step and held-out loss step, on plain nested dicts of arrays."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax

from gato.batch import Batch
from gato.config import ModelConfig, TokenizerConfig
from gato.model.gato import Parameters, rebuild
from gato.model.loss import TARGET_KINDS, LossSums, loss
from gato.training.parallel import MeshSharding

# (parameters, batch, key) to the scalar to minimise and sums for reporting; key None means evaluation.
LossFunction = Callable[[Parameters, Batch, jax.Array | None], tuple[jax.Array, LossSums]]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class TrainState:
    """The state that one step hands to the next; donated to the step that receives it."""

    params: Parameters
    opt_state: optax.OptState
    step: jax.Array  # () int32, steps made, skipped ones included
    skipped: jax.Array  # () int32, steps whose loss or gradient was not finite
    skipped_in_row: jax.Array  # () int32, of those, the ones since the last finite step
    norm_mean: jax.Array  # () float32, running mean of the gradient norms of the other steps, 0 before the first


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class IntervalSums:
    """Sums over the steps since the last line of metrics; they stay on the device until they are written."""

    losses: LossSums  # of the finite steps
    updates: jax.Array  # () int32, finite steps
    grad_norm: jax.Array  # () float32, sum over the finite steps, before clipping
    learning_rate: jax.Array  # () float32, of the last step
    skipped: jax.Array  # () int32, since the start of the run
    longest_skip: jax.Array  # () int32, most non-finite steps in a row seen in the interval
    not_finite: jax.Array  # (num_sources,) int32, steps of the interval in which the loss of a source was not finite


TrainStep = Callable[[TrainState, IntervalSums, Batch, jax.Array], tuple[TrainState, IntervalSums]]
_NORM_RATE = 0.02  # weight of the newest gradient norm in the running mean
LossStep = Callable[[Parameters, LossSums, Batch], LossSums]


def model_loss(
    config: ModelConfig, tokenizer: TokenizerConfig, num_sources: int, sharding: MeshSharding | None = None
) -> LossFunction:
    """Returns the loss of Gato as a function of its parameters; without a sharding, on one device."""
    rows, num_row_groups = (None, 1) if sharding is None else (sharding.rows, sharding.num_row_groups)

    def loss_function(params: Parameters, batch: Batch, key: jax.Array | None) -> tuple[jax.Array, LossSums]:
        if sharding is not None:
            params = sharding.gathered_tables(params)
        model = rebuild(config, tokenizer, params)
        return loss(model, model(batch, key=key, rows=rows), batch, num_sources, num_row_groups=num_row_groups)

    return loss_function


def init_state(params: Parameters, optimizer: optax.GradientTransformation) -> TrainState:
    """Returns the state before the first step, which donates the parameters."""
    return TrainState(
        params=params,
        opt_state=optimizer.init(params),
        step=jnp.zeros((), jnp.int32),
        skipped=jnp.zeros((), jnp.int32),
        skipped_in_row=jnp.zeros((), jnp.int32),
        norm_mean=jnp.zeros((), jnp.float32),
    )


def no_losses(num_sources: int) -> LossSums:
    """Returns sums over no targets."""
    zeros = jnp.zeros((num_sources, len(TARGET_KINDS)), jnp.float32)
    return LossSums(loss_sum=zeros, count=zeros, correct=zeros, changed_count=zeros, changed_correct=zeros)


def empty_interval(num_sources: int) -> IntervalSums:
    """Returns sums over no steps."""
    return IntervalSums(
        losses=no_losses(num_sources),
        updates=jnp.zeros((), jnp.int32),
        grad_norm=jnp.zeros((), jnp.float32),
        learning_rate=jnp.zeros((), jnp.float32),
        skipped=jnp.zeros((), jnp.int32),
        longest_skip=jnp.zeros((), jnp.int32),
        not_finite=jnp.zeros((num_sources,), jnp.int32),
    )


def make_train_step(
    loss_function: LossFunction,
    optimizer: optax.GradientTransformation,
    schedule: optax.Schedule,
    *,
    accumulate: int = 1,
    max_norm_ratio: float | None = None,
    out_shardings: tuple[TrainState, IntervalSums] | None = None,
) -> TrainStep:
    """Builds the jitted step. A step whose loss or gradient is not finite changes nothing but the counters.

    Args:
        loss_function: a mean over targets, weighed by `Batch.row_weights`.
        accumulate: parts of a batch whose gradients are computed one after another, and then averaged by the weight
            of their targets: the gradient of the whole batch.
        max_norm_ratio: a gradient norm so many times the running mean is treated as one that is not finite.
        out_shardings: where the results lie; where the compiler wants them if None.

    Returns:
        A function of state (donated), interval sums so far, batch and the run's key (the same at every step) that
        returns the next state and the interval sums with this step in them.
    """

    gradient = _accumulated(loss_function, accumulate)

    def train_step(
        state: TrainState, interval: IntervalSums, batch: Batch, key: jax.Array
    ) -> tuple[TrainState, IntervalSums]:
        step_key = jax.random.fold_in(key, state.step)
        scalar, losses, grads = gradient(state.params, batch, step_key)
        grad_norm = optax.tree.norm(grads)
        finite = jnp.isfinite(scalar) & jnp.isfinite(grad_norm)
        if max_norm_ratio is not None:
            finite &= (state.norm_mean == 0) | (grad_norm <= max_norm_ratio * state.norm_mean)
        mean = jnp.where(state.norm_mean == 0, grad_norm, state.norm_mean + _NORM_RATE * (grad_norm - state.norm_mean))
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
            norm_mean=keep(mean, state.norm_mean),
        )
        next_interval = IntervalSums(
            losses=jax.tree.map(add, interval.losses, losses),
            updates=interval.updates + finite,
            grad_norm=add(interval.grad_norm, grad_norm),
            learning_rate=learning_rate,
            skipped=skipped,
            longest_skip=jnp.maximum(interval.longest_skip, skipped_in_row),
            not_finite=interval.not_finite + ~jnp.isfinite(losses.loss_sum).all(axis=1),
        )
        return next_state, next_interval

    return jax.jit(train_step, donate_argnames="state", out_shardings=out_shardings)


def _accumulated(
    loss_function: LossFunction, num_parts: int
) -> Callable[[Parameters, Batch, jax.Array], tuple[jax.Array, LossSums, Parameters]]:
    """Returns the function of loss, sums and gradient of a batch whose parts are computed one after another."""
    gradient = jax.value_and_grad(loss_function, has_aux=True)

    def whole(params: Parameters, batch: Batch, key: jax.Array) -> tuple[jax.Array, LossSums, Parameters]:
        (scalar, losses), grads = gradient(params, batch, key)
        return scalar, losses, grads

    if num_parts == 1:
        return whole

    def in_parts(params: Parameters, batch: Batch, key: jax.Array) -> tuple[jax.Array, LossSums, Parameters]:
        # Every part takes rows from all over the batch, so that it is spread over the devices as the batch is.
        parts = jax.tree.map(
            lambda leaf: leaf.reshape(len(leaf) // num_parts, num_parts, *leaf.shape[1:]).swapaxes(0, 1), batch
        )

        def add(sums: tuple, part: tuple[Batch, jax.Array]) -> tuple[tuple, None]:
            rows, part_key = part
            weight = (rows.num_targets * rows.row_weights).sum()
            scalar, losses, grads = whole(params, rows, part_key)
            weighed = jax.tree.map(lambda value: weight * value, (scalar, grads))
            return jax.tree.map(jnp.add, sums, (weight, weighed, losses)), None

        first = jax.tree.map(lambda leaf: leaf[0], parts)
        shapes = jax.eval_shape(lambda: (jnp.float32(0), whole(params, first, key)))
        weight, (scalar, losses, grads) = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        zeros = weight, (scalar, grads), losses
        (total, weighed, losses), _ = jax.lax.scan(add, zeros, (parts, jax.random.split(key, num_parts)))
        scalar, grads = jax.tree.map(lambda value: value / jnp.where(total > 0, total, 1), weighed)
        return scalar, losses, grads

    return in_parts


def make_loss_step(loss_function: LossFunction) -> LossStep:
    """Builds the jitted step of a held-out loss: parameters (kept), sums so far and a batch to the new sums."""

    def loss_step(params: Parameters, losses: LossSums, batch: Batch) -> LossSums:
        return jax.tree.map(jnp.add, losses, loss_function(params, batch, None)[1])

    return jax.jit(loss_step)
