import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gato.inference.sampling import GREEDY, Sampling, draw_keys, gumbel_noise, legal_ids

DRAWN = Sampling(temperature=1.0)


@pytest.fixture(scope="module")
def noise():
    """Independent noise for 8000 choices among four rows."""
    keys = draw_keys(jnp.arange(8000, dtype=jnp.uint32), jnp.zeros(8000, jnp.int32), 1)
    return gumbel_noise(keys, 4)[0]


def test_legal_ids_span_all_ranges():
    assert legal_ids([(5, 7), (10, 12), (5, 7), (6, 8)]) == slice(5, 12)


@pytest.mark.parametrize("ranges", [[], [(3, 3)], [(-1, 2)]], ids=["none", "empty", "negative"])
def test_senseless_ranges_are_refused(ranges):
    with pytest.raises(ValueError, match="legal id ranges"):
        legal_ids(ranges)


def test_temperature_zero_takes_the_most_likely_legal_id():
    logits = jnp.array([[9.0, 1.0, 3.0, 2.0], [0.0, 5.0, 5.0, 9.0]])
    legal = jnp.array([[False, True, True, False]])
    assert Sampling(temperature=0.0) == GREEDY
    assert GREEDY.choose(logits, legal).tolist() == [2, 1]
    noise = jnp.array([[0.0, 99.0, 0.0, 0.0]] * 2)
    assert DRAWN.choose(logits, legal, noise, jnp.array([0.0, 0.0])).tolist() == [2, 1]
    assert GREEDY.choose(logits, legal, noise).tolist() == [2, 1]


def test_each_row_has_its_own_legal_ids_and_temperature():
    logits = jnp.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    legal = jnp.array([[True, True, False], [True, True, True], [True, True, True]])
    noise = jnp.array([[0.0, 0.0, 9.0], [9.0, 0.0, 0.0], [9.0, 0.0, 0.0]])
    assert DRAWN.choose(logits, legal, noise, jnp.array([1.0, 1.0, 0.0])).tolist() == [1, 0, 2]


@pytest.mark.parametrize(
    "limits", [{}, {"top_k": 2}, {"top_k": 4}, {"top_p": 1.0}, {"top_k": 3, "top_p": 0.99}], ids=str
)
def test_illegal_ids_are_never_drawn_however_likely(noise, limits):
    logits = jnp.tile(jnp.array([[1e30, -50.0, 80.0, -80.0]]), (len(noise), 1))
    sampling = Sampling(temperature=100.0, **limits)
    drawn = sampling.choose(logits, jnp.array([[False, True, False, True]]), noise)
    assert set(drawn.tolist()) == {1, 3}


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        ({}, [0, 1, 2, 3]),
        ({"top_k": 2}, [1, 2]),
        ({"top_p": 0.6}, [1, 2]),
        ({"top_k": 3, "top_p": 0.9}, [1, 2, 3]),
    ],
    ids=str,
)
def test_frequencies_follow_the_softmax_at_the_temperature_over_what_is_kept(noise, limits, kept):
    logits, temperature = jnp.array([0.0, 1.0, 2.0, 0.5]), 2.0
    drawn = Sampling(temperature=temperature, **limits).choose(
        jnp.tile(logits, (len(noise), 1)), jnp.ones((1, 4), bool), noise
    )
    frequencies = np.bincount(np.asarray(drawn), minlength=4) / len(noise)
    expected = np.zeros(4)
    expected[kept] = jax.nn.softmax(logits[np.array(kept)] / temperature)
    np.testing.assert_allclose(frequencies, expected, atol=4 * np.sqrt(0.25 / len(noise)))
    assert (frequencies[expected == 0] == 0).all()


# Probabilities 0.1, 0.4, 0.25, 0.2 and 0.05, of which the last id is illegal in the second row: there they are
# 0.105, 0.421, 0.263 and 0.211.
PROBABILITIES = jnp.array([[0.1, 0.4, 0.25, 0.2, 0.05], [0.1, 0.4, 0.25, 0.2, 0.0]])


@pytest.mark.parametrize(
    ("limits", "first", "second"),
    [
        ({"top_k": 1}, [1], [1]),
        ({"top_k": 3}, [1, 2, 3], [1, 2, 3]),
        ({"top_k": 9}, [0, 1, 2, 3, 4], [0, 1, 2, 3]),
        ({"top_p": 0.3}, [1], [1]),
        ({"top_p": 0.41}, [1, 2], [1]),
        ({"top_p": 0.64}, [1, 2], [1, 2]),
        ({"top_p": 0.66}, [1, 2, 3], [1, 2]),
        ({"top_p": 0.9}, [0, 1, 2, 3], [0, 1, 2, 3]),
        ({"top_p": 1.0}, [0, 1, 2, 3, 4], [0, 1, 2, 3]),
        # Of the two likeliest, the first has 0.4 / 0.65 = 0.615.
        ({"top_k": 2, "top_p": 0.6}, [1], [1]),
        ({"top_k": 2, "top_p": 0.63}, [1, 2], [1, 2]),
    ],
    ids=str,
)
def test_hand_worked_sets_of_the_likeliest_ids(limits, first, second):
    kept = Sampling(temperature=1.0, **limits).kept_mask(jnp.log(PROBABILITIES))
    assert [np.flatnonzero(row).tolist() for row in kept] == [first, second]


def test_among_equals_the_lower_ids_are_kept():
    kept = Sampling(temperature=1.0, top_k=2).kept_mask(jnp.array([[1.0, 3.0, 1.0, 1.0]]))
    assert np.flatnonzero(kept[0]).tolist() == [0, 1]


def test_a_hot_temperature_widens_the_nucleus():
    logits = jnp.array([[0.0, 1.0, 2.0, 3.0]] * 2)
    noise = jnp.array([[9.0, 0.0, 0.0, 0.0]] * 2)  # would draw the least likely id
    sampling = Sampling(temperature=1.0, top_p=0.8)
    assert sampling.choose(logits, jnp.ones((1, 4), bool), noise, jnp.array([0.5, 50.0])).tolist() == [3, 0]


def test_without_limits_a_draw_is_the_largest_scaled_and_noisy_logit_to_the_last_bit(noise):
    logits = jax.random.normal(jax.random.key(1), noise.shape)
    temperatures = jnp.where(jnp.arange(len(noise)) % 3 == 0, 0.0, 0.7)
    legal = jnp.array([[True, True, False, True]])
    scaled = np.where(legal, logits, -np.inf) / np.where(temperatures > 0, temperatures, np.float32(1))[:, None]
    noisy = scaled + np.where(temperatures > 0, 1, 0).astype(np.float32)[:, None] * np.asarray(noise)
    drawn = DRAWN.choose(logits, legal, noise, temperatures)
    np.testing.assert_array_equal(drawn, noisy.argmax(axis=1))
    np.testing.assert_array_equal(drawn[1::3], Sampling(temperature=0.7).choose(logits, legal, noise)[1::3])
    every = Sampling(temperature=1.0, top_k=4, top_p=1.0).choose(logits, legal, noise, temperatures)
    np.testing.assert_array_equal(drawn, every)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": -1.0}, "temperature is -1.0, needs 0 or more"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": 1.0, "top_k": 0}, "top_k is 0, needs 1 or more"),
        ({"temperature": 1.0, "top_p": 0.0}, r"top_p is 0.0, needs to be in \(0, 1\]"),
        ({"temperature": 1.0, "top_p": 1.5}, "top_p is 1.5"),
        ({"top_k": 3}, "top_k is 3 and top_p None at temperature 0, .* set a temperature above 0"),
    ],
    ids=str,
)
def test_senseless_rules_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**settings)


def test_noise_depends_on_seed_step_and_draw_but_not_on_neighbours():
    seeds, steps = jnp.arange(20, dtype=jnp.uint32), jnp.arange(20, dtype=jnp.int32) // 5
    together = gumbel_noise(draw_keys(seeds, steps, 3), 8)
    alone = [gumbel_noise(draw_keys(seeds[i : i + 1], steps[i : i + 1], 3), 8)[:, 0] for i in range(20)]
    np.testing.assert_array_equal(together, np.stack(alone, axis=1))
    assert len(np.unique(np.asarray(together))) > 0.99 * together.size


def test_bfloat16_logits_are_compared_in_float32_after_the_noise(noise):
    drawn = DRAWN.choose(jnp.zeros(noise.shape, jnp.bfloat16), jnp.ones((1, 4), bool), noise)
    # Noise rounded to bfloat16 would tie now and then, and ties go to the lowest index.
    np.testing.assert_array_equal(drawn, np.asarray(noise).argmax(axis=1))
