"""Weighted, seeded, resumable mixing of sources into an endless stream of batches.

Grain interleaves the sources' rows by weight, so that shares hold in every stretch of the stream, not only on average.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, Self

import grain
import numpy as np

from gato.batch import Batch
from gato.config import DataConfig, TokenizerConfig
from gato.data.budgets import row_shares
from gato.data.collate import make_batch
from gato.data.encoded import SequenceCache
from gato.data.opened import open_encoded
from gato.data.returns import good_episodes
from gato.data.rows import ControlRows, PairRows, Rows, TextRows
from gato.tokenizer.text import TextTokenizer

CACHE_BYTES = 1 << 30  # of encoded records kept in memory, all sources together
_PREFETCH_BATCHES = 2


class Mixture:
    """An endless iterator of batches whose place in the stream can be saved and restored exactly."""

    def __init__(
        self,
        rows: Sequence[Rows],
        data: DataConfig,
        tokenizer: TokenizerConfig,
        seed: int,
        *,
        num_rows: int | None = None,
        process_index: int = 0,
        process_count: int = 1,
    ) -> None:
        """Mixes rows by the weights and budgets of their sources; a source without records is left out.

        Args:
            rows: one per source, in the order of the config; `build_mixture` opens them.
            seed: the one that the rows were made with.
            num_rows, process_index, process_count: as for `build_mixture`.

        Raises:
            ValueError: the batch cannot be shared equally, or no such part.
        """
        if not 0 <= process_index < process_count or data.batch_size % process_count:
            raise ValueError(
                f"process {process_index} of {process_count} cannot share a batch of {data.batch_size} rows: choose a "
                "batch_size that the number of processes divides"
            )
        self.source_names = tuple(source.name for source in data.sources)
        self._rows = rows
        self.row_shares = row_shares(rows, data, num_rows)
        self._identity = {
            "sources": list(self.source_names),
            "row_shares": self.row_shares,
            "batch_size": data.batch_size,
            "seed": seed,
        }
        mixed = grain.MapDataset.mix(
            [grain.MapDataset.source(part) for part in rows if len(part.records)],
            [share for share in self.row_shares if share],
        )
        own_rows = mixed.slice(slice(process_index, None, process_count))
        to_batch = partial(make_batch, data=data, tokenizer=tokenizer)
        batches = own_rows.batch(data.batch_size // process_count, batch_fn=to_batch)
        options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=_PREFETCH_BATCHES)
        self._batches = iter(batches.to_iter_dataset(options))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        return next(self._batches)

    def skipped(self) -> dict[str, dict[int, str]]:
        """Returns the records that could not be used so far and why, by source, where bad ones are skipped."""
        return {
            name: dict(part.skipped) for name, part in zip(self.source_names, self._rows, strict=True) if part.skipped
        }

    def get_state(self) -> dict[str, Any]:
        """Returns the place in the stream, as JSON values."""
        return {**self._identity, "stream": self._batches.get_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores a place, from which the stream continues exactly as it would have done.

        Raises:
            ValueError: the state is that of a mixture of other sources, batch size or seed.
        """
        for key, value in self._identity.items():
            if state.get(key) != value:
                raise ValueError(
                    f"the state's {key} are {state.get(key)!r}, but those of this mixture {value!r}: resume unchanged"
                )
        self._batches.set_state(state["stream"])


def build_mixture(
    config: DataConfig,
    tokenizer: TokenizerConfig,
    text: TextTokenizer | None,
    *,
    seed: int,
    held_out: bool = False,
    episodes: Mapping[str, Collection[int]] | None = None,
    num_rows: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
) -> Mixture:
    """Opens all sources and mixes their rows.

    Args:
        text: needed where a source holds text.
        seed: decides every row.
        held_out: rows of the episodes and documents kept from training, instead of those trained on. Sources that keep
            nothing are left out of the stream, but not out of `source_names`.
        episodes: by source, the indices of the only episodes that it is trained on and prompted by, none of them held
            out, whatever its `min_return`; sources without an entry are used whole.
        num_rows: that the run takes in all, for the budgets of sources; None leaves budgets out.
        process_index: which part of every batch this process reads.
        process_count: processes that share a batch; together they read what one alone would have read. A state of one
            count continues under any other.

    Raises:
        FileNotFoundError: a source's path does not exist.
        ValueError: no sources, a damaged source, nothing held out, or a batch that cannot be shared.
    """
    if not config.sources:
        raise ValueError("the data config has no sources, expected at least one")
    cache = SequenceCache(CACHE_BYTES)
    rows = [
        open_rows(config, number, tokenizer, text, cache, seed, held_out, episodes=(episodes or {}).get(source.name))
        for number, source in enumerate(config.sources)
    ]
    if not any(len(part.records) for part in rows):
        raise ValueError("no source holds anything out: set held_out above 0, and give it two or more records")
    return Mixture(
        rows, config, tokenizer, seed, num_rows=num_rows, process_index=process_index, process_count=process_count
    )


def open_rows(
    config: DataConfig,
    source_id: int,
    tokenizer: TokenizerConfig,
    text: TextTokenizer | None,
    cache: SequenceCache,
    seed: int,
    held_out: bool,
    *,
    episodes: Collection[int] | None = None,
) -> Rows:
    """Opens one source with the encoding and the rows of its kind; `episodes` are those of this source."""
    source = config.sources[source_id]
    filtered = source.min_return is not None and episodes is None
    encoded, facts = open_encoded(source, config, tokenizer, text, cache, with_returns=filtered)
    if facts.kind != "control":
        if filtered:
            raise ValueError(f"{encoded.name} holds no episodes: leave min_return out")
        kind = PairRows if facts.kind == "pairs" else TextRows
        return kind(encoded, config, source_id, seed=seed, held_out=held_out, split_groups=facts.twins)
    good = None
    if episodes is not None:
        good = np.zeros(len(encoded), bool)
        good[list(episodes)] = True
    elif source.min_return is not None:
        good = good_episodes(np.array(facts.returns, np.float64), source.min_return)
    return ControlRows(
        encoded, config, tokenizer, source_id, groups=np.array(facts.groups), seed=seed, held_out=held_out, good=good
    )
