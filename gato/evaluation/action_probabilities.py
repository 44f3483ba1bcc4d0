"""How likely each legal action token was at timesteps of an episode that is over.

Rows are what training would make of them: the demonstration, then the timesteps that were in the context, in one
uncached pass. As long as nothing has left the context these are the probabilities that the agent drew from, up to
rounding. Once something has, they are what it would say to the same window with an empty KV cache: the acting agent's
cache of the window has seen what came before it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from gato.batch import Batch
from gato.config import DataConfig, PolicyConfig, TokenizerConfig
from gato.data.action_choice import without_own_actions
from gato.data.collate import Row, make_batch
from gato.inference.action_table import ActionTable
from gato.inference.chunks import bucket_size
from gato.inference.kv_cache_window import KVCacheWindow
from gato.inference.sampling import Sampling
from gato.tokenizer.sequence import TokenSequence

# (batch of one row of L tokens, K places in it, vocabulary rows) to logits (K, rows) of the tokens after the places, or
# (K, J, rows) of the numbers of the actions that are predicted there, where an action is one token
LogitsOf: TypeAlias = Callable[[Batch, np.ndarray, slice], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the network said at one timestep, and what it had before it."""

    timestep: int
    # Of each number of the action, over its legal ids; sums to 1. Where numbers are predicted one after another, given
    # those that were executed before it.
    probabilities: tuple[np.ndarray, ...]
    num_prompt: int  # tokens of the demonstration that were in the context
    first_visible: int  # timestep of the episode
    num_tokens: int  # in the context, this timestep's action included
    after_eviction: bool  # the acting agent's KV cache had seen what has left the context, see the module


def action_probabilities(
    logits_of: LogitsOf,
    episode: TokenSequence,
    timesteps: Sequence[int],
    ranges: np.ndarray,
    *,
    prompt: TokenSequence | None,
    pinned: bool,
    policy: PolicyConfig,
    tokenizer: TokenizerConfig,
) -> list[Prediction]:
    """Computes the probabilities at some timesteps, at the temperature that the agent acts with, at 1 if that is 0.

    Args:
        logits_of: one uncached pass of the network.
        episode: encoded, with the actions that were executed.
        timesteps: of the episode, ascending.
        ranges: (A, 2) legal ids [low, high) of each number of an action.
        prompt: the demonstration before the episode.
        pinned: whether it stays at the front of the context.
        policy: that acted.
        tokenizer: that encoded the episode.

    Raises:
        ValueError: a timestep does not fit into the context.
    """
    table = ActionTable.of([ranges], policy, tokenizer)
    head = prompt if pinned else None
    num_head = 0 if head is None else len(head)
    lead = 0 if prompt is None or pinned else prompt.num_timesteps
    episode = without_own_actions(episode, tokenizer, None)
    sequence = TokenSequence.concatenate([prompt, episode]) if prompt is not None and lead else episode
    starts = sequence.starts

    window = KVCacheWindow(policy.context_length, num_head)
    chosen = {lead + timestep for timestep in timesteps}
    rows: dict[int, tuple[int, list[int]]] = {}  # by the last timestep: the first one, and those chosen of it
    predictions: dict[int, tuple[int, int, bool]] = {}
    for index in range(max(chosen, default=-1) + 1):
        window.begin_timestep(int(starts[index + 1] - starts[index]))
        if index not in chosen:
            continue
        first = int(np.searchsorted(starts, window.window_start - num_head))
        predictions[index] = first, window.num_visible, window.num_evicted > 0 and policy.refresh_every != 1
        if first == 0:  # one pass serves all timesteps that have seen everything before them
            before = next((own for start, own in rows.values() if start == 0), [])
            rows = {index: (0, [*before, index])}
        else:
            rows[index] = first, [index]

    num_places = 1 if tokenizer.has_action_groups else len(ranges)  # tokens that predict an action
    num_fed = 0 if tokenizer.own_actions == "hidden" else num_places
    layout = _layout(head, sequence, rows)
    found: list[Prediction] = []
    for last, (first, own) in rows.items():
        row = sequence.timesteps(first, last + 1)
        if head is not None:
            row = TokenSequence.concatenate([head, row])
        offset = num_head - int(starts[first])
        before_action = np.array([starts[index + 1] for index in own]) - num_fed - 1 + offset
        places = np.ravel(before_action[:, None] + np.arange(num_places))
        filled = np.pad(places, (0, bucket_size(len(places)) - len(places)), mode="edge")
        batch = make_batch([Row(sequence=row, source_id=0)], layout, tokenizer)
        logits = logits_of(batch, filled.astype(np.int32), table.token_ids)[: len(places)]
        logits = logits.reshape(len(own), -1, logits.shape[-1])[:, : len(ranges)].astype(np.float64)
        for index, own_logits in zip(own, logits, strict=True):
            start, num_tokens, after_eviction = predictions[index]
            found.append(
                Prediction(
                    timestep=index - lead,
                    probabilities=tuple(
                        _probabilities(
                            token_logits[low - table.token_ids.start : high - table.token_ids.start],
                            temperature,
                            table.sampling,
                        )
                        for token_logits, (low, high), temperature in zip(
                            own_logits, ranges, table.temperatures[0], strict=True
                        )
                    ),
                    num_prompt=num_head + int(starts[max(lead, start)] - starts[start]),
                    first_visible=max(start - lead, 0),
                    num_tokens=num_tokens,
                    after_eviction=after_eviction,
                )
            )
    return found


def _layout(head: TokenSequence | None, sequence: TokenSequence, rows: dict[int, tuple[int, list[int]]]) -> DataConfig:
    """Chooses one padded size for all rows of an episode, so that few sizes are compiled."""
    patches = np.searchsorted(sequence.patch_indices, sequence.starts)
    sizes = [
        (sequence.starts[last + 1] - sequence.starts[first], patches[last + 1] - patches[first])
        for last, (first, _) in rows.items()
    ]
    num_tokens, num_patches = np.max(sizes, axis=0, initial=1)
    if head is not None:
        num_tokens, num_patches = num_tokens + len(head), num_patches + len(head.patches)
    return DataConfig(context_length=bucket_size(int(num_tokens)), max_patches=bucket_size(int(num_patches)))


def _probabilities(logits: np.ndarray, temperature: float, sampling: Sampling) -> np.ndarray:
    if temperature > 0:
        logits = logits / temperature
        if sampling.is_truncated:
            logits = np.where(sampling.kept_mask(logits[None])[0], logits, -np.inf)
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()
