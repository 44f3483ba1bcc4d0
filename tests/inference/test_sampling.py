import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gato.inference.sampling import draw_keys, legal_rows, sample


def keys_for(seeds, step=0):
    return draw_keys(jnp.asarray(seeds, jnp.uint32), jnp.full(len(seeds), step, jnp.int32))


def test_legal_rows_span_all_ranges_and_each_slot_allows_its_own():
    rows, mask = legal_rows([(5, 7), (10, 12), (5, 7), (6, 8)])
    assert rows == slice(5, 12)
    ids = np.arange(5, 12)
    assert [ids[row].tolist() for row in mask] == [[5, 6], [10, 11], [5, 6], [6, 7]]


@pytest.mark.parametrize("ranges", [[], [(3, 3)], [(-1, 2)]], ids=["none", "empty", "negative"])
def test_senseless_ranges_are_refused(ranges):
    with pytest.raises(ValueError, match="legal id ranges"):
        legal_rows(ranges)


def test_temperature_zero_takes_the_most_likely_legal_row():
    logits = jnp.array([[9.0, 1.0, 3.0, 2.0], [0.0, 5.0, 5.0, 9.0]])
    legal = jnp.array([False, True, True, False])
    assert sample(logits, legal, keys_for([0, 1]), 0.0).tolist() == [2, 1]


def test_illegal_rows_are_never_drawn_however_likely():
    logits = jnp.tile(jnp.array([[1e30, -50.0, 80.0, -80.0]]), (500, 1))
    drawn = sample(logits, jnp.array([False, True, False, True]), keys_for(range(500)), 100.0)
    assert set(drawn.tolist()) == {1, 3}


def test_frequencies_follow_the_softmax_at_the_temperature():
    logits, temperature, n = jnp.array([0.0, 1.0, 2.0]), 2.0, 20_000
    drawn = sample(jnp.tile(logits, (n, 1)), jnp.ones(3, bool), keys_for(range(n)), temperature)
    frequencies = np.bincount(np.asarray(drawn), minlength=3) / n
    expected = np.asarray(jax.nn.softmax(logits / temperature))
    np.testing.assert_allclose(frequencies, expected, atol=4 * np.sqrt(0.25 / n))


def test_draws_depend_on_seed_and_step_but_not_on_neighbours():
    logits = jnp.zeros((1, 1000))
    legal = jnp.ones(1000, bool)
    alone = [sample(logits, legal, keys_for([seed], step), 1.0).item() for step in range(2) for seed in range(20)]
    together = [sample(jnp.tile(logits, (20, 1)), legal, keys_for(range(20), step), 1.0).tolist() for step in range(2)]
    assert alone == together[0] + together[1]
    assert len(set(alone)) > 35


def test_bfloat16_logits_are_compared_in_float32_after_the_noise():
    logits = jnp.zeros((2000, 4), jnp.bfloat16)
    drawn = sample(logits, jnp.ones(4, bool), keys_for(range(2000)), 1.0)
    # Noise rounded to bfloat16 would tie, and ties go to the lowest index.
    np.testing.assert_allclose(np.bincount(np.asarray(drawn), minlength=4) / 2000, 0.25, atol=0.04)
