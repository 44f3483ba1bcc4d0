"""Which records an audit reads: all of a small source, a seeded sample of a large one, so that its time is bounded."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gato.config import DataConfig, SourceConfig, TokenizerConfig
from gato.data.episode import Record, Records, tree_leaves
from gato.data.reading import readable
from gato.tokenizer.text import TextTokenizer


@dataclass(frozen=True, kw_only=True)
class AuditLimits:
    """How much an audit reads of each source."""

    episodes: int = 200  # most episodes
    records: int = 2_000  # most documents, dialogues or images
    size_bytes: int = 1 << 29  # of decoded records; the sample ends with the record that reaches it
    timesteps: int = 10_000  # kept for the statistics of fields and actions
    rows: int = 48  # rows drawn as for training
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("episodes", "records", "size_bytes", "timesteps", "rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"the audit's limit {name} is {getattr(self, name)}, needs 1 or more")


@dataclass(frozen=True, kw_only=True)
class AuditContext:
    """A source among those of its run, and what it takes to read and encode it."""

    data: DataConfig
    source_id: int
    tokenizer: TokenizerConfig
    text: TextTokenizer | None  # needed where the source holds text
    limits: AuditLimits

    @property
    def source(self) -> SourceConfig:
        return self.data.sources[self.source_id]


def sample_records(num_records: int, held_out: np.ndarray, max_records: int, seed: int) -> np.ndarray:
    """Draws the records to read, in random order: all if there are no more than `max_records`.

    A quarter of a sample is of held-out records, as far as there are so many, so that leaks can be found.
    """
    rng = np.random.default_rng((seed, num_records))
    if num_records <= max_records:
        return rng.permutation(num_records)
    trained = rng.permutation(np.setdiff1d(np.arange(num_records), held_out))
    tested = rng.permutation(held_out)[: max_records // 4]
    return rng.permutation(np.concatenate([tested, trained[: max_records - len(tested)]]))


def read_records(
    source: Records[Any], indices: Iterable[int], max_bytes: int, problems: list[str]
) -> Iterator[tuple[int, Any]]:
    """Yields (index, record) until the records hold `max_bytes`; `Any`: of the source's kind.

    The message of each record that cannot be read goes to `problems`.
    """
    size_bytes = 0
    for index, record in readable(source, indices, skip_bad=True, problems=problems):
        yield index, record
        size_bytes += record_bytes(record)
        if size_bytes >= max_bytes:
            return


def record_bytes(record: Record) -> int:
    """Estimates the memory that a record's arrays and texts take."""
    total = 0
    for value in vars(record).values():
        for _, leaf in tree_leaves(value, ""):
            if isinstance(leaf, np.ndarray):
                total += leaf.nbytes
            elif isinstance(leaf, str | list):
                total += sum(map(len, leaf)) if isinstance(leaf, list) else len(leaf)
    return total


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A list of numbers in a few."""

    count: int
    mean: float
    std: float
    low: float
    median: float
    high: float


def summarize(values: Sequence[float] | np.ndarray) -> Summary:
    """Summarizes one number or more."""
    array = np.asarray(values, np.float64)
    if not array.size:
        raise ValueError("there are no values to summarize, expected one or more")
    return Summary(
        count=len(array),
        mean=float(array.mean()),
        std=float(array.std()),
        low=float(array.min()),
        median=float(np.median(array)),
        high=float(array.max()),
    )
