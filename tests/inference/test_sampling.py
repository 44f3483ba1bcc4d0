import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gato.inference.sampling import draw_keys, gumbel_noise, legal_rows, sample


@pytest.fixture(scope="module")
def noise():
    """Independent noise for 8000 choices among four rows."""
    keys = draw_keys(jnp.arange(8000, dtype=jnp.uint32), jnp.zeros(8000, jnp.int32), 1)
    return gumbel_noise(keys, 4)[0]


def test_legal_rows_span_all_ranges():
    assert legal_rows([(5, 7), (10, 12), (5, 7), (6, 8)]) == slice(5, 12)


@pytest.mark.parametrize("ranges", [[], [(3, 3)], [(-1, 2)]], ids=["none", "empty", "negative"])
def test_senseless_ranges_are_refused(ranges):
    with pytest.raises(ValueError, match="legal id ranges"):
        legal_rows(ranges)


def test_temperature_zero_takes_the_most_likely_legal_row():
    logits = jnp.array([[9.0, 1.0, 3.0, 2.0], [0.0, 5.0, 5.0, 9.0]])
    legal = jnp.array([[False, True, True, False]])
    assert sample(logits, legal).tolist() == [2, 1]
    noise = jnp.array([[0.0, 99.0, 0.0, 0.0]] * 2)
    assert sample(logits, legal, jnp.array([0.0, 0.0]), noise).tolist() == [2, 1]


def test_each_row_has_its_own_legal_rows_and_temperature():
    logits = jnp.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    legal = jnp.array([[True, True, False], [True, True, True], [True, True, True]])
    noise = jnp.array([[0.0, 0.0, 9.0], [9.0, 0.0, 0.0], [9.0, 0.0, 0.0]])
    assert sample(logits, legal, jnp.array([1.0, 1.0, 0.0]), noise).tolist() == [1, 0, 2]


def test_illegal_rows_are_never_drawn_however_likely(noise):
    logits = jnp.tile(jnp.array([[1e30, -50.0, 80.0, -80.0]]), (len(noise), 1))
    drawn = sample(logits, jnp.array([[False, True, False, True]]), jnp.full(len(noise), 100.0), noise)
    assert set(drawn.tolist()) == {1, 3}


def test_frequencies_follow_the_softmax_at_the_temperature(noise):
    logits, temperature = jnp.array([0.0, 1.0, 2.0, 0.5]), 2.0
    drawn = sample(jnp.tile(logits, (len(noise), 1)), jnp.ones((1, 4), bool), jnp.full(len(noise), temperature), noise)
    frequencies = np.bincount(np.asarray(drawn), minlength=4) / len(noise)
    expected = np.asarray(jax.nn.softmax(logits / temperature))
    np.testing.assert_allclose(frequencies, expected, atol=4 * np.sqrt(0.25 / len(noise)))


def test_noise_depends_on_seed_step_and_draw_but_not_on_neighbours():
    seeds, steps = jnp.arange(20, dtype=jnp.uint32), jnp.arange(20, dtype=jnp.int32) // 5
    together = gumbel_noise(draw_keys(seeds, steps, 3), 8)
    alone = [gumbel_noise(draw_keys(seeds[i : i + 1], steps[i : i + 1], 3), 8)[:, 0] for i in range(20)]
    np.testing.assert_array_equal(together, np.stack(alone, axis=1))
    assert len(np.unique(np.asarray(together))) > 0.99 * together.size


def test_bfloat16_logits_are_compared_in_float32_after_the_noise(noise):
    drawn = sample(jnp.zeros(noise.shape, jnp.bfloat16), jnp.ones((1, 4), bool), jnp.ones(len(noise)), noise)
    # Noise rounded to bfloat16 would tie now and then, and ties go to the lowest index.
    np.testing.assert_array_equal(drawn, np.asarray(noise).argmax(axis=1))
