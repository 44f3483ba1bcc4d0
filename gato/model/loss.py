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


def loss(model: Gato, hidden_BLD: jax.Array, batch: Batch, num_sources: int) -> tuple[jax.Array, LossSums]:
    """The row-weighted mean loss of all targets, and sums for reporting.

    The element at l is predicted from the hidden vector at l - 1; an element at 0 has nothing before it and is no
    target. Only targets reach the head: they are moved to the front, and chunks without any are skipped.

    Returns:
        A float32 scalar, sum of weight x loss over sum of weight (0 without targets), and the sums.
    """
    B, L, D = hidden_BLD.shape
    chunk = min(model.config.loss_chunk, max(_MIN_CHUNK, B * L // _CHUNKS_A_BATCH))
    num_chunks = -(-B * L // chunk)
    mask_BL = batch.loss_mask & (jnp.arange(L) > 0)[None]
    # T places, targets first; the places past the last target hold index B * L and weigh nothing.
    indices_T = jnp.nonzero(mask_BL.reshape(-1), size=num_chunks * chunk, fill_value=B * L)[0]
    present_T = indices_T < B * L
    targets_T = _take(batch.tokens, indices_T)
    hidden_TD = jnp.take(hidden_BLD.reshape(B * L, D), indices_T - 1, axis=0)

    nll_T, correct_T = _chunked_nll(model, hidden_TD, targets_T, present_T, chunk)
    weights_T = jnp.where(present_T, jnp.take(batch.row_weights, indices_T // L, mode="clip"), 0)
    total = weights_T.sum()
    scalar = jnp.where(total > 0, weights_T @ nll_T / jnp.where(total > 0, total, 1), 0)

    action_T = _take(batch.local_positions, indices_T) == model.tokenizer.action_position
    groups_T = jnp.take(batch.source_ids, indices_T // L, mode="clip") * len(KINDS) + action_T
    members_TG = (groups_T[:, None] == jnp.arange(num_sources * len(KINDS))[None]) & present_T[:, None]
    changed_T = action_T & _take(batch.changed_mask, indices_T)

    def by_group(values_T: jax.Array) -> jax.Array:
        sums_G = jnp.where(members_TG, values_T.astype(jnp.float32)[:, None], 0).sum(axis=0)
        return sums_G.reshape(num_sources, len(KINDS))

    return scalar, LossSums(
        loss_sum=by_group(jax.lax.stop_gradient(nll_T)),
        count=by_group(present_T),
        correct=by_group(correct_T),
        changed_count=by_group(changed_T),
        changed_correct=by_group(changed_T & correct_T),
    )


def _chunked_nll(
    model: Gato, hidden_TD: jax.Array, targets_T: jax.Array, present_T: jax.Array, chunk: int
) -> tuple[jax.Array, jax.Array]:
    """Negative log-likelihood of each target and whether it is the most likely id; zeros in chunks without any."""

    def score(hidden_CD: jax.Array, targets_C: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits_CV = model.logits(hidden_CD)
        target_C = jnp.take_along_axis(logits_CV, targets_C[:, None], axis=1)[:, 0]
        # No other id scores higher: an argmax without its cost.
        return jax.nn.logsumexp(logits_CV, axis=1) - target_C, target_C >= logits_CV.max(axis=1)

    def skip(hidden_CD: jax.Array, targets_C: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jnp.zeros(chunk, jnp.float32), jnp.zeros(chunk, bool)

    @jax.checkpoint
    def step(carry: None, inputs: tuple[jax.Array, ...]) -> tuple[None, tuple[jax.Array, jax.Array]]:
        hidden_CD, targets_C, present_C = inputs
        return carry, jax.lax.cond(present_C.any(), score, skip, hidden_CD, targets_C)

    inputs = (
        hidden_TD.reshape(-1, chunk, hidden_TD.shape[1]),
        targets_T.reshape(-1, chunk),
        present_T.reshape(-1, chunk),
    )
    _, (nll, correct) = jax.lax.scan(step, None, inputs)
    return nll.reshape(-1), correct.reshape(-1)


def _take(values_BL: jax.Array, indices_T: jax.Array) -> jax.Array:
    """Entries of a flattened array; zero (False) past its end."""
    return jnp.take(values_BL.reshape(-1), indices_T, mode="fill", fill_value=0)
