"""Masked next-element cross-entropy (Gato, section 2.3, equations 1 and 2) whose full logits never exist."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from gato.batch import Batch
from gato.model.gato import Gato

KINDS = ("text", "action")  # the second axis of LossSums
_MIN_CHUNK = 64  # targets; smaller chunks would starve the matrix product
_CHUNKS_A_BATCH = 8  # at least, so that rows with few targets cost little


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class LossSums:
    """Unweighted sums over targets, each (num_sources, 2) float32: a source a row, then text and action.

    Sums of several batches add up; a mean is a quotient of two sums.
    """

    loss_sum: jax.Array  # nats
    count: jax.Array  # targets
    correct: jax.Array  # targets whose most likely id over the whole vocabulary is right
    changed_count: jax.Array  # targets in actions that differ from the previous timestep's
    changed_correct: jax.Array  # of those, right


def loss(
    model: Gato, hidden_BLD: jax.Array, batch: Batch, num_sources: int, *, num_row_groups: int = 1
) -> tuple[jax.Array, LossSums]:
    """The row-weighted mean loss of all targets, and sums for reporting.

    The element at l is predicted from the hidden vector at l - 1; an element at 0 has nothing before it and is no
    target. Only targets reach the head: they are moved to the front, and chunks without any are skipped.

    Args:
        num_row_groups: parts of the batch, of consecutive rows each, whose targets stay apart; devices that hold
            different rows then need nothing of one another. The result is the same up to the order of sums.

    Returns:
        A float32 scalar, sum of weight x loss over sum of weight (0 without targets), and the sums.
    """
    B, L, D = hidden_BLD.shape
    G = num_row_groups
    if B % G:
        raise ValueError(f"{B} rows cannot be shared by {G} groups of devices: choose a batch_size that {G} divides")
    M = B // G * L  # elements a group
    chunk = min(model.config.loss_chunk, max(_MIN_CHUNK, M // _CHUNKS_A_BATCH))
    num_places = -(-M // chunk) * chunk
    mask_GM = (batch.loss_mask & (jnp.arange(L) > 0)[None]).reshape(G, M)
    # T places, targets first; the places past the last target hold index M and weigh nothing.
    indices_GT = jax.vmap(lambda mask_M: jnp.nonzero(mask_M, size=num_places, fill_value=M)[0])(mask_GM)
    present_GT = indices_GT < M
    rows_GT = indices_GT // L
    targets_GT = _take(batch.tokens.reshape(G, M), indices_GT)
    hidden_GTD = jax.vmap(lambda hidden_MD, indices_T: jnp.take(hidden_MD, indices_T - 1, axis=0))(
        hidden_BLD.reshape(G, M, D), indices_GT
    )

    nll_GT, correct_GT = _chunked_nll(model, hidden_GTD, targets_GT, present_GT, chunk)
    weights_GT = _take(batch.row_weights.reshape(G, -1), rows_GT)
    total = weights_GT.sum()
    scalar = jnp.where(total > 0, jnp.vdot(weights_GT, nll_GT) / jnp.where(total > 0, total, 1), 0)

    action_GT = _take(batch.local_positions.reshape(G, M), indices_GT) == model.tokenizer.action_position
    kinds_GT = _take(batch.source_ids.reshape(G, -1), rows_GT) * len(KINDS) + action_GT
    members_GTX = (kinds_GT[..., None] == jnp.arange(num_sources * len(KINDS))[None, None]) & present_GT[..., None]
    changed_GT = action_GT & _take(batch.changed_mask.reshape(G, M), indices_GT)

    def by_kind(values_GT: jax.Array) -> jax.Array:
        sums_X = jnp.where(members_GTX, values_GT.astype(jnp.float32)[..., None], 0).sum(axis=(0, 1))
        return sums_X.reshape(num_sources, len(KINDS))

    return scalar, LossSums(
        loss_sum=by_kind(jax.lax.stop_gradient(nll_GT)),
        count=by_kind(present_GT),
        correct=by_kind(correct_GT),
        changed_count=by_kind(changed_GT),
        changed_correct=by_kind(changed_GT & correct_GT),
    )


def _chunked_nll(
    model: Gato, hidden_GTD: jax.Array, targets_GT: jax.Array, present_GT: jax.Array, chunk: int
) -> tuple[jax.Array, jax.Array]:
    """Negative log-likelihood of each target and whether it is the most likely id; zeros in chunks without any."""
    G, T = targets_GT.shape

    def score(hidden_GCD: jax.Array, targets_GC: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits_GCV = model.logits(hidden_GCD)
        target_GC = jnp.take_along_axis(logits_GCV, targets_GC[..., None], axis=2)[..., 0]
        # No other id scores higher: an argmax without its cost.
        return jax.nn.logsumexp(logits_GCV, axis=2) - target_GC, target_GC >= logits_GCV.max(axis=2)

    def skip(hidden_GCD: jax.Array, targets_GC: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jnp.zeros((G, chunk), jnp.float32), jnp.zeros((G, chunk), bool)

    @jax.checkpoint
    def step(carry: None, inputs: tuple[jax.Array, ...]) -> tuple[None, tuple[jax.Array, jax.Array]]:
        hidden_GCD, targets_GC, present_GC = inputs
        return carry, jax.lax.cond(present_GC.any(), score, skip, hidden_GCD, targets_GC)

    def chunks(values_GTX: jax.Array) -> jax.Array:
        return values_GTX.reshape(G, T // chunk, chunk, *values_GTX.shape[2:]).swapaxes(0, 1)

    _, outputs = jax.lax.scan(step, None, (chunks(hidden_GTD), chunks(targets_GT), chunks(present_GT)))
    nll, correct = (values.swapaxes(0, 1).reshape(G, T) for values in outputs)
    return nll, correct


def _take(values_GX: jax.Array, indices_GT: jax.Array) -> jax.Array:
    """Entries of each group; zero (False) past its end."""
    return jnp.take_along_axis(values_GX, indices_GT, axis=1, mode="fill", fill_value=0)
