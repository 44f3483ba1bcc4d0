"""Causal self-attention with rotary positions, over a whole row or over a KV cache.

Source: Vaswani et al. (2017).
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from gato.config import ModelConfig
from gato.model.projection import Projection
from gato.model.rotary import rotate

_FEW = 4  # queries of a chunk that are computed one by one
_HIDDEN = -1e30  # score of what a query may not see; finite, so that a query that sees nothing stays finite


class Attention(nnx.Module):
    """One fused projection to queries, keys and values, and one back; no biases."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs) -> None:
        self._num_heads, self._head_dim = config.num_heads, config.head_dim
        self._implementation, self._block = config.attention, config.attention_block
        dtype = jnp.dtype(config.compute_dtype)
        inner = config.num_heads * config.head_dim
        self.qkv = Projection(config.width, 3 * inner, dtype=dtype, rngs=rngs)
        self.out = Projection(inner, config.width, gain=1 / (2 * config.num_layers), dtype=dtype, rngs=rngs)

    def __call__(
        self, x_BLD: jax.Array, rotation: tuple[jax.Array, jax.Array], visible_from_BL: jax.Array | None = None
    ) -> jax.Array:
        """Lets every token attend to itself and the tokens before it. Rows are padded on the right, so this is enough.

        Args:
            visible_from_BL: the first token of the row that each one sees; None = all see the whole past.
        """
        if self._implementation == "cudnn":
            if jax.default_backend() != "gpu":
                raise ValueError(
                    f"attention is 'cudnn', which needs an NVIDIA GPU, but JAX runs on {jax.default_backend()!r}: "
                    "set model.attention to 'xla'"
                )
            if visible_from_BL is not None:
                raise ValueError(
                    "attention is 'cudnn', which hides no part of the past: set data.isolate_pairs to false"
                )
            q_BLHK, k_BLHK, v_BLHK = (x_BHLK.swapaxes(1, 2) for x_BHLK in self._rotated(x_BLD, rotation))
            y_BLHK = jax.nn.dot_product_attention(q_BLHK, k_BLHK, v_BLHK, is_causal=True, implementation="cudnn")
        else:
            y_BLHK = causal_attention(self._project(x_BLD), rotation, visible_from_BL, block=self._block)
        return self._join(y_BLHK)

    def extend(
        self,
        x_BCD: jax.Array,
        rotation: tuple[jax.Array, jax.Array],
        keys_BHSK: jax.Array,
        values_BHSK: jax.Array,
        slots_BC: jax.Array,
        visible_BCS: jax.Array,
        query_indices_BA: jax.Array | None,
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Writes the chunk's keys and values to their slots, then attends to all visible slots.

        Returns:
            y_BCD, or y_BAD of each row's queried tokens, and the cache arrays of the layer with the chunk in them.
        """
        q_BHCK, k_BHCK, v_BHCK = self._rotated(x_BCD, rotation)
        if query_indices_BA is not None:
            q_BHCK = jnp.take_along_axis(q_BHCK, query_indices_BA[:, None, :, None], axis=2)
            visible_BCS = jnp.take_along_axis(visible_BCS, query_indices_BA[..., None], axis=1)
        keys_BHSK = _written(keys_BHSK, k_BHCK, slots_BC)
        values_BHSK = _written(values_BHSK, v_BHCK, slots_BC)
        attend = _attention_one_by_one if q_BHCK.shape[2] <= _FEW else _attention_of_chunks
        y_BHCK = attend(q_BHCK, keys_BHSK, values_BHSK, visible_BCS[:, None])
        return self._join(y_BHCK.swapaxes(1, 2)), keys_BHSK, values_BHSK

    def _project(self, x_BLD: jax.Array) -> jax.Array:
        return self.qkv(x_BLD).reshape(*x_BLD.shape[:2], 3, self._num_heads, self._head_dim)

    def _rotated(self, x_BLD: jax.Array, rotation: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, ...]:
        q_BHLK, k_BHLK, v_BHLK = _heads(self._project(x_BLD))
        return rotate(q_BHLK, rotation), rotate(k_BHLK, rotation), v_BHLK

    def _join(self, y_BLHK: jax.Array) -> jax.Array:
        return self.out(y_BLHK.reshape(*y_BLHK.shape[:2], -1))


def causal_attention(
    qkv_BL3HK: jax.Array,
    rotation: tuple[jax.Array, jax.Array],
    visible_from_BL: jax.Array | None = None,
    *,
    block: int,
) -> jax.Array:
    """Rotates queries and keys, and attends causally in blocks of queries, each with its own past only.

    With `visible_from_BL` a token's past begins at the index given for it.

    The backward pass keeps one number of each query's softmax and computes the scores again. A CPU works head after
    head, so that scores stay in its caches and no head is copied out of the projection; rows are never taken apart,
    since devices may share them.

    Returns:
        y_BLHK.
    """
    return _causal_attention(block, qkv_BL3HK, rotation, visible_from_BL)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _causal_attention(
    block: int, qkv_BL3HK: jax.Array, rotation: tuple[jax.Array, jax.Array], visible_from_BL: jax.Array | None
) -> jax.Array:
    return _attend(block, qkv_BL3HK, rotation, visible_from_BL)[0]


def _attend(
    block: int, qkv_BL3HK: jax.Array, rotation: tuple[jax.Array, jax.Array], visible_from_BL: jax.Array | None
) -> tuple[jax.Array, tuple]:
    """Returns y_BLHK and what the backward pass needs."""
    forward = functools.partial(_forward, block)

    def by_head(qkv_BL3HK: jax.Array, rotation: tuple, visible_from_BL: jax.Array | None) -> tuple[jax.Array, ...]:
        B, L, _, H, K = qkv_BL3HK.shape
        turn = _turn_of_head(rotation)

        def attend_head(head: jax.Array, done: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            y_BLK, sums_BL1 = forward(*_rotated(_head(qkv_BL3HK, head, 3), turn), visible_from_BL)
            return _put_head(done[0], y_BLK, head, 2), _put_head(done[1], sums_BL1, head, 1)

        y_BLHK = jnp.zeros((B, L, H, K), qkv_BL3HK.dtype)
        return jax.lax.fori_loop(0, H, attend_head, (y_BLHK, jnp.zeros((B, H, L, 1), _sum_dtype(qkv_BL3HK))))

    def at_once(qkv_BL3HK: jax.Array, rotation: tuple, visible_from_BL: jax.Array | None) -> tuple[jax.Array, ...]:
        y_BHLK, sums_BHL1 = forward(*_rotated(_heads(qkv_BL3HK), _turn(rotation)), visible_from_BL)
        return y_BHLK.swapaxes(1, 2), sums_BHL1

    inputs = qkv_BL3HK, rotation, visible_from_BL
    y_BLHK, sums_BHL1 = jax.lax.platform_dependent(*inputs, cpu=by_head, default=at_once)
    return y_BLHK, (*inputs, y_BLHK, sums_BHL1)


def _attend_backward(block: int, kept: tuple, to_y_BLHK: jax.Array) -> tuple[jax.Array, None, None]:
    backward = functools.partial(_backward, block)

    def by_head(
        qkv_BL3HK: jax.Array,
        rotation: tuple,
        visible_from_BL: jax.Array | None,
        y_BLHK: jax.Array,
        sums_BHL1: jax.Array,
        to_y_BLHK: jax.Array,
    ) -> jax.Array:
        turn, turn_back = _turn_of_head(rotation), _turn_of_head((rotation[0], -rotation[1]))

        def attend_head(head: jax.Array, to_qkv_BL3HK: jax.Array) -> jax.Array:
            q_BLK, k_BLK, v_BLK = _rotated(_head(qkv_BL3HK, head, 3), turn)
            y_BLK, to_y_BLK = _head(y_BLHK, head, 2), _head(to_y_BLHK, head, 2)
            to_qkv = backward(q_BLK, k_BLK, v_BLK, visible_from_BL, y_BLK, _head(sums_BHL1, head, 1), to_y_BLK)
            for index, part_BLK in enumerate(_rotated_back(to_qkv, turn_back)):
                part_BL11K = part_BLK[:, :, None, None].astype(to_qkv_BL3HK.dtype)
                to_qkv_BL3HK = jax.lax.dynamic_update_slice(to_qkv_BL3HK, part_BL11K, (0, 0, index, head, 0))
            return to_qkv_BL3HK

        return jax.lax.fori_loop(0, qkv_BL3HK.shape[3], attend_head, jnp.zeros_like(qkv_BL3HK))

    def at_once(
        qkv_BL3HK: jax.Array,
        rotation: tuple,
        visible_from_BL: jax.Array | None,
        y_BLHK: jax.Array,
        sums_BHL1: jax.Array,
        to_y_BLHK: jax.Array,
    ) -> jax.Array:
        q_BHLK, k_BHLK, v_BHLK = _rotated(_heads(qkv_BL3HK), _turn(rotation))
        y_BHLK, to_y_BHLK = y_BLHK.swapaxes(1, 2), to_y_BLHK.swapaxes(1, 2)
        to_qkv = backward(q_BHLK, k_BHLK, v_BHLK, visible_from_BL, y_BHLK, sums_BHL1, to_y_BHLK)
        back = _turn((rotation[0], -rotation[1]))
        return jnp.stack(_rotated_back(to_qkv, back), axis=2).transpose(0, 3, 2, 1, 4).astype(qkv_BL3HK.dtype)

    return jax.lax.platform_dependent(*kept, to_y_BLHK, cpu=by_head, default=at_once), None, None


_causal_attention.defvjp(_attend, _attend_backward)


def _forward(
    block: int, q_XLK: jax.Array, k_XLK: jax.Array, v_XLK: jax.Array, visible_from_BL: jax.Array | None
) -> tuple[jax.Array, jax.Array]:
    """Attends in any leading shape X, (B,) or (B, H).

    Returns:
        y_XLK, and the logarithm of each query's sum of exponentiated scores, (..., L, 1).
    """
    y, sums = [], []
    for start, stop in _blocks(q_XLK.shape[-2], block):
        scores_XCS = _scores(q_XLK, k_XLK, visible_from_BL, start, stop)
        highest_XC1 = scores_XCS.max(axis=-1, keepdims=True)
        weights_XCS = jnp.exp(scores_XCS - highest_XC1)
        sum_XC1 = weights_XCS.sum(axis=-1, keepdims=True)
        mix_XCK = _product("...cs,...sk->...ck", weights_XCS.astype(v_XLK.dtype), v_XLK[..., :stop, :])
        y.append((mix_XCK / sum_XC1).astype(v_XLK.dtype))
        sums.append(highest_XC1 + jnp.log(sum_XC1))
    return jnp.concatenate(y, axis=-2), jnp.concatenate(sums, axis=-2)


def _backward(
    block: int,
    q_XLK: jax.Array,
    k_XLK: jax.Array,
    v_XLK: jax.Array,
    visible_from_BL: jax.Array | None,
    y_XLK: jax.Array,
    sums_XL1: jax.Array,
    to_y_XLK: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns the gradients to q, k and v.

    No product has a block of scores as its left operand with the keys' axis outside: such a product takes the CPU
    twice as long. Therefore the gradients to keys and values come out with their axes exchanged.

    Source: FlashAttention (Dao et al., 2022), algorithm 4, by blocks of queries alone.
    """
    dtype = q_XLK.dtype
    shift_XL1 = (y_XLK * to_y_XLK).sum(axis=-1, keepdims=True, dtype=sums_XL1.dtype)
    q_XKL, to_y_XKL = q_XLK.swapaxes(-1, -2), to_y_XLK.swapaxes(-1, -2)
    to_q = []
    to_k_XKL = to_v_XKL = jnp.zeros(q_XKL.shape, sums_XL1.dtype)
    for start, stop in _blocks(q_XLK.shape[-2], block):
        scores_XCS = _scores(q_XLK, k_XLK, visible_from_BL, start, stop)
        weights_XCS = jnp.exp(scores_XCS - sums_XL1[..., start:stop, :])
        to_weights_XCS = _product("...ck,...sk->...cs", to_y_XLK[..., start:stop, :], v_XLK[..., :stop, :])
        to_scores_XCS = (weights_XCS * (to_weights_XCS - shift_XL1[..., start:stop, :])).astype(dtype)
        to_q.append(_product("...cs,...sk->...ck", to_scores_XCS, k_XLK[..., :stop, :]))
        to_k_XKS = _product("...kc,...cs->...ks", q_XKL[..., start:stop], to_scores_XCS)
        to_v_XKS = _product("...kc,...cs->...ks", to_y_XKL[..., start:stop], weights_XCS.astype(dtype))
        to_k_XKL = to_k_XKL.at[..., :stop].add(to_k_XKS)
        to_v_XKL = to_v_XKL.at[..., :stop].add(to_v_XKS)
    return jnp.concatenate(to_q, axis=-2), to_k_XKL.swapaxes(-1, -2), to_v_XKL.swapaxes(-1, -2)


def _scores(q_XLK: jax.Array, k_XLK: jax.Array, visible_from_BL: jax.Array | None, start: int, stop: int) -> jax.Array:
    """Returns the scores of the queries from start to stop with all keys before stop, hidden where they may not see."""
    scores_XCS = _product("...ck,...sk->...cs", q_XLK[..., start:stop, :], k_XLK[..., :stop, :])
    queries_C, keys_S = jnp.arange(start, stop), jnp.arange(stop)
    visible = queries_C[:, None] >= keys_S[None]
    if visible_from_BL is not None:
        visible_BCS = visible[None] & (keys_S[None, None] >= visible_from_BL[:, start:stop, None])
        visible = jax.lax.expand_dims(visible_BCS, range(1, scores_XCS.ndim - 2))
    return jnp.where(visible, scores_XCS, _HIDDEN)


def _blocks(length: int, block: int) -> list[tuple[int, int]]:
    return [(start, min(start + block, length)) for start in range(0, length, block)]


def _product(equation: str, left: jax.Array, right: jax.Array) -> jax.Array:
    return jnp.einsum(equation, left, right, preferred_element_type=_sum_dtype(left))


def _sum_dtype(x: jax.Array) -> jnp.dtype:
    return jnp.promote_types(x.dtype, jnp.float32)


def _heads(qkv_BL3HK: jax.Array) -> list[jax.Array]:
    """Returns q, k and v, each (B, H, L, K)."""
    return list(qkv_BL3HK.transpose(2, 0, 3, 1, 4))


def _head(x: jax.Array, head: jax.Array, axis: int) -> Any:
    """Returns one head of an array; of queries, keys and values the list of the three, each (B, L, K)."""
    part = jax.lax.dynamic_index_in_dim(x, head, axis, keepdims=False)
    return [part[:, :, index] for index in range(3)] if x.ndim == 5 else part


def _put_head(x: jax.Array, part: jax.Array, head: jax.Array, axis: int) -> jax.Array:
    return jax.lax.dynamic_update_index_in_dim(x, part, head, axis)


def _rotated(qkv: list[jax.Array], turn: Callable[[jax.Array], jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns rotated queries, scaled by K ** -0.5, rotated keys, and values as they are."""
    q, k, v = qkv
    return (turn(q) * q.shape[-1] ** -0.5).astype(q.dtype), turn(k).astype(k.dtype), v


def _rotated_back(
    to_qkv: tuple[jax.Array, jax.Array, jax.Array], turn_back: Callable[[jax.Array], jax.Array]
) -> tuple[jax.Array, ...]:
    """Returns the gradients to what `_rotated` was given."""
    to_q, to_k, to_v = to_qkv
    return turn_back(to_q * to_q.shape[-1] ** -0.5), turn_back(to_k), to_v


def _turn(rotation: tuple[jax.Array, jax.Array]) -> Callable[[jax.Array], jax.Array]:
    return lambda x_BHLK: rotate(x_BHLK.astype(_sum_dtype(x_BHLK)), rotation)


def _turn_of_head(rotation: tuple[jax.Array, jax.Array]) -> Callable[[jax.Array], jax.Array]:
    """Returns the rotation of one head, (B, L, K), whose halves are written one after the other.

    XLA on CPU joins them number by number otherwise, which takes longer than a product of the scores.
    """
    cos_BLK, sin_BLK = (x[:, 0] for x in rotation)

    def turn(x_BLK: jax.Array) -> jax.Array:
        low, high = jnp.split(x_BLK.astype(_sum_dtype(x_BLK)), 2, axis=-1)
        half = low.shape[-1]
        turned_BLK = jnp.zeros(x_BLK.shape, low.dtype)
        turned_BLK = turned_BLK.at[..., :half].set(low * cos_BLK - high * sin_BLK)
        return turned_BLK.at[..., half:].set(high * cos_BLK + low * sin_BLK)

    return turn


def masked_attention(q_BHLK: jax.Array, k_BHSK: jax.Array, v_BHSK: jax.Array, visible_B1LS: jax.Array) -> jax.Array:
    """Attends by softmax in float32 over the visible keys; divides by the softmax's sum at the end, where it is cheap.

    Source: Vaswani et al. (2017), section 3.2.1.
    """
    q_BHLK = q_BHLK * q_BHLK.shape[-1] ** -0.5
    scores_BHLS = jnp.einsum("bhlk,bhsk->bhls", q_BHLK, k_BHSK, preferred_element_type=jnp.float32)
    scores_BHLS = jnp.where(visible_B1LS, scores_BHLS, _HIDDEN)
    weights_BHLS = jnp.exp(scores_BHLS - jax.lax.stop_gradient(scores_BHLS.max(axis=-1, keepdims=True)))
    y_BHLK = jnp.einsum(
        "bhls,bhsk->bhlk", weights_BHLS.astype(v_BHSK.dtype), v_BHSK, preferred_element_type=jnp.float32
    )
    return (y_BHLK / weights_BHLS.sum(axis=-1, keepdims=True)).astype(v_BHSK.dtype)


def _attention_one_by_one(
    q_BHCK: jax.Array, k_BHSK: jax.Array, v_BHSK: jax.Array, visible_B1CS: jax.Array
) -> jax.Array:
    """Computes `masked_attention` query after query: on CPU, products with a vector are quicker than with a few."""
    queries = zip(
        *(jax.lax.split(array, [1] * q_BHCK.shape[2], axis=2) for array in (q_BHCK, visible_B1CS)), strict=True
    )
    return jnp.concatenate([masked_attention(q, k_BHSK, v_BHSK, visible) for q, visible in queries], axis=2)


def _attention_of_chunks(q_BHCK: jax.Array, k_BHSK: jax.Array, v_BHSK: jax.Array, visible_B1CS: jax.Array) -> jax.Array:
    """Computes `masked_attention`; on CPU row after row, which keeps the scores small enough to stay in its caches."""

    def row_by_row(*arrays: jax.Array) -> jax.Array:
        return jax.lax.map(lambda row: masked_attention(*(x[None] for x in row))[0], arrays)

    return jax.lax.platform_dependent(q_BHCK, k_BHSK, v_BHSK, visible_B1CS, cpu=row_by_row, default=masked_attention)


def _written(cache_BHSK: jax.Array, new_BHCK: jax.Array, slots_BC: jax.Array) -> jax.Array:
    """Returns the cache array with new entries at their slots; slots past its end are dropped."""
    if slots_BC.size == 1:
        # A scatter to one index becomes another operation on CPU, for which the whole cache is copied. With a second
        # index, a dropped one, it stays in place.
        slots_BC = jnp.pad(slots_BC, ((0, 0), (0, 1)), constant_values=cache_BHSK.shape[2])
        new_BHCK = jnp.pad(new_BHCK, ((0, 0), (0, 0), (0, 1), (0, 0)))
    rows = jnp.arange(len(slots_BC))[:, None]
    return cache_BHSK.at[rows, :, slots_BC].set(new_BHCK.swapaxes(1, 2), mode="drop")
