"""Causal self-attention with rotary positions, over a whole row or over a KV cache.

Source: Vaswani et al. (2017).
"""

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
            q_BLHK, k_BLHK, v_BLHK = (x_BHLK.swapaxes(1, 2) for x_BHLK in self._project(x_BLD, rotation))
            y_BLHK = jax.nn.dot_product_attention(q_BLHK, k_BLHK, v_BLHK, is_causal=True, implementation="cudnn")
            return self._join(y_BLHK.swapaxes(1, 2))
        q_BHLK, k_BHLK, v_BHLK = self._project(x_BLD, rotation)
        return self._join(causal_attention(q_BHLK, k_BHLK, v_BHLK, visible_from_BL, block=self._block))

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
        q_BHCK, k_BHCK, v_BHCK = self._project(x_BCD, rotation)
        if query_indices_BA is not None:
            q_BHCK = jnp.take_along_axis(q_BHCK, query_indices_BA[:, None, :, None], axis=2)
            visible_BCS = jnp.take_along_axis(visible_BCS, query_indices_BA[..., None], axis=1)
        keys_BHSK = _written(keys_BHSK, k_BHCK, slots_BC)
        values_BHSK = _written(values_BHSK, v_BHCK, slots_BC)
        attend = _attention_one_by_one if q_BHCK.shape[2] <= _FEW else _attention_of_chunks
        y_BHCK = attend(q_BHCK, keys_BHSK, values_BHSK, visible_BCS[:, None])
        return self._join(y_BHCK), keys_BHSK, values_BHSK

    def _project(self, x_BLD: jax.Array, rotation: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, ...]:
        B, L, _ = x_BLD.shape
        qkv_3BHLK = self.qkv(x_BLD).reshape(B, L, 3, self._num_heads, self._head_dim).transpose(2, 0, 3, 1, 4)
        return rotate(qkv_3BHLK[0], rotation), rotate(qkv_3BHLK[1], rotation), qkv_3BHLK[2]

    def _join(self, y_BHLK: jax.Array) -> jax.Array:
        B, _, L, _ = y_BHLK.shape
        return self.out(y_BHLK.swapaxes(1, 2).reshape(B, L, -1))


def causal_attention(
    q_BHLK: jax.Array, k_BHLK: jax.Array, v_BHLK: jax.Array, visible_from_BL: jax.Array | None = None, *, block: int
) -> jax.Array:
    """Attends causally in blocks of queries, each of which computes scores for its own past only.

    With `visible_from_BL` a token's past begins at the index given for it.

    With more than one block the scores are computed again in the backward pass instead of kept.
    """
    L = q_BHLK.shape[2]

    def attend(q: jax.Array, k: jax.Array, v: jax.Array, start: int) -> jax.Array:
        queries, keys = jnp.arange(start, start + q.shape[2]), jnp.arange(k.shape[2])
        visible_BLS = (queries[:, None] >= keys[None])[None]
        if visible_from_BL is not None:
            visible_BLS &= keys[None, None] >= visible_from_BL[:, start : start + q.shape[2], None]
        return masked_attention(q, k, v, visible_BLS[:, None])

    if block >= L:
        return attend(q_BHLK, k_BHLK, v_BHLK, 0)
    outputs = []
    for start in range(0, L, block):
        stop = min(start + block, L)
        attend_block = jax.checkpoint(attend, static_argnums=3)
        outputs.append(attend_block(q_BHLK[:, :, start:stop], k_BHLK[:, :, :stop], v_BHLK[:, :, :stop], start))
    return jnp.concatenate(outputs, axis=2)


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
