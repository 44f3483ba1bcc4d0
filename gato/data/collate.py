"""Collation: rows of any length to one padded Batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gato.batch import Batch
from gato.config import DataConfig, TokenizerConfig
from gato.tokenizer.sequence import TokenSequence


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row before padding."""

    sequence: TokenSequence
    source_id: int  # index of its source in the config
    isolated: bool = False  # its timesteps have nothing to do with each other


def make_batch(rows: Sequence[Row], data: DataConfig, tokenizer: TokenizerConfig) -> Batch:
    """Pads rows on the right, and clears the first token of each as a target: nothing stands before it.

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
