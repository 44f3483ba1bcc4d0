import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gato.model.rotary import rotation_of
from gato.model.transformer import Block, Transformer


def _input(num_rows: int = 2, length: int = 7):
    return jax.random.normal(jax.random.key(1), (num_rows, length, 32))


@pytest.fixture(scope="module")
def gradient_of(model_config, build):
    """Gradients of parameters and input under the same noise, however the layers run."""

    def gradient(**changes):
        config = model_config(stochastic_depth=0.3, dropout=0.2, **changes)
        graphdef, state = nnx.split(build(Transformer, config))

        def scalar(state, x):
            return jnp.sum(jnp.sin(nnx.merge(graphdef, state)(x, jax.random.key(5))))

        return jax.tree.leaves(jax.jit(jax.grad(scalar, argnums=(0, 1)))(state, _input()))

    return gradient


@pytest.fixture(scope="module")
def plain_gradient(gradient_of):
    return gradient_of()


@pytest.mark.parametrize("changes", [{"remat": "dots"}, {"remat": "full", "scan_layers": True}], ids=str)
def test_how_layers_run_changes_no_gradient(changes, plain_gradient, gradient_of):
    for expected, actual in zip(plain_gradient, gradient_of(**changes), strict=True):
        np.testing.assert_allclose(actual, expected, atol=2e-5, rtol=1e-4)


def test_gradients_of_later_tokens_are_zero_and_of_earlier_ones_not(model_config, build):
    transformer = build(Transformer, model_config(attention_block=3))
    x = _input()
    graphdef, state = nnx.split(transformer)
    gradient = jax.jit(jax.grad(lambda x, place: jnp.sum(jnp.sin(nnx.merge(graphdef, state)(x)[0, place]))))
    for place in (0, 3, 6):
        sizes = np.abs(gradient(x, place)).max(axis=-1)
        assert (sizes[0, : place + 1] > 1e-6).all()
        assert not sizes[0, place + 1 :].any()
        assert not sizes[1].any()


def test_stochastic_depth_skips_whole_sub_layers_row_by_row(model_config, build, run):
    transformer = build(Transformer, model_config(num_layers=1, stochastic_depth=0.5))
    x = jnp.broadcast_to(_input(1), (64, 7, 32))
    hidden = run(transformer, x, jax.random.key(0))
    # Attention skipped or not, MLP skipped or not: four results, about equally often.
    distinct, counts = np.unique(np.round(hidden.reshape(64, -1), 4), axis=0, return_counts=True)
    assert len(distinct) == 4
    assert counts.min() > 5
    skipped = np.asarray(transformer.final_norm(x[:1])).reshape(1, -1)
    assert np.abs(distinct - skipped).max(axis=1).min() < 2e-4


def test_what_randomness_keeps_is_scaled_to_the_same_mean(model_config, build, run):
    block = build(Block, model_config(stochastic_depth=0.25, dropout=0.25))
    # Without the MLP, which is not linear in what attention adds, the mean over many rows is exact.
    block.mlp.down.kernel[...] = jnp.zeros_like(block.mlp.down.kernel[...])
    rotation = rotation_of(jnp.arange(7)[None], 8, 100.0)
    x = _input(1)
    many = jnp.broadcast_to(x, (4000, 7, 32))
    added = run(block, many, rotation, None, jax.random.key(0)) - many
    expected = run(block, x, rotation, None, None) - x
    assert jnp.abs(expected).max() > 0.3
    np.testing.assert_allclose(added.mean(axis=0), expected[0], atol=0.05)


def test_no_key_means_no_randomness(model_config, build, run):
    noisy = build(Transformer, model_config(stochastic_depth=0.5, dropout=0.5))
    plain = build(Transformer, model_config())
    np.testing.assert_array_equal(run(noisy, _input()), run(plain, _input()))


def test_layers_start_different(model_config, build):
    kernels = build(Transformer, model_config()).blocks.mlp.up.kernel[...]
    assert jnp.abs(kernels[0] - kernels[1]).max() > 0.01
    assert abs(float(kernels.std()) - 32**-0.5) < 0.01
