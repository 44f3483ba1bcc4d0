import jax
import jax.numpy as jnp
import numpy as np

from gato.model.rotary import rotate, rotation_of


def test_a_rotation_by_hand():
    # At position 1 the first pair (0, 2) turns by 1 and the second pair (1, 3) by 1 / 100 ** (1 / 2).
    turned = rotate(jnp.array([1.0, 1.0, 0.0, 0.0]).reshape(1, 1, 1, 4), rotation_of(jnp.array([[1]]), 4, 100.0))
    expected = [np.cos(1), np.cos(0.1), np.sin(1), np.sin(0.1)]
    np.testing.assert_allclose(turned.ravel(), expected, atol=1e-6)


def test_cosines_and_sines_are_computed_once_however_often_they_are_used():
    def turned(x, positions):
        rotation = rotation_of(positions, 4, 100.0)
        return [rotate(x + i, rotation) for i in range(3)]

    text = jax.jit(turned).lower(jnp.zeros((1, 2, 6, 4)), jnp.arange(6)[None]).compile().as_text()
    assert (text.count(" cosine("), text.count(" sine(")) == (1, 1)


def test_scores_depend_on_distance_only():
    q, k = jax.random.normal(jax.random.key(0), (2, 2, 2, 6, 4))

    def scores(shift):
        rotation = rotation_of(jnp.arange(6)[None] + shift, 4, 100.0)
        return jnp.einsum("bhlk,bhsk->bhls", rotate(q, rotation), rotate(k, rotation))

    np.testing.assert_allclose(scores(0), scores(17), atol=1e-4)
    assert jnp.abs(scores(0) - jnp.einsum("bhlk,bhsk->bhls", q, k)).max() > 0.1
