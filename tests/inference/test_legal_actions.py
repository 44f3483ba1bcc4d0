"""Whatever the network says, an action of one token is a member of its space: over 100,000 random spaces."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from gato.config import PolicyConfig, TokenizerConfig
from gato.inference.action_table import ActionTable
from gato.tokenizer.spaces import TimestepTokenizer

NUM_SPACES, NUM_AT_ONCE, MOST_VALUES = 100_000, 10_000, 4
CONFIG = TokenizerConfig(
    text_vocab_size=300, num_bins=64, num_discrete=48, values_per_token=MOST_VALUES, action_tokens="grouped"
)
OBSERVATIONS = spaces.Discrete(2)


def random_space(rng):
    """A space of one to four numbers, of any kind and any bounds."""
    size = int(rng.integers(1, MOST_VALUES + 1))
    low = rng.normal(size=size) * 10.0 ** rng.integers(-3, 4)
    high = low + rng.exponential(size=size) * 10.0 ** rng.integers(-3, 4)
    match int(rng.integers(6)):
        case 0:
            return spaces.Discrete(int(rng.integers(1, 49)), start=int(rng.integers(-100, 100)))
        case 1:
            return spaces.MultiDiscrete(rng.integers(1, 49, size=size))
        case 2:
            return spaces.Box(low.astype(np.float32), high.astype(np.float32))
        case 3:
            return spaces.Box(-np.inf, np.inf, (size,), np.float64)
        case 4:
            start = rng.integers(-(2**40), 2**40)
            return spaces.Box(start, start + int(rng.integers(1, 2**30)), (size,), np.int64)
        case _:
            return spaces.MultiBinary(size)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_actions_are_legal_in_any_space_whatever_the_scores(temperature):
    rng = np.random.default_rng(0)
    for start in range(0, NUM_SPACES, NUM_AT_ONCE):
        drawn = [random_space(rng) for _ in range(NUM_AT_ONCE)]
        tokenizers = [TimestepTokenizer(OBSERVATIONS, space, CONFIG) for space in drawn]
        table = ActionTable.of(
            [tokenizer.action_ranges for tokenizer in tokenizers], PolicyConfig(temperature=temperature), CONFIG
        )
        ids = np.arange(table.token_ids.start, table.token_ids.stop)
        scores = rng.normal(size=(NUM_AT_ONCE, len(ids))).astype(np.float32)
        scores *= 10.0 ** rng.integers(-2, 30, size=(NUM_AT_ONCE, 1))
        chosen = np.empty((NUM_AT_ONCE, table.num_tokens), np.int64)
        for index in range(table.num_tokens):
            is_legal = (ids[None] >= table.low[:, index, None]) & (ids[None] < table.high[:, index, None])
            noise = None if temperature == 0 else jax.random.gumbel(jax.random.key(start + index), scores.shape)
            chosen[:, index] = ids[
                table.sampling.choose(jnp.asarray(scores), jnp.asarray(is_legal), noise, table.temperatures[:, index])
            ]
        for space, tokenizer, own in zip(drawn, tokenizers, chosen, strict=True):
            assert space.contains(tokenizer.decode_action(own[: len(tokenizer.action_ranges)])), space
