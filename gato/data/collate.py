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
    parts: Sequence[int] = (0,)  # tokens that parts begin with which have nothing to do with those before them, from 0


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
    visible_from = np.zeros(shape, np.int32) if data.has_isolated_parts else None
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
        if visible_from is not None and len(row.parts) > 1:
            visible_from[b, :length] = np.repeat(row.parts, np.diff([*row.parts, length]))
            loss_mask[b, row.parts] = False
    loss_mask[:, 0] = False
    num_targets = loss_mask.sum(axis=1)
    numbers = _numbers(rows, data, tokenizer) if tokenizer.has_groups else {}
    if "action_mask" in numbers:
        num_actions = [0 if row.sequence.numbers is None else len(row.sequence.numbers.action_ranges) for row in rows]
        num_targets = num_targets + numbers["action_mask"].sum(axis=1) * num_actions
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
        **numbers,
    )


def _numbers(rows: Sequence[Row], data: DataConfig, tokenizer: TokenizerConfig) -> dict[str, np.ndarray]:
    """Returns the fields of a batch whose tokens may hold several numbers; rows of text hold none."""
    shape = len(rows), data.context_length
    values = np.full((*shape, tokenizer.values_per_token), tokenizer.padding_id, np.int32)
    fields = {"values": values}
    if tokenizer.has_action_groups:
        fields["action_values"] = np.full_like(values, tokenizer.padding_id)
        fields["action_mask"] = np.zeros(shape, bool)
        fields["action_ranges"] = np.zeros((len(rows), tokenizer.values_per_token, 2), np.int32)
    for b, row in enumerate(rows):
        numbers, length = row.sequence.numbers, len(row.sequence)
        if numbers is None:
            continue
        values[b, :length, : numbers.values.shape[1]] = numbers.values
        if tokenizer.has_action_groups:
            count = len(numbers.action_ranges)
            fields["action_values"][b, :length, :count] = numbers.action_values
            fields["action_mask"][b, :length] = numbers.action_mask
            fields["action_ranges"][b, :count] = numbers.action_ranges
    return fields
