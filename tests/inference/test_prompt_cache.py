import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from gato.inference.chunks import ChunkRow, assemble
from gato.inference.kv_cache_window import KVCacheWindow
from gato.model.gato import rebuild
from gato.model.rotary import shift_prompt_keys
from gato.tokenizer.language import encode_document


@pytest.fixture
def demonstration(text, make_agent):
    """Four timesteps of 4, 6, 5 and 3 tokens."""
    sequence = encode_document("go to the red ball" * 3, text, make_agent().tokenizer)
    part = dataclasses.replace(sequence, starts=np.array([0, 18, len(sequence)])).timesteps(0, 1)
    return dataclasses.replace(part, starts=np.array([0, 4, 10, 15, 18]))


def test_a_shifted_prompt_has_the_keys_of_later_positions(make_agent, demonstration):
    agent = make_agent(2)
    model = rebuild(agent.model, agent.tokenizer, agent.params)
    window = KVCacheWindow(40, prompt_length=18)

    def prefilled(positions):
        chunk = assemble([ChunkRow(sequence=demonstration, position=0, window=window)], agent.tokenizer, size=18)
        shifted = dataclasses.replace(chunk, positions=positions[None], prompt_length=positions[-1:] + 1)
        return model.extend(shifted, model.init_cache(1, 40))[1]

    here, later = (prefilled(np.arange(18, dtype=np.int32) + gap) for gap in (0, 700))
    prompt_keys = tuple(layer[:, :, :24] for layer in here.keys)
    moved = shift_prompt_keys(here, prompt_keys, jnp.array([18]), jnp.array([700]), agent.model.rotary_base)
    for got, expected, before in zip(moved.keys, later.keys, here.keys, strict=True):
        np.testing.assert_allclose(got[:, :, :18], expected[:, :, :18], atol=1e-4)
        assert np.abs(got[:, :, :18] - before[:, :, :18]).max() > 0.1
        np.testing.assert_array_equal(got[:, :, 18:], before[:, :, 18:])
    unmoved = shift_prompt_keys(moved, prompt_keys, jnp.array([18]), jnp.array([0]), agent.model.rotary_base)
    np.testing.assert_array_equal(unmoved.keys[1], here.keys[1])
    without_prompt = shift_prompt_keys(here, prompt_keys, jnp.array([0]), jnp.array([700]), agent.model.rotary_base)
    np.testing.assert_array_equal(without_prompt.keys[0], here.keys[0])
