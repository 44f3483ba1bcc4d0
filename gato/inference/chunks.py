"""Token sequences, one per row, to the padded arrays of one Chunk."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from gato.config import TokenizerConfig
from gato.inference.kv_cache_window import KVCacheWindow
from gato.model.cache import Chunk
from gato.tokenizer.sequence import TokenSequence

_SMALLEST_STEP = 4  # tokens between neighbouring bucket sizes above it, or a 32nd of the size where that is more


@dataclass(frozen=True, kw_only=True)
class ChunkRow:
    """What one row of a chunk gets: tokens at consecutive positions of its window."""

    sequence: TokenSequence
    position: int  # of the first token
    window: KVCacheWindow
    clear_cache: bool = False  # the row's cache is emptied first, but for a pinned prompt

    def split(self, size: int) -> list[Self]:
        """Returns rows of at most `size` tokens that are written one after another."""
        length = len(self.sequence)
        return [
            dataclasses.replace(
                self,
                sequence=self.sequence.slice(low, min(low + size, length)),
                position=self.position + low,
                clear_cache=self.clear_cache and low == 0,
            )
            for low in range(0, length, size)
        ]


def bucket_size(size: int) -> int:
    """Returns the padded size for `size` tokens: few different ones, so that few are compiled, and little padding."""
    if size <= _SMALLEST_STEP:
        return size
    step = max(_SMALLEST_STEP, (1 << max(size - 1, 0).bit_length()) // 32)
    return -(-size // step) * step


def assemble(rows: Sequence[ChunkRow | None], config: TokenizerConfig, *, size: int = 0, num_patches: int = 0) -> Chunk:
    """Pads all rows to one chunk; a row that is None writes nothing and its hidden vectors mean nothing.

    Args:
        rows: at least one is not None, and all windows have one context length.
        config: marks and patch size.
        size: padded number of tokens; 0 takes the bucket of the longest row.
        num_patches: padded number of patches; 0 takes the bucket of the row with most.
    """
    present = [row for row in rows if row is not None]
    num_rows, num_slots, patch = len(rows), present[0].window.context_length, config.patch_size
    size = size or bucket_size(max(len(row.sequence) for row in present))
    num_patches = num_patches or bucket_size(max(len(row.sequence.patches) for row in present))
    tokens = np.full((num_rows, size), config.padding_id, np.int32)
    local_positions = np.full((num_rows, size), config.no_position, np.int32)
    positions = np.full((num_rows, size), -1, np.int32)
    cache_slots = np.full((num_rows, size), num_slots, np.int32)
    patches = np.zeros((num_rows, num_patches, patch, patch, 3), np.uint8)
    patch_indices = np.full((num_rows, num_patches), size, np.int32)
    patch_intervals = np.zeros((num_rows, num_patches, 4), np.int32)
    prompt_length, window_start = np.zeros((2, num_rows), np.int32)
    clear_cache = np.zeros(num_rows, bool)
    values = None
    if config.has_groups:
        values = np.full((num_rows, size, config.values_per_token), config.padding_id, np.int32)
    for index, row in enumerate(rows):
        if row is None:
            continue
        sequence, length = row.sequence, len(row.sequence)
        tokens[index, :length] = sequence.tokens
        local_positions[index, :length] = sequence.local_positions
        positions[index, :length] = np.arange(row.position, row.position + length)
        cache_slots[index, :length] = row.window.cache_slots(positions[index, :length])
        count = len(sequence.patches)
        patches[index, :count] = sequence.patches
        patch_indices[index, :count] = sequence.patch_indices
        patch_intervals[index, :count] = sequence.patch_intervals
        prompt_length[index], window_start[index] = row.window.prompt_length, row.window.window_start
        clear_cache[index] = row.clear_cache
        if values is not None and sequence.numbers is not None:
            values[index, :length, : sequence.numbers.values.shape[1]] = sequence.numbers.values
    return Chunk(
        tokens=tokens,
        local_positions=local_positions,
        patches=patches,
        patch_indices=patch_indices,
        patch_intervals=patch_intervals,
        positions=positions,
        cache_slots=cache_slots,
        prompt_length=prompt_length,
        window_start=window_start,
        clear_cache=clear_cache,
        values=values,
    )
