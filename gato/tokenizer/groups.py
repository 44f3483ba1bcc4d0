"""Several numbers in one token: a departure from the paper, which spells every number as a token of its own.

Each number keeps the id that it would have as a token. Neighbouring leaves of numbers share tokens. Their numbers, in
the order of the paper, are cut evenly into as few tokens as hold them.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from gato.config import TokenizerConfig
from gato.tokenizer.leaves import Columns


def group_sizes(num_values: int, values_per_token: int) -> list[int]:
    """Cuts so many numbers evenly into the fewest tokens; the first ones hold one more where it does not divide."""
    num_tokens = -(-num_values // values_per_token)
    return [num_values // num_tokens + (index < num_values % num_tokens) for index in range(num_tokens)]


def group_columns(columns: Sequence[Columns], config: TokenizerConfig) -> list[Columns]:
    """Returns columns of which those of numbers, wherever they stand side by side, hold several numbers each."""
    grouped: list[Columns] = []
    for are_numbers, members in itertools.groupby(columns, lambda column: column.holds_numbers):
        run = list(members)
        grouped += [_group(run, config)] if are_numbers else run
    return [column for column in grouped if column.tokens.shape[1]]


def token_places(counts: Sequence[int], are_numbers: Sequence[bool], config: TokenizerConfig) -> list[np.ndarray]:
    """Returns which token of an observation each part of its leaves stands in, (count,) int per leaf.

    Args:
        counts: parts of each leaf: numbers, patches, or pieces of text.
        are_numbers: whether they are numbers, and so may share tokens.
        config: how many share one.
    """
    places: list[np.ndarray] = []
    start = 0
    for are_shared, members in itertools.groupby(zip(counts, are_numbers, strict=True), lambda leaf: leaf[1]):
        own = [count for count, _ in members]
        total = sum(own)
        sizes = group_sizes(total, config.values_per_token if are_shared else 1) if total else []
        tokens = start + np.repeat(np.arange(len(sizes)), sizes)
        places += np.split(tokens, np.cumsum(own)[:-1])
        start += len(sizes)
    return places


def widest_group(widths: Sequence[int | None], config: TokenizerConfig) -> int:
    """Returns the most numbers of any token of an observation.

    Args:
        widths: numbers of each leaf, None for a leaf of another kind.
        config: how many share a token.
    """
    runs = itertools.groupby(widths, lambda width: width is not None)
    counts = [sum(width or 0 for width in run) for are_numbers, run in runs if are_numbers]
    return max((group_sizes(count, config.values_per_token)[0] for count in counts if count), default=0)


def _group(columns: Sequence[Columns], config: TokenizerConfig) -> Columns:
    ids = np.concatenate([column.tokens for column in columns], axis=1)
    num_timesteps, num_values = ids.shape
    sizes = group_sizes(num_values, config.values_per_token) if num_values else []
    values = np.full((num_timesteps, len(sizes), max(sizes, default=0)), config.padding_id, np.int32)
    for index, (stop, size) in enumerate(zip(itertools.accumulate(sizes), sizes, strict=True)):
        values[:, index, :size] = ids[:, stop - size : stop]
    return Columns(tokens=np.full(values.shape[:2], config.padding_id, np.int32), values=values)
