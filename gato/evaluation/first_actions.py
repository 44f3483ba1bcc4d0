"""How well an expert's first actions are predicted after a prompt, before the agent's own deeds can help or mislead it.

Rows are what training would make of them: the prompt, then the beginning of an episode, in one uncached pass.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from gato.batch import Batch
from gato.config import DataConfig, TokenizerConfig
from gato.data.action_choice import without_own_actions
from gato.data.collate import Row, make_batch
from gato.tokenizer.sequence import TokenSequence

_ROWS_A_BATCH = 16
_LENGTH_STEP = 64  # row lengths are rounded up to it, so that few different ones are compiled
_PATCH_STEP = 32


def first_action_nll(
    nll_of: Callable[[Batch], np.ndarray],
    prompts: Sequence[TokenSequence | None],
    episodes: Sequence[TokenSequence],
    tokenizer: TokenizerConfig,
    *,
    num_actions: int = 2,
) -> np.ndarray:
    """Computes the negative log-likelihood of the first actions of each episode, in nats, (episodes,).

    It is the sum over all tokens of these actions, each predicted from everything before it with the softmax over the
    whole vocabulary, or, where an action is one token, over its numbers among their legal ids: as the training loss has
    it. An episode that is shorter counts with what it has.

    Args:
        nll_of: (batch of B rows) -> (B,) sums over the targets of each row.
        prompts: before each episode; None for none.
        episodes: encoded, from their first timestep on.
        tokenizer: that encoded them.
        num_actions: how many actions of each.

    Raises:
        ValueError: the numbers of prompts and episodes differ, or `num_actions` is below 1.
    """
    if len(prompts) != len(episodes):
        raise ValueError(f"{len(prompts)} prompts came for {len(episodes)} episodes, expected one each, or None")
    if num_actions < 1:
        raise ValueError(f"num_actions is {num_actions}, needs 1 or more")
    rows = [
        Row(sequence=_row(prompt, episode, num_actions, tokenizer), source_id=0)
        for prompt, episode in zip(prompts, episodes, strict=True)
    ]
    if not rows:
        return np.zeros(0)
    layout = DataConfig(
        context_length=_rounded(max(len(row.sequence) for row in rows), _LENGTH_STEP),
        max_patches=_rounded(max(len(row.sequence.patches) for row in rows), _PATCH_STEP),
    )
    # All batches have one shape: the last one is filled up.
    filled = rows + [rows[-1]] * (-len(rows) % _ROWS_A_BATCH)
    found = [
        nll_of(make_batch(filled[first : first + _ROWS_A_BATCH], layout, tokenizer))
        for first in range(0, len(filled), _ROWS_A_BATCH)
    ]
    return np.concatenate(found)[: len(rows)]


def _row(
    prompt: TokenSequence | None, episode: TokenSequence, num_actions: int, tokenizer: TokenizerConfig
) -> TokenSequence:
    """Joins the prompt and the episode's first timesteps, whose actions are the only targets."""
    beginning = episode.timesteps(0, min(num_actions, episode.num_timesteps))
    beginning = without_own_actions(beginning, tokenizer, None)
    is_target, numbers = beginning.local_positions == tokenizer.action_position, beginning.numbers
    if numbers is not None and tokenizer.has_action_groups:
        is_predicted = (numbers.action_values != tokenizer.padding_id).any(axis=1)
        numbers = dataclasses.replace(numbers, action_mask=is_predicted)
        is_target = np.zeros_like(is_target)
    beginning = dataclasses.replace(beginning, loss_mask=is_target, numbers=numbers)
    if prompt is None:
        return beginning
    return TokenSequence.concatenate([prompt.without_targets(), beginning])


def _rounded(size: int, step: int) -> int:
    return max(-(-size // step), 1) * step
