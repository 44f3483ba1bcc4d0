import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from gato.model.attention import Attention, causal_attention, masked_attention
from gato.model.rotary import rotate, rotation_of

VISIBLE_FROM = np.array([[0] * 4 + [4] * 6, [0] * 7 + [5] * 3])


def _qkv(length: int = 10, head_dim: int = 4):
    return jax.random.normal(jax.random.key(0), (2, length, 3, 2, head_dim))


def _rotation(length: int = 10, head_dim: int = 4):
    return rotation_of(jnp.arange(length)[None], head_dim, 100.0)


def _reference(qkv_BL3HK, visible_from_BL=None):
    """One query at a time, in float64."""
    q, k, v = np.asarray(qkv_BL3HK, np.float64).transpose(2, 0, 3, 1, 4)
    rotation = _rotation(*q.shape[2:])
    q, k = (np.asarray(rotate(jnp.asarray(x), rotation), np.float64) for x in (q, k))
    out = np.zeros_like(q)
    for b, h, place in np.ndindex(q.shape[:3]):
        first = 0 if visible_from_BL is None else visible_from_BL[b, place]
        scores = k[b, h, first : place + 1] @ q[b, h, place] / q.shape[-1] ** 0.5
        weights = np.exp(scores - scores.max())
        out[b, h, place] = weights / weights.sum() @ v[b, h, first : place + 1]
    return out.swapaxes(1, 2)


def _plain(qkv_BL3HK, rotation, visible_from_BL=None):
    """All scores at once, differentiated by JAX."""
    q, k, v = qkv_BL3HK.transpose(2, 0, 3, 1, 4)
    length = q.shape[2]
    visible_BLS = (jnp.arange(length)[:, None] >= jnp.arange(length)[None])[None]
    if visible_from_BL is not None:
        visible_BLS &= jnp.arange(length)[None, None] >= visible_from_BL[..., None]
    q, k = rotate(q, rotation), rotate(k, rotation)
    return masked_attention(q, k, v, visible_BLS[:, None]).swapaxes(1, 2)


@pytest.mark.parametrize("visible_from", [None, VISIBLE_FROM], ids=["whole past", "later start"])
@pytest.mark.parametrize("block", [3, 4, 10, 64])
def test_causal_attention_agrees_with_a_plain_reference(block, visible_from):
    actual = jax.jit(causal_attention, static_argnames="block")(_qkv(), _rotation(), visible_from, block=block)
    np.testing.assert_allclose(actual, _reference(_qkv(), visible_from), atol=1e-5)


@pytest.mark.parametrize("visible_from", [None, VISIBLE_FROM], ids=["whole past", "later start"])
@pytest.mark.parametrize("block", [3, 4, 10, 64])
def test_gradients_are_those_of_plain_attention(block, visible_from):
    cotangent = jax.random.normal(jax.random.key(1), (2, 10, 2, 4))

    def gradient(attend, **options):
        return jax.jit(jax.grad(lambda qkv: jnp.sum(cotangent * attend(qkv, _rotation(), visible_from, **options))))(
            _qkv()
        )

    np.testing.assert_allclose(gradient(causal_attention, block=block), gradient(_plain), atol=2e-6)


@pytest.mark.parametrize("visible_from", [None, VISIBLE_FROM], ids=["whole past", "later start"])
def test_gradients_agree_with_differences_in_float64(visible_from):
    with jax.enable_x64(True):
        qkv, rotation = (jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), part) for part in (_qkv(), _rotation()))
        check_grads(
            lambda qkv: causal_attention(qkv, rotation, visible_from, block=4), (qkv,), order=1, modes=["rev"], eps=1e-6
        )


def test_half_precision_keeps_its_dtype_and_its_gradients():
    qkv = _qkv().astype(jnp.bfloat16)
    attend = jax.jit(causal_attention, static_argnames="block")
    value, pull_back = jax.vjp(lambda qkv: attend(qkv, _rotation(), block=4), qkv)
    expected, plain_pull_back = jax.vjp(lambda qkv: _plain(qkv, _rotation()), _qkv())
    assert value.dtype == jnp.bfloat16
    np.testing.assert_allclose(value.astype(jnp.float32), expected, atol=0.05)
    (gradient,), (plain,) = pull_back(jnp.ones_like(value)), plain_pull_back(jnp.ones_like(expected))
    assert gradient.dtype == jnp.bfloat16
    np.testing.assert_allclose(gradient.astype(jnp.float32), plain, atol=0.1)


def test_a_backward_pass_keeps_no_scores():
    length = 64
    qkv, rotation = _qkv(length), _rotation(length)
    _, pull_back = jax.vjp(lambda qkv: causal_attention(qkv, rotation, block=16), qkv)
    kept = sum(leaf.size for leaf in jax.tree.leaves(pull_back))
    assert kept < 2 * 2 * length * length  # rows x heads x queries x keys


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_attention_lowers_for_accelerators_without_a_loop_over_heads(platform):
    def gradient(qkv):
        return jax.grad(lambda qkv: causal_attention(qkv, _rotation(), block=4).sum())(qkv)

    lowered = jax.jit(gradient).trace(_qkv()).lower(lowering_platforms=(platform,)).as_text()
    assert "stablehlo.dot_general" in lowered
    assert "stablehlo.while" not in lowered


def test_a_query_that_sees_nothing_stays_finite():
    q, k, v = _qkv(3).transpose(2, 0, 3, 1, 4)
    assert jnp.isfinite(masked_attention(q, k, v, jnp.zeros((2, 1, 3, 3), bool))).all()
    assert jnp.isfinite(causal_attention(_qkv(3), _rotation(3), jnp.full((2, 3), 3), block=2)).all()


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="cuDNN is there")
def test_cudnn_without_a_gpu_is_refused(model_config, build):
    attention = build(Attention, model_config(attention="cudnn", compute_dtype="bfloat16"))
    rotation = rotation_of(jnp.arange(4)[None], 8, 100.0)
    with pytest.raises(ValueError, match="attention is 'cudnn', which needs an NVIDIA GPU, but JAX runs on 'cpu'"):
        attention(jnp.zeros((1, 4, 32)), rotation)
