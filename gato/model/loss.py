"""Masked next-token cross-entropy (Gato, section 2.3, equations 1 and 2) whose full logits never exist."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from gato.batch import Batch
from gato.model.embedding import logits_of
from gato.model.gato import Gato

TARGET_KINDS = ("text", "action")  # the second axis of LossSums
_MIN_CHUNK = 64  # targets; smaller chunks would starve the matrix product
_CHUNKS_PER_BATCH = 16  # at least, so that rows with few targets cost little
_ILLEGAL = -1e30  # score of an id that is not legal; finite, so that gradients are

# The sum of weight x loss; then of each target the loss, and whether its id is the most likely of all it may be.
Scores = tuple[jax.Array, tuple[jax.Array, jax.Array]]
# (parameters, features_CD of the tokens that predict C targets, what else is known of each target, weights_C) to scores
_Score = Callable[[Any, jax.Array, tuple[jax.Array, ...], jax.Array], Scores]


@dataclass(frozen=True, kw_only=True)
class _Targets:
    """Targets that are scored in one way, in T places per group of rows; places past the last one weigh nothing."""

    score: _Score
    params: Any  # that the score is differentiated by, any pytree
    features: jax.Array  # (G, M, D), of every token
    predicting: jax.Array  # (G, T) int32, the token that each is predicted from
    facts: tuple[jax.Array, ...]  # (G, T, ...), what the score is told of each
    is_present: jax.Array  # (G, T) bool
    rows: jax.Array  # (G, T) int32
    is_action: jax.Array  # (G, T) bool
    is_changed: jax.Array  # (G, T) bool, of an action that differs from the previous timestep's


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class LossSums:
    """Unweighted sums over targets, each (num_sources, 2) float32: one row per source, then text and action.

    Sums of several batches add up; a mean is a quotient of two sums.
    """

    loss_sum: jax.Array  # nats
    count: jax.Array  # targets
    # Targets whose most likely id is right: of the whole vocabulary; of the legal ids where an action is one token.
    correct: jax.Array
    changed_count: jax.Array  # targets in actions that differ from the previous timestep's
    changed_correct: jax.Array  # of those, right


def loss(
    model: Gato, hidden_BLD: jax.Array, batch: Batch, num_sources: int, *, num_row_groups: int = 1
) -> tuple[jax.Array, LossSums]:
    """Returns the row-weighted mean loss of all targets, and sums for reporting.

    The token at l is predicted from the hidden vector at l - 1; a token at 0 has nothing before it and is no
    target. Where an action is one token, each of its numbers is a target, predicted from the token that the batch says.
    Only targets reach the head: they are moved to the front, and chunks without any are not computed.

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
    hidden_GMD = hidden_BLD.reshape(G, M, D)
    parts = [_token_targets(model, hidden_GMD, batch, chunk)]
    if batch.action_values is not None:
        parts += _number_targets(model, hidden_GMD, batch, chunk)

    weights = [_take(batch.row_weights.reshape(G, -1), part.rows) * part.is_present for part in parts]
    total = sum(weights_GT.sum() for weights_GT in weights)
    scalar, sums = jnp.float32(0), []
    for part, weights_GT in zip(parts, weights, strict=True):
        normalized_GT = weights_GT / jnp.where(total > 0, total, 1)
        num_chunks = -(-part.is_present.sum(axis=1).max() // chunk)
        part_scalar, (nll_GT, correct_GT) = _weighed_nll(
            part.params, part.features, part.predicting, part.facts, normalized_GT, num_chunks, part.score, chunk
        )
        scalar += part_scalar
        sums.append(_sums_of(part, nll_GT, correct_GT, batch.source_ids.reshape(G, -1), num_sources))
    return scalar, jax.tree.map(lambda *values: sum(values), *sums)


def _token_targets(model: Gato, hidden_GMD: jax.Array, batch: Batch, chunk: int) -> _Targets:
    """Returns the tokens that carry loss; each may be any id of the vocabulary."""
    G, M, _ = hidden_GMD.shape
    L = batch.tokens.shape[1]
    mask_GM = (batch.loss_mask & (jnp.arange(L) > 0)[None]).reshape(G, M)
    indices_GT = _present_first(mask_GM, chunk)
    is_action_GT = _take(batch.local_positions.reshape(G, M), indices_GT) == model.tokenizer.action_position

    def score(table_VD: jax.Array, hidden_CD: jax.Array, facts: tuple[jax.Array, ...], weights_C: jax.Array) -> Scores:
        return _scores(logits_of(hidden_CD, table_VD), facts[0], weights_C)

    return _Targets(
        score=score,
        params=model.embedding.tokens[...],
        features=hidden_GMD,
        predicting=indices_GT - 1,
        facts=(_take(batch.tokens.reshape(G, M), indices_GT),),
        is_present=indices_GT < M,
        rows=indices_GT // L,
        is_action=is_action_GT,
        is_changed=is_action_GT & _take(batch.changed_mask.reshape(G, M), indices_GT),
    )


def _number_targets(model: Gato, hidden_GMD: jax.Array, batch: Batch, chunk: int) -> list[_Targets]:
    """Returns the numbers of actions of one token: bins, discrete values, and text, each scored among its legal ids."""
    G, M, _ = hidden_GMD.shape
    _, L, J = batch.action_values.shape
    tokenizer, embedding = model.tokenizer, model.embedding
    features_GMD = embedding.action_head.features(hidden_GMD)
    ranges_GX2 = batch.action_ranges.reshape(G, -1, 2)  # X: numbers of the actions of all rows
    values_GMJ = batch.action_values.reshape(G, M, J)
    mask_BLJ = batch.action_mask[..., None] & (batch.action_ranges[:, None, :, 1] > 0)
    changed_GM = batch.changed_mask.reshape(G, M)
    head, head_state = nnx.split(embedding.action_head)
    is_decoded = tokenizer.action_tokens == "decoded"
    stem, stem_state = nnx.split(embedding.groups)

    def part(ids: range, is_of_BJ: jax.Array) -> _Targets:
        indices_GT = _present_first((mask_BLJ & is_of_BJ[:, None]).reshape(G, M * J), chunk)
        tokens_GT, places_GT = indices_GT // J, indices_GT % J
        rows_GT = tokens_GT // L
        low_GT, high_GT = (_take(ranges_GX2[..., end], rows_GT * J + places_GT) for end in (0, 1))

        def score(params: Any, features_CD: jax.Array, facts: tuple[jax.Array, ...], weights_C: jax.Array) -> Scores:
            (table_VD, head_state, stem_state), (targets_C, low_C, high_C, places_C, *values) = params, facts
            previous_CX = None
            if is_decoded:
                known_CJ = jnp.where(jnp.arange(J)[None] < places_C[:, None], values[0], tokenizer.padding_id)
                previous_CX = nnx.merge(stem, stem_state).joined_codes(known_CJ)
            queries_CD = nnx.merge(head, head_state).queries(features_CD, places_C, previous_CX)
            ids_V = jnp.arange(ids.start, ids.stop)
            is_legal_CV = (ids_V[None] >= low_C[:, None]) & (ids_V[None] < high_C[:, None])
            logits_CV = jnp.where(is_legal_CV, logits_of(queries_CD, table_VD), _ILLEGAL)
            return _scores(logits_CV, jnp.clip(targets_C - ids.start, 0, len(ids) - 1), weights_C)

        targets_GT = _take(values_GMJ.reshape(G, M * J), indices_GT)
        values: tuple[jax.Array, ...] = ()
        if is_decoded:
            values = (jnp.take_along_axis(values_GMJ, tokens_GT[..., None], axis=1, mode="clip"),)
        return _Targets(
            score=score,
            params=(embedding.tokens[ids.start : ids.stop], head_state, stem_state),
            features=features_GMD,
            predicting=tokens_GT,
            facts=(targets_GT, low_GT, high_GT, places_GT, *values),
            is_present=indices_GT < M * J,
            rows=rows_GT,
            is_action=jnp.ones_like(indices_GT, bool),
            is_changed=_take(changed_GM, tokens_GT),
        )

    low_BJ, high_BJ = batch.action_ranges[..., 0], batch.action_ranges[..., 1]
    bins, discrete = tokenizer.continuous_ids, tokenizer.discrete_ids
    is_bin_BJ = low_BJ == bins.start
    is_discrete_BJ = ~is_bin_BJ & (low_BJ >= discrete.start) & (high_BJ <= discrete.stop)
    text = range(tokenizer.text_vocab_size)
    return [part(bins, is_bin_BJ), part(discrete, is_discrete_BJ), part(text, ~is_bin_BJ & ~is_discrete_BJ)]


def _sums_of(
    part: _Targets, nll_GT: jax.Array, correct_GT: jax.Array, source_ids_GR: jax.Array, num_sources: int
) -> LossSums:
    kinds_GT = _take(source_ids_GR, part.rows) * len(TARGET_KINDS) + part.is_action
    members_GTX = (kinds_GT[..., None] == jnp.arange(num_sources * len(TARGET_KINDS))[None, None]) & part.is_present[
        ..., None
    ]

    def by_kind(values_GT: jax.Array) -> jax.Array:
        sums_X = jnp.where(members_GTX, values_GT.astype(jnp.float32)[..., None], 0).sum(axis=(0, 1))
        return sums_X.reshape(num_sources, len(TARGET_KINDS))

    return LossSums(
        loss_sum=by_kind(nll_GT),
        count=by_kind(part.is_present),
        correct=by_kind(correct_GT),
        changed_count=by_kind(part.is_changed),
        changed_correct=by_kind(part.is_changed & correct_GT),
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(6, 7))
def _weighed_nll(
    params: Any,  # any pytree of arrays
    features_GMD: jax.Array,
    predicting_GT: jax.Array,
    facts: tuple[jax.Array, ...],
    weights_GT: jax.Array,
    num_chunks: jax.Array,
    score: _Score,
    chunk: int,
) -> Scores:
    """Scores the first chunks of each group; places past them get zeros.

    Only the sum has gradients, those to the parameters and to the features. Each chunk computes its own while its
    logits exist, so that the backward pass needs no second product with the table.

    Args:
        num_chunks: () int32, how many chunks hold targets in any group.
        chunk: places per chunk; divides T.
    """

    def step(predicting_GC: jax.Array, *rest: Any) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        scores = jax.vmap(score, in_axes=(None, 0, 0, 0))(params, _gathered(features_GMD, predicting_GC), *rest)
        return scores[0].sum(), scores[1]

    def put(number: jax.Array, collected: Any) -> Any:
        sums, values = step(*_chunks((predicting_GT, facts, weights_GT), number, chunk))
        return collected[0] + sums, _put(collected[1], values, number, chunk)

    return jax.lax.fori_loop(0, num_chunks, put, (jnp.float32(0), _no_values(predicting_GT)))


def _weighed_nll_forward(
    params: Any,
    features_GMD: jax.Array,
    predicting_GT: jax.Array,
    facts: tuple[jax.Array, ...],
    weights_GT: jax.Array,
    num_chunks: jax.Array,
    score: _Score,
    chunk: int,
) -> tuple[Scores, tuple[Any, jax.Array]]:
    """Computes the scores, and the gradients of their sum to parameters and features."""
    # Gradients to the parameters for each group: summed in the loop, devices would exchange them with every chunk.
    score_and_gradients = jax.vmap(jax.value_and_grad(score, argnums=(0, 1), has_aux=True), in_axes=(None, 0, 0, 0))

    def put(number: jax.Array, collected: Any) -> Any:
        total, to_params, to_features_GMD, values = collected
        predicting_GC, *rest = _chunks((predicting_GT, facts, weights_GT), number, chunk)
        (nll_G, new_values), (to_params_G, to_features_GCD) = score_and_gradients(
            params, _gathered(features_GMD, predicting_GC), *rest
        )
        add = jax.vmap(lambda all_MD, indices_C, new_CD: all_MD.at[indices_C].add(new_CD, mode="drop"))
        return (
            total + nll_G.sum(),
            jax.tree.map(jnp.add, to_params, to_params_G),
            add(to_features_GMD, predicting_GC, to_features_GCD),
            _put(values, new_values, number, chunk),
        )

    G = len(features_GMD)
    zeros = jax.tree.map(lambda leaf: jnp.zeros((G, *leaf.shape), leaf.dtype), params)
    start = jnp.float32(0), zeros, jnp.zeros_like(features_GMD), _no_values(predicting_GT)
    total, to_params, to_features_GMD, values = jax.lax.fori_loop(0, num_chunks, put, start)
    return (total, values), (jax.tree.map(lambda leaf: leaf.sum(axis=0), to_params), to_features_GMD)


def _weighed_nll_backward(
    score: _Score, chunk: int, gradients: tuple[Any, jax.Array], cotangents: Scores
) -> tuple[Any, ...]:
    to_params, to_features_GMD = jax.tree.map(lambda leaf: cotangents[0].astype(leaf.dtype) * leaf, gradients)
    return to_params, to_features_GMD, None, None, None, None


_weighed_nll.defvjp(_weighed_nll_forward, _weighed_nll_backward)


def _scores(logits_CV: jax.Array, targets_C: jax.Array, weights_C: jax.Array) -> Scores:
    target_C = jnp.take_along_axis(logits_CV, targets_C[..., None], axis=-1)[..., 0]
    nll_C = jax.nn.logsumexp(logits_CV, axis=-1) - target_C
    # No other id scores higher: an argmax without its cost.
    return (weights_C * nll_C).sum(), (nll_C, target_C >= logits_CV.max(axis=-1))


def _present_first(mask_GM: jax.Array, chunk: int) -> jax.Array:
    """Returns the indices of what a mask keeps, then M in the places that are left, as many as whole chunks take."""
    M = mask_GM.shape[1]
    num_places = -(-M // chunk) * chunk
    return jax.vmap(lambda mask_M: jnp.nonzero(mask_M, size=num_places, fill_value=M)[0])(mask_GM)


def _gathered(features_GMD: jax.Array, indices_GC: jax.Array) -> jax.Array:
    return jax.vmap(lambda features_MD, indices_C: jnp.take(features_MD, indices_C, axis=0, mode="clip"))(
        features_GMD, indices_GC
    )


def _chunks(arrays: Any, number: jax.Array, chunk: int) -> Any:  # any pytree of (G, T, ...) arrays
    return jax.tree.map(lambda array: jax.lax.dynamic_slice_in_dim(array, number * chunk, chunk, axis=1), arrays)


def _put(values: Any, new_values: Any, number: jax.Array, chunk: int) -> Any:
    def put(array_GT: jax.Array, new_GC: jax.Array) -> jax.Array:
        return jax.lax.dynamic_update_slice_in_dim(array_GT, new_GC, number * chunk, axis=1)

    return jax.tree.map(put, values, new_values)


def _no_values(predicting_GT: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jnp.zeros(predicting_GT.shape, jnp.float32), jnp.zeros(predicting_GT.shape, bool)


def _take(values_GX: jax.Array, indices_GT: jax.Array) -> jax.Array:
    """Takes entries of each group; zero (False) past its end."""
    return jnp.take_along_axis(values_GX, indices_GT, axis=1, mode="fill", fill_value=0)
