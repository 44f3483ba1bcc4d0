import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gato.model.attention import Attention, causal_attention, masked_attention
from gato.model.rotary import rotation_of


def _qkv(length: int, head_dim: int = 4):
    return jax.random.normal(jax.random.key(0), (3, 2, 2, length, head_dim))


def _reference(q, k, v):
    """One query at a time, in float64."""
    q, k, v = (np.asarray(x, np.float64) for x in (q, k, v))
    out = np.zeros_like(q)
    for b, h, place in np.ndindex(q.shape[:3]):
        scores = k[b, h, : place + 1] @ q[b, h, place] / q.shape[-1] ** 0.5
        weights = np.exp(scores - scores.max())
        out[b, h, place] = weights / weights.sum() @ v[b, h, : place + 1]
    return out


@pytest.mark.parametrize("block", [3, 4, 10, 64])
def test_causal_attention_agrees_with_a_plain_reference(block):
    q, k, v = _qkv(10)
    actual = jax.jit(causal_attention, static_argnames="block")(q, k, v, block=block)
    np.testing.assert_allclose(actual, _reference(q, k, v), atol=1e-5)


@pytest.mark.parametrize("block", [3, 64])
def test_a_past_that_begins_later_is_attention_over_the_rest_alone(block):
    q, k, v = _qkv(10)
    visible_from = jnp.array([[0] * 4 + [4] * 6, [0] * 10])
    actual = causal_attention(q, k, v, visible_from, block=block)
    np.testing.assert_allclose(actual[:1, :, 4:], _reference(*(x[:1, :, 4:] for x in (q, k, v))), atol=1e-5)
    np.testing.assert_allclose(actual[:1, :, :4], _reference(*(x[:1, :, :4] for x in (q, k, v))), atol=1e-5)
    np.testing.assert_allclose(actual[1:], _reference(*(x[1:] for x in (q, k, v))), atol=1e-5)


def test_blocks_change_no_gradient():
    def gradient(block):
        return jax.jit(jax.grad(lambda qkv: jnp.sum(jnp.sin(causal_attention(*qkv, block=block)))))(_qkv(10))

    np.testing.assert_allclose(gradient(4), gradient(64), atol=1e-5)


def test_a_query_that_sees_nothing_stays_finite():
    q, k, v = _qkv(3)
    assert jnp.isfinite(masked_attention(q, k, v, jnp.zeros((2, 1, 3, 3), bool))).all()


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="cuDNN is there")
def test_cudnn_without_a_gpu_is_refused(model_config, build):
    attention = build(Attention, model_config(attention="cudnn", compute_dtype="bfloat16"))
    rotation = rotation_of(jnp.arange(4)[None], 8, 100.0)
    with pytest.raises(ValueError, match="attention is 'cudnn', which needs an NVIDIA GPU, but JAX runs on 'cpu'"):
        attention(jnp.zeros((1, 4, 32)), rotation)
