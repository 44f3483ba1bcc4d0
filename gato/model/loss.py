"""Masked next-token cross-entropy (Gato, section 2.3, equations 1 and 2) whose full logits never exist."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from gato.batch import Batch
from gato.model.embedding import logits_of
from gato.model.gato import Gato

TARGET_KINDS = ("text", "action")  # the second axis of LossSums
_MIN_CHUNK = 64  # targets; smaller chunks would starve the matrix product
_CHUNKS_PER_BATCH = 16  # at least, so that rows with few targets cost little

# The sum of weight x loss; then of each target the loss, and whether its id is the most likely of all.
Scores = tuple[jax.Array, tuple[jax.Array, jax.Array]]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class LossSums:
    """Unweighted sums over targets, each (num_sources, 2) float32: one row per source, then text and action.

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
    """Returns the row-weighted mean loss of all targets, and sums for reporting.

    The token at l is predicted from the hidden vector at l - 1; a token at 0 has nothing before it and is no
    target. Only targets reach the head: they are moved to the front, and chunks without any are not computed.

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
    M = B // G * L  # tokens per group
    chunk = min(model.config.loss_chunk, max(_MIN_CHUNK, M // _CHUNKS_PER_BATCH))
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

    weights_GT = _take(batch.row_weights.reshape(G, -1), rows_GT)
    total = weights_GT.sum()
    normalized_GT = weights_GT / jnp.where(total > 0, total, 1)
    num_chunks = -(-present_GT.sum(axis=1).max() // chunk)
    table_VD = model.embedding.tokens[...]
    scalar, (nll_GT, correct_GT) = _weighed_nll(table_VD, hidden_GTD, targets_GT, normalized_GT, num_chunks, chunk)

    action_GT = _take(batch.local_positions.reshape(G, M), indices_GT) == model.tokenizer.action_position
    kinds_GT = _take(batch.source_ids.reshape(G, -1), rows_GT) * len(TARGET_KINDS) + action_GT
    members_GTX = (kinds_GT[..., None] == jnp.arange(num_sources * len(TARGET_KINDS))[None, None]) & present_GT[
        ..., None
    ]
    changed_GT = action_GT & _take(batch.changed_mask.reshape(G, M), indices_GT)

    def by_kind(values_GT: jax.Array) -> jax.Array:
        sums_X = jnp.where(members_GTX, values_GT.astype(jnp.float32)[..., None], 0).sum(axis=(0, 1))
        return sums_X.reshape(num_sources, len(TARGET_KINDS))

    return scalar, LossSums(
        loss_sum=by_kind(nll_GT),
        count=by_kind(present_GT),
        correct=by_kind(correct_GT),
        changed_count=by_kind(changed_GT),
        changed_correct=by_kind(changed_GT & correct_GT),
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(5,))
def _weighed_nll(
    table_VD: jax.Array,
    hidden_GTD: jax.Array,
    targets_GT: jax.Array,
    weights_GT: jax.Array,
    num_chunks: jax.Array,
    chunk: int,
) -> Scores:
    """Scores the first chunks of each group; places past them get zeros.

    Only the sum has gradients, those to the table and to the hidden vectors. Each chunk computes its own while its
    logits exist, so that the backward pass needs no second product with the table.

    Args:
        num_chunks: () int32, how many chunks hold targets in any group.
        chunk: places per chunk; divides T.
    """
    return _over_chunks(functools.partial(_score, table_VD), (hidden_GTD, targets_GT, weights_GT), num_chunks, chunk)


def _weighed_nll_forward(
    table_VD: jax.Array,
    hidden_GTD: jax.Array,
    targets_GT: jax.Array,
    weights_GT: jax.Array,
    num_chunks: jax.Array,
    chunk: int,
) -> tuple[Scores, tuple[jax.Array, jax.Array]]:
    """Computes the scores, and the gradients of their sum to table and hidden vectors."""
    # A gradient to the table for each group: summed in the loop, devices would exchange it with every chunk.
    score_and_gradients = jax.vmap(jax.value_and_grad(_score, argnums=(0, 1), has_aux=True), in_axes=(None, 0, 0, 0))

    def score(*parts: jax.Array) -> tuple[Any, Any]:
        (nll_G, of_targets), (to_table_GVD, to_hidden_GCD) = score_and_gradients(table_VD, *parts)
        return (nll_G, to_table_GVD), (of_targets, to_hidden_GCD)

    inputs = hidden_GTD, targets_GT, weights_GT
    (nll_G, to_table_GVD), (of_targets, to_hidden_GTD) = _over_chunks(score, inputs, num_chunks, chunk)
    return (nll_G.sum(), of_targets), (to_table_GVD.sum(axis=0), to_hidden_GTD)


def _weighed_nll_backward(
    chunk: int, gradients: tuple[jax.Array, jax.Array], cotangents: Scores
) -> tuple[jax.Array | None, ...]:
    to_table_VD, to_hidden_GTD = (cotangents[0].astype(gradient.dtype) * gradient for gradient in gradients)
    return to_table_VD, to_hidden_GTD, None, None, None


_weighed_nll.defvjp(_weighed_nll_forward, _weighed_nll_backward)


def _score(table_VD: jax.Array, hidden_XD: jax.Array, targets_X: jax.Array, weights_X: jax.Array) -> Scores:
    """Scores targets in any leading shape X."""
    logits_XV = logits_of(hidden_XD, table_VD)
    target_X = jnp.take_along_axis(logits_XV, targets_X[..., None], axis=-1)[..., 0]
    nll_X = jax.nn.logsumexp(logits_XV, axis=-1) - target_X
    # No other id scores higher: an argmax without its cost.
    return (weights_X * nll_X).sum(), (nll_X, target_X >= logits_XV.max(axis=-1))


def _over_chunks(
    score: Callable[..., tuple[Any, Any]], inputs_GTX: tuple[jax.Array, ...], num_chunks: jax.Array, chunk: int
) -> tuple[Any, Any]:  # Any: any pytrees of arrays
    """Returns sums, and values of each place, of a function of chunks that returns such a pair."""

    def part(number: jax.Array | int) -> list[jax.Array]:
        return [jax.lax.dynamic_slice_in_dim(array, number * chunk, chunk, axis=1) for array in inputs_GTX]

    def step(number: jax.Array, collected: tuple[Any, Any]) -> tuple[Any, Any]:
        def put(values_GTX: jax.Array, new_GCX: jax.Array) -> jax.Array:
            return jax.lax.dynamic_update_slice_in_dim(values_GTX, new_GCX, number * chunk, axis=1)

        (sums, values), (new_sums, new_values) = collected, score(*part(number))
        return jax.tree.map(jnp.add, sums, new_sums), jax.tree.map(put, values, new_values)

    G, T = inputs_GTX[0].shape[:2]
    sums, values = jax.eval_shape(lambda: score(*part(0)))
    no_sums = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), sums)
    no_values = jax.tree.map(lambda leaf: jnp.zeros((G, T, *leaf.shape[2:]), leaf.dtype), values)
    return jax.lax.fori_loop(0, num_chunks, step, (no_sums, no_values))


def _take(values_GX: jax.Array, indices_GT: jax.Array) -> jax.Array:
    """Takes entries of each group; zero (False) past its end."""
    return jnp.take_along_axis(values_GX, indices_GT, axis=1, mode="fill", fill_value=0)
