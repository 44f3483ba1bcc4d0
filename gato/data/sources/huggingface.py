"""Hugging Face datasets: Parquet files, folders that `save_to_disk` wrote, and datasets of the hub.

Access is by index only, which is what a resumable mixture needs. Arrow files are memory-mapped and Parquet files read
by row group, so a dataset may be far larger than memory. A dataset of the hub is downloaded whole, once, into the cache
of the library `datasets`; or only its first rows are, streamed, which stay in memory. Code that comes with a dataset is
never run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from gato.data.sources.episode_table import EpisodeOptions, EpisodeTable
from gato.data.sources.language_table import LanguageOptions, LanguageTable
from gato.data.sources.parquet import ALL_FILES, ParquetTable
from gato.data.sources.table import Table

_SAVED = ("dataset_dict.json", "state.json")  # what marks a folder of `save_to_disk`


class ArrowTable:
    """The rows of a `datasets.Dataset`, images left encoded."""

    def __init__(self, dataset: Any, where: str) -> None:
        """Takes a `datasets.Dataset`; `Any`, because that library is imported only where it is needed."""
        if not len(dataset):
            raise ValueError(f"{where} holds no rows, expected at least one")
        self._dataset = dataset.with_format("arrow")
        self.schema = dataset.features.arrow_schema

    def __len__(self) -> int:
        return len(self._dataset)

    def read(self, columns: Sequence[str], start: int, stop: int) -> pa.Table:
        """Reads rows [start, stop) of some columns."""
        assert 0 <= start < stop <= len(self)
        return self._dataset.select_columns(list(dict.fromkeys(columns)))[start:stop]


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """Where the rows of a dataset lie."""

    hub: bool = False  # look on the Hugging Face Hub, and nowhere else
    subset: str | None = None  # of the hub's dataset, such as "mujoco-ant"
    split: str | None = None  # of the hub's dataset, or of a saved DatasetDict, such as "train"
    revision: str | None = None  # of the hub's dataset; a commit hash keeps the data what they are
    first: int | None = None  # rows of the hub's dataset to stream, from its beginning; the rest is not downloaded
    files: str = ALL_FILES  # which Parquet files of a folder, such as "train-*.parquet"


def open_table(path: str | Path, name: str, options: TableOptions) -> Table:
    """Opens the rows of a dataset.

    Args:
        path: a Parquet or Arrow file, a folder that `save_to_disk` wrote, a folder with Parquet files, or with
            options.hub the dataset's id, such as "jat-project/jat-dataset".

    Raises:
        FileNotFoundError: nothing there.
        ValueError: an option does not go with what is there, or it cannot be read.
    """
    if options.hub:
        return _load_from_hub(str(path), name, options)
    path = Path(path)
    if options.subset is not None or options.revision is not None or options.first is not None:
        raise ValueError(
            f"{name}: subset, revision and first are of datasets on the hub: set hub to true, or leave them out"
        )
    if not path.exists():
        raise FileNotFoundError(
            f"{name}: {path} does not exist, expected Parquet files, an Arrow file or a folder of save_to_disk; set "
            "hub to true if it is the id of a dataset on the Hugging Face Hub"
        )
    if path.suffix != ".arrow" and not any((path / file).is_file() for file in _SAVED):
        if options.split is not None:
            raise ValueError(f"{name}: {path} has no splits: choose Parquet files by name with the option files")
        return ParquetTable(path, name, options.files)
    return _load_from_disk(path, name, options.split)


def open_language(path: str | Path, name: str, *, language: LanguageOptions, table: TableOptions) -> LanguageTable:
    """Opens `open_table(path, name, table)` as text, dialogues or images with text."""
    return LanguageTable(open_table(path, name, table), name, language)


def open_episodes(path: str | Path, name: str, *, episodes: EpisodeOptions, table: TableOptions) -> EpisodeTable:
    """Opens `open_table(path, name, table)` as episodes."""
    return EpisodeTable(open_table(path, name, table), name, episodes)


def _load_from_hub(path: str, name: str, options: TableOptions) -> Table:
    import datasets

    split, first = options.split, options.first
    if split is None:
        raise ValueError(f"{name}: no split of {path} was chosen: set split, for example to 'train'")
    if first is not None and first < 1:
        raise ValueError(f"{name}: first is {first}, expected a number of rows of 1 or more")
    try:
        dataset = datasets.load_dataset(
            path, options.subset, split=split, revision=options.revision, streaming=first is not None
        )
        if first is not None:
            dataset = _first_rows(dataset, first)
    except (ValueError, OSError, RuntimeError) as error:  # not there, private, or no network
        raise ValueError(
            f"{name}: {path} could not be loaded from the Hugging Face Hub ({error!r}): check the id, the subset, the "
            "split and the network, or download the dataset elsewhere and give its folder as path, without hub"
        ) from error
    return ArrowTable(dataset, f"{name}: {path}")


def _first_rows(stream: Any, count: int) -> Any:
    """Reads so many rows of a `datasets.IterableDataset` as a `datasets.Dataset` in memory, images left encoded."""
    import datasets

    tables = list(stream.take(count).with_format("arrow").iter(batch_size=min(count, 1000)))
    if not tables:
        return datasets.Dataset.from_dict({})
    table = datasets.table.InMemoryTable(pa.concat_tables(tables))
    return datasets.Dataset(table, info=datasets.DatasetInfo(features=stream.features))


def _load_from_disk(path: Path, name: str, split: str | None) -> Table:
    import datasets

    try:
        saved = path.is_dir()
        dataset = datasets.load_from_disk(str(path)) if saved else datasets.Dataset.from_file(str(path))
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise ValueError(f"{name}: {path} is no readable dataset ({error!r})") from error
    if isinstance(dataset, datasets.DatasetDict):
        if split not in dataset:
            raise ValueError(f"{name}: split is {split!r}, expected one of {list(dataset)}")
        dataset = dataset[split]
    elif split is not None:
        raise ValueError(f"{name}: split is {split!r}, but {path} has no splits: leave it out")
    return ArrowTable(dataset, f"{name}: {path}")
