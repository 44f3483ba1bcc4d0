"""Several numbers in one token: a departure from the paper, which spells every number as a token of its own.

Each number keeps the id that it would have as a token. Neighbouring leaves of numbers share tokens. Their numbers, in
the order of the paper, are cut evenly into as few tokens as hold them. The pieces of an observed text may share tokens
too: as many as may, one text after the other.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from gato.config import TokenizerConfig
from gato.tokenizer.leaves import Columns, LeafKind


def group_sizes(num_values: int, values_per_token: int) -> list[int]:
    """Cuts so many numbers evenly into the fewest tokens; the first ones hold one more where it does not divide."""
    num_tokens = -(-num_values // values_per_token)
    return [num_values // num_tokens + (index < num_values % num_tokens) for index in range(num_tokens)]


def group_columns(columns: Sequence[Columns], config: TokenizerConfig) -> list[Columns]:
    """Returns columns whose tokens hold several numbers, of neighbouring leaves too, or several pieces of one text."""
    grouped: list[Columns] = []
    for kind, members in itertools.groupby(columns, lambda column: column.kind):
        if kind == "numbers":
            grouped.append(_group(list(members), config))
        elif kind == "text" and config.pieces_per_token > 1:
            grouped += [_group_pieces(column, config) for column in members]
        else:
            grouped += members
    return [column for column in grouped if column.tokens.shape[1]]


def token_places(counts: Sequence[int], kinds: Sequence[LeafKind], config: TokenizerConfig) -> list[np.ndarray]:
    """Returns which token of an observation each part of its leaves stands in, (count,) int per leaf.

    Args:
        counts: parts of each leaf.
        kinds: what they are.
        config: how many share a token.
    """
    places: list[np.ndarray] = []
    start = 0
    for kind, members in itertools.groupby(zip(counts, kinds, strict=True), lambda leaf: leaf[1]):
        own = [count for count, _ in members]
        if kind == "numbers":
            sizes = group_sizes(sum(own), config.values_per_token) if sum(own) else []
            places += np.split(start + np.repeat(np.arange(len(sizes)), sizes), np.cumsum(own)[:-1])
            start += len(sizes)
            continue
        shared = config.pieces_per_token if kind == "text" else 1
        for count in own:
            places.append(start + np.arange(count) // shared)
            start += -(-count // shared)
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


def _group_pieces(column: Columns, config: TokenizerConfig) -> Columns:
    assert column.lengths is not None  # as of any text
    ids, size = column.tokens, config.pieces_per_token
    num_tokens = -(-ids.shape[1] // size)
    values = np.full((len(ids), num_tokens * size), config.padding_id, np.int32)
    values[:, : ids.shape[1]] = np.where(np.arange(ids.shape[1]) < column.lengths[:, None], ids, config.padding_id)
    return Columns(
        tokens=np.full((len(ids), num_tokens), config.padding_id, np.int32),
        lengths=-(-column.lengths // size),
        values=values.reshape(len(ids), num_tokens, size),
    )


def _group(columns: Sequence[Columns], config: TokenizerConfig) -> Columns:
    ids = np.concatenate([column.tokens for column in columns], axis=1)
    num_timesteps, num_values = ids.shape
    sizes = group_sizes(num_values, config.values_per_token) if num_values else []
    values = np.full((num_timesteps, len(sizes), max(sizes, default=0)), config.padding_id, np.int32)
    for index, (stop, size) in enumerate(zip(itertools.accumulate(sizes), sizes, strict=True)):
        values[:, index, :size] = ids[:, stop - size : stop]
    return Columns(tokens=np.full(values.shape[:2], config.padding_id, np.int32), values=values)
