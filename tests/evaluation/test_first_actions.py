import dataclasses

import numpy as np
import pytest
from gymnasium import spaces

from gato.batch import Batch
from gato.config import TokenizerConfig
from gato.evaluation.first_actions import first_action_nll
from gato.tokenizer.sequence import TokenSequence
from gato.tokenizer.spaces import TimestepTokenizer

TOKENIZER = TokenizerConfig(text_vocab_size=260, num_bins=16, num_discrete=16)
STEPS = TimestepTokenizer(spaces.MultiDiscrete([9, 9]), spaces.MultiDiscrete([9, 9, 9]), TOKENIZER)


def episode(first: int, length: int) -> TokenSequence:
    """Actions (first, first, first), then one more each step."""
    numbers = first + np.arange(length)
    return STEPS.encode_episode(np.zeros((length, 2), np.int64), np.repeat(numbers[:, None], 3, axis=1))


def sum_of_targets(batch: Batch) -> np.ndarray:
    """Stands in for the model: a token's own value is its loss."""
    values = np.where(batch.loss_mask, batch.tokens - TOKENIZER.discrete_ids.start, 0)
    return values.sum(axis=1).astype(float)


def test_only_the_first_actions_of_the_episode_count():
    episodes = [episode(1, 5), episode(4, 5)]
    prompts = [episode(0, 3), None]
    # Three tokens an action: 1 + 2 and 4 + 5, three times each.
    assert first_action_nll(sum_of_targets, prompts, episodes, TOKENIZER).tolist() == [9, 27]
    assert first_action_nll(sum_of_targets, prompts, episodes, TOKENIZER, num_actions=1).tolist() == [3, 12]


def test_a_short_episode_counts_with_what_it_has():
    assert first_action_nll(sum_of_targets, [None], [episode(2, 1)], TOKENIZER, num_actions=9).tolist() == [6]


def test_rows_are_the_prompt_and_then_the_episode():
    seen: list[Batch] = []

    def look(batch: Batch) -> np.ndarray:
        seen.append(batch)
        return sum_of_targets(batch)

    prompt, played = episode(0, 3), episode(5, 4)
    first_action_nll(look, [prompt], [played], TOKENIZER, num_actions=2)
    row = np.concatenate([prompt.tokens, played.timesteps(0, 2).tokens])
    np.testing.assert_array_equal(seen[0].tokens[0, : len(row)], row)
    assert seen[0].lengths[0] == len(row)


def test_many_rows_come_in_batches_of_one_shape_and_in_order():
    shapes = set()

    def look(batch: Batch) -> np.ndarray:
        shapes.add(batch.tokens.shape)
        return sum_of_targets(batch)

    episodes = [episode(number % 5, 3) for number in range(37)]
    prompts = [episode(0, number % 4) if number % 4 else None for number in range(37)]
    found = first_action_nll(look, prompts, episodes, TOKENIZER, num_actions=1)
    assert found.tolist() == [3 * (number % 5) for number in range(37)]
    assert len(shapes) == 1


def test_masked_actions_of_the_episode_still_count():
    silent = dataclasses.replace(episode(1, 2), loss_mask=np.zeros(12, bool))
    assert first_action_nll(sum_of_targets, [None], [silent], TOKENIZER).tolist() == [9]


def test_wrong_arguments_are_named():
    assert first_action_nll(sum_of_targets, [], [], TOKENIZER).tolist() == []
    with pytest.raises(ValueError, match="1 prompts came for 2 episodes"):
        first_action_nll(sum_of_targets, [None], [episode(0, 2)] * 2, TOKENIZER)
    with pytest.raises(ValueError, match="num_actions is 0"):
        first_action_nll(sum_of_targets, [None], [episode(0, 2)], TOKENIZER, num_actions=0)


@pytest.mark.parametrize("own_actions", ["fed", "hidden"])
def test_actions_of_one_token_count_where_they_are_predicted(own_actions):
    tokenizer = dataclasses.replace(
        TOKENIZER, values_per_token=3, action_tokens="grouped", separator="mark", own_actions=own_actions
    )
    steps = TimestepTokenizer(spaces.MultiDiscrete([9, 9]), spaces.MultiDiscrete([9, 9, 9]), tokenizer)
    masked = np.zeros(4, bool)
    played, shown = (
        steps.encode_episode(np.zeros((4, 2), np.int64), np.full((4, 3), number), action_mask=masked)
        for number in (2, 5)
    )
    lengths = []

    def sum_of_numbers(batch: Batch) -> np.ndarray:
        assert not batch.loss_mask.any(), "no token is a target"
        lengths.append(int(batch.lengths[0]))
        values = batch.action_values - tokenizer.discrete_ids.start
        return (values * batch.action_mask[..., None]).sum(axis=(1, 2)).astype(float)

    assert first_action_nll(sum_of_numbers, [shown], [played], tokenizer).tolist() == [2 * 3 * 2]
    # A demonstration shows its actions, the episode only where they are fed.
    assert lengths == [4 * 2 + 2 * (1 + (own_actions == "fed"))]
