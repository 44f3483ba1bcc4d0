"""Windows of whole timesteps, and rows of any length -> one padded Batch.

A window is drawn so that every alignment of row and episode is equally likely, also those in which the row reaches
beyond an end; these are moved inside. So the first and last timesteps are seen as often as those far from an end, those
beside them more often still, and a row is as full as whole timesteps allow. The paper says no more than uniformly
random subsequences (section 2.3).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gato.batch import Batch
from gato.config import DataConfig, TokenizerConfig
from gato.tokenizer.demonstration import largest_timestep, last_start
from gato.tokenizer.sequence import TokenSequence

START_TIMESTEPS = 16  # of an episode count as its start, for sources with a `start_share`


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row before padding."""

    sequence: TokenSequence
    source_id: int  # index of its source in the config
    isolated: bool = False  # its timesteps have nothing to do with each other


def draw_start(num_steps: int, window: int, rng: np.random.Generator) -> int:
    """Where a window of `window` out of `num_steps` steps starts, by the rule of this module."""
    return min(max(int(rng.integers(1 - window, num_steps)), 0), num_steps - window)


def draw_window(
    sequence: TokenSequence, max_tokens: int, max_patches: int, rng: np.random.Generator, *, start_share: float = 0.0
) -> TokenSequence:
    """A random run of whole timesteps that fits; all of them if they fit.

    Args:
        start_share: of runs that begin in one of the first `START_TIMESTEPS` timesteps, each equally often.

    Raises:
        ValueError: one timestep alone is too large.
    """
    num_tokens, num_patches = largest_timestep(sequence)
    if num_tokens > max_tokens or num_patches > max_patches:
        raise ValueError(
            f"a timestep of {num_tokens} tokens, {num_patches} of them patches, does not fit into {max_tokens} "
            f"tokens and {max_patches} patches: raise context_length or max_patches, or shrink the observations"
        )
    window = sequence.num_timesteps - last_start(sequence, max_tokens, max_patches)
    if start_share and rng.random() < start_share:
        first = int(rng.integers(min(START_TIMESTEPS, sequence.num_timesteps - window + 1)))
    else:
        first = draw_start(sequence.num_timesteps, window, rng)
    return sequence.timesteps(first, first + sequence.num_fitting(first, max_tokens, max_patches))


def draw_span(document: TokenSequence, max_tokens: int, rng: np.random.Generator) -> TokenSequence:
    """A random run of tokens of a document, which has no patches and may be cut anywhere."""
    length = min(len(document), max_tokens)
    low = draw_start(len(document), length, rng)
    part = slice(low, low + length)
    return TokenSequence(
        tokens=document.tokens[part],
        local_positions=document.local_positions[part],
        loss_mask=document.loss_mask[part],
        changed_mask=document.changed_mask[part],
        patches=document.patches,
        patch_indices=document.patch_indices,
        patch_intervals=document.patch_intervals,
        starts=np.array([0, length]),
    )


def make_batch(rows: Sequence[Row], data: DataConfig, tokenizer: TokenizerConfig) -> Batch:
    """Pads rows on the right. The first token of a row is never a target: nothing stands before it.

    Raises:
        ValueError: a row holds more tokens or patches than a batch takes.
    """
    shape = len(rows), data.context_length
    patch_shape = (tokenizer.patch_size, tokenizer.patch_size, 3)
    tokens = np.full(shape, tokenizer.padding_id, np.int32)
    local_positions = np.full(shape, tokenizer.no_position, np.int32)
    loss_mask = np.zeros(shape, bool)
    changed_mask = np.zeros(shape, bool)
    patches = np.zeros((len(rows), data.max_patches, *patch_shape), np.uint8)
    patch_indices = np.full((len(rows), data.max_patches), data.context_length, np.int32)
    patch_intervals = np.zeros((len(rows), data.max_patches, 4), np.int32)
    visible_from = np.zeros(shape, np.int32) if data.isolate_pairs else None
    for b, row in enumerate(rows):
        sequence = row.sequence
        length, num_patches = len(sequence), len(sequence.patches)
        if length > data.context_length or num_patches > data.max_patches:
            raise ValueError(
                f"row {b} holds {length} tokens and {num_patches} patches, expected at most {data.context_length} "
                f"and {data.max_patches}"
            )
        tokens[b, :length] = sequence.tokens
        local_positions[b, :length] = sequence.local_positions
        loss_mask[b, :length] = sequence.loss_mask
        changed_mask[b, :length] = sequence.changed_mask
        patches[b, :num_patches] = sequence.patches
        patch_indices[b, :num_patches] = sequence.patch_indices
        patch_intervals[b, :num_patches] = sequence.patch_intervals
        if visible_from is not None and row.isolated:
            visible_from[b, :length] = np.repeat(sequence.starts[:-1], np.diff(sequence.starts))
    loss_mask[:, 0] = False
    num_targets = loss_mask.sum(axis=1)
    weights = np.where(num_targets > 0, np.maximum(num_targets, 1.0) ** -data.row_loss_exponent, 0.0)
    return Batch(
        tokens=tokens,
        local_positions=local_positions,
        loss_mask=loss_mask,
        changed_mask=changed_mask,
        row_weights=weights.astype(np.float32),
        source_ids=np.array([row.source_id for row in rows], np.int32),
        lengths=np.array([len(row.sequence) for row in rows], np.int32),
        patches=patches,
        patch_indices=patch_indices,
        patch_intervals=patch_intervals,
        visible_from=visible_from,
    )
