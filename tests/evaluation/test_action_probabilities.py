import math

import numpy as np
import pytest

from gato.config import PolicyConfig, TokenizerConfig
from gato.evaluation.action_probabilities import action_probabilities
from gato.tokenizer.sequence import TokenSequence

TOKENIZER = TokenizerConfig(text_vocab_size=260, num_bins=64, num_discrete=64)
FIRST = TOKENIZER.discrete_ids.start
RANGES = np.array([[FIRST, FIRST + 2], [FIRST, FIRST + 3]])
SIZE = 5  # tokens of a timestep: two observed, the separator, two of the action


def episode(num_timesteps: int, first: int = 0) -> TokenSequence:
    """Timesteps whose first token counts them, from `first` on."""
    tokens = [
        [FIRST + 10 + first + t, FIRST + 9, TOKENIZER.separator_id, FIRST + 1, FIRST + 2] for t in range(num_timesteps)
    ]
    length = SIZE * num_timesteps
    marks = [0, 1, TOKENIZER.separator_position, TOKENIZER.action_position, TOKENIZER.action_position]
    return TokenSequence(
        tokens=np.ravel(tokens).astype(np.int32),
        local_positions=np.tile(marks, num_timesteps).astype(np.int32),
        loss_mask=np.zeros(length, bool),
        changed_mask=np.zeros(length, bool),
        patches=np.zeros((0, 16, 16, 3), np.uint8),
        patch_indices=np.zeros(0, np.int32),
        patch_intervals=np.zeros((0, 4), np.int32),
        starts=np.arange(0, length + 1, SIZE),
    )


class Network:
    """Notes what it is asked, and finds the higher of two ids three times as likely as the lower."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []  # of each pass, the timesteps in it, by what counts them
        self.before: list[int] = []  # the tokens that stand before what was asked for

    def __call__(self, batch, places, rows):
        tokens = batch.tokens[0, : batch.lengths[0]]
        self.seen.append((tokens[::SIZE] - FIRST - 10).tolist())
        self.before += tokens[places].tolist()
        assert rows == slice(FIRST, FIRST + 3)
        return np.tile(np.array([0.0, math.log(3), -50.0], np.float32), (len(places), 1))


def predict(network, timesteps, *, num_timesteps=6, prompt=None, pinned=True, **policy):
    return action_probabilities(
        network,
        episode(num_timesteps),
        timesteps,
        RANGES,
        prompt=prompt,
        pinned=pinned,
        policy=PolicyConfig(**{"context_length": 100, **policy}),
        tokenizer=TOKENIZER,
    )


def test_one_pass_serves_all_timesteps_that_are_in_the_context():
    network = Network()
    found = predict(network, [0, 2, 5], prompt=episode(2, first=20))
    assert network.seen == [[20, 21, 0, 1, 2, 3, 4, 5]]
    assert set(network.before) == {TOKENIZER.separator_id, FIRST + 1}  # before the first and the second action token
    assert [(one.timestep, one.num_prompt, one.first_visible, one.num_tokens, one.after_eviction) for one in found] == [
        (0, 10, 0, 15, False),
        (2, 10, 0, 25, False),
        (5, 10, 0, 40, False),
    ]


def test_a_pinned_prompt_stays_when_timesteps_leave():
    network = Network()
    found = predict(network, [1, 3, 5], prompt=episode(2, first=20), context_length=24)
    # Beside ten tokens of prompt there is room for two timesteps.
    assert network.seen == [[20, 21, 0, 1], [20, 21, 2, 3], [20, 21, 4, 5]]
    assert [one.after_eviction for one in found] == [False, True, True]
    assert [one.first_visible for one in found] == [0, 2, 4]
    assert {one.num_tokens for one in found} == {20}
    always_fresh = predict(network, [1, 3, 5], prompt=episode(2, first=20), context_length=24, refresh_every=1)
    assert [one.after_eviction for one in always_fresh] == [False] * 3


def test_a_sliding_prompt_leaves_first():
    network = Network()
    found = predict(network, [1, 2, 5], prompt=episode(2, first=20), context_length=24, pinned=False)
    assert network.seen == [[20, 21, 0, 1], [21, 0, 1, 2], [2, 3, 4, 5]]
    assert [(one.num_prompt, one.first_visible) for one in found] == [(10, 0), (5, 0), (0, 2)]


@pytest.mark.parametrize(("temperature", "lower"), [(1.0, 0.25), (0.5, 0.1), (0.0, 0.25)])
def test_probabilities_are_those_of_the_legal_ids_at_the_temperature(temperature, lower):
    (found,) = predict(Network(), [0], temperature=temperature)
    first, second = found.probabilities
    np.testing.assert_allclose(first, [lower, 1 - lower], rtol=1e-6)  # (1/3) ** 2 of odds at half the temperature
    np.testing.assert_allclose(second, [lower, 1 - lower, 0], atol=1e-6)


def test_a_timestep_that_cannot_fit_is_refused():
    with pytest.raises(ValueError, match="one timestep takes 5 tokens"):
        predict(Network(), [0], context_length=4)


def test_probabilities_are_those_that_top_k_and_top_p_leave():
    # One to three, for ids that can be told apart; the third id is next to impossible.
    (free,) = predict(Network(), [0])
    (one,) = predict(Network(), [0], top_k=1)
    (nucleus,) = predict(Network(), [0], top_p=0.8)
    np.testing.assert_allclose(free.probabilities[1], [0.25, 0.75, 0], atol=1e-9)
    assert free.probabilities[1][2] > 0
    assert one.probabilities[0].tolist() == [0, 1]
    np.testing.assert_allclose(nucleus.probabilities[1], [0.25, 0.75, 0], atol=1e-9)
    assert nucleus.probabilities[1][2] == 0
