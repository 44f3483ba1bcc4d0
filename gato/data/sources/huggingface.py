"""Hugging Face datasets: Parquet files, folders that `save_to_disk` wrote, and datasets of the hub.

Access is by index only, which is what a resumable mixture needs. Arrow files are memory-mapped and Parquet files read
by row group, so a dataset may be far larger than memory. A dataset of the hub is downloaded whole, once, into the cache
of the library `datasets`; or only its first rows are, streamed, which stay in memory. Code that comes with a dataset is
never run.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gato.data.sources.episode_table import EpisodeTable, RowMeaning
from gato.data.sources.language_table import LanguageKind, LanguageTable
from gato.data.sources.library import import_library
from gato.data.sources.parquet import ParquetTable
from gato.data.sources.table import Table

_EXTRA = "huggingface"
_SAVED = ("dataset_dict.json", "state.json")  # what marks a folder of `save_to_disk`


class ArrowTable:
    """The rows of a `datasets.Dataset`, pictures left encoded."""

    def __init__(self, dataset: Any) -> None:
        """Takes a `datasets.Dataset`; `Any`, because the library is optional."""
        self._dataset = dataset.with_format("arrow")
        self.schema = dataset.features.arrow_schema

    def __len__(self) -> int:
        return len(self._dataset)

    def read(self, columns: Sequence[str], start: int, stop: int) -> Any:
        """Rows [start, stop) of some columns, as a pyarrow table."""
        assert 0 <= start < stop <= len(self)
        return self._dataset.select_columns(list(dict.fromkeys(columns)))[start:stop]


def open_table(
    path: str | Path,
    name: str,
    *,
    hub: bool = False,
    subset: str | None = None,
    split: str | None = None,
    revision: str | None = None,
    first: int | None = None,
    files: str = "**/*.parquet",
) -> Table:
    """The rows of a dataset.

    Args:
        path: a Parquet or Arrow file, a folder that `save_to_disk` wrote, a folder with Parquet files, or with hub=True
            the dataset's id, such as "jat-project/jat-dataset".
        name: names the dataset in errors.
        hub: look on the Hugging Face Hub, and nowhere else.
        subset: of the hub's dataset, such as "mujoco-ant".
        split: of the hub's dataset, or of a saved DatasetDict, such as "train".
        revision: of the hub's dataset; a commit hash keeps the data what they are.
        first: how many rows of the hub's dataset to stream, from its beginning; the rest is not downloaded.
        files: which Parquet files of a folder, such as "train-*.parquet".

    Raises:
        FileNotFoundError: nothing there.
        ValueError: an option does not go with what is there, or it cannot be read.
    """
    if hub:
        return _load_from_hub(str(path), name, subset, split, revision, first)
    path = Path(path)
    if subset is not None or revision is not None or first is not None:
        raise ValueError(
            f"{name}: subset, revision and first are of datasets on the hub: set hub to true, or leave them out"
        )
    if not path.exists():
        raise FileNotFoundError(
            f"{name}: {path} does not exist, expected Parquet files, an Arrow file or a folder of save_to_disk; set "
            "hub to true if it is the id of a dataset on the Hugging Face Hub"
        )
    if path.suffix != ".arrow" and not any((path / file).is_file() for file in _SAVED):
        if split is not None:
            raise ValueError(f"{name}: {path} has no splits: choose Parquet files by name with the option files")
        return ParquetTable(path, name, files)
    return _load_from_disk(path, name, split)


class HuggingFaceLanguage(LanguageTable):
    """Text, dialogues or pictures with text of a Hugging Face dataset."""

    def __init__(
        self,
        path: str | Path,
        name: str,
        *,
        records: LanguageKind,
        columns: Mapping[str, str] | None = None,
        turn_fields: Mapping[str, str] | None = None,
        speakers: Mapping[str, str] | None = None,
        skip_empty: bool = False,
        twins: str | None = None,
        hub: bool = False,
        subset: str | None = None,
        split: str | None = None,
        revision: str | None = None,
        first: int | None = None,
        files: str = "**/*.parquet",
    ) -> None:
        """Opens `open_table(path, name, ...)` as a `LanguageTable`; options up to twins are those of the latter."""
        super().__init__(
            open_table(path, name, hub=hub, subset=subset, split=split, revision=revision, first=first, files=files),
            name,
            records=records,
            columns=columns,
            turn_fields=turn_fields,
            speakers=speakers,
            skip_empty=skip_empty,
            twins=twins,
        )


class HuggingFaceEpisodes(EpisodeTable):
    """Episodes of a Hugging Face dataset."""

    def __init__(
        self,
        path: str | Path,
        name: str,
        *,
        rows: RowMeaning = "episodes",
        columns: Mapping[str, Any] | None = None,
        spaces: Mapping[str, Any] | None = None,
        episode_index: str = "episode_index",
        hub: bool = False,
        subset: str | None = None,
        split: str | None = None,
        revision: str | None = None,
        first: int | None = None,
        files: str = "**/*.parquet",
    ) -> None:
        """Opens `open_table(path, name, ...)` as an `EpisodeTable`; options up to episode_index are of the latter."""
        super().__init__(
            open_table(path, name, hub=hub, subset=subset, split=split, revision=revision, first=first, files=files),
            name,
            rows=rows,
            columns=columns,
            spaces=spaces,
            episode_index=episode_index,
        )


def _load_from_hub(
    path: str, name: str, subset: str | None, split: str | None, revision: str | None, first: int | None
) -> Table:
    datasets = import_library("datasets", _EXTRA)
    if split is None:
        raise ValueError(f"{name}: no split of {path} was chosen: set split, for example to 'train'")
    if first is not None and first < 1:
        raise ValueError(f"{name}: first is {first}, expected a number of rows of 1 or more")
    try:
        if first is None:
            dataset = datasets.load_dataset(path, subset, split=split, revision=revision)
        else:
            dataset = _first_rows(
                datasets.load_dataset(path, subset, split=split, revision=revision, streaming=True), first
            )
    except (ValueError, OSError, RuntimeError) as error:  # not there, private, or no network
        raise ValueError(
            f"{name}: {path} could not be loaded from the Hugging Face Hub ({error!r}): check the id, the subset, the "
            "split and the network, or download the dataset elsewhere and give its folder as path, without hub"
        ) from error
    return _arrow_table(dataset, name, path)


def _first_rows(stream: Any, count: int) -> Any:
    """So many rows of a `datasets.IterableDataset` as a `datasets.Dataset` in memory, pictures left encoded."""
    datasets, pyarrow = import_library("datasets", _EXTRA), import_library("pyarrow", _EXTRA)
    tables = list(stream.take(count).with_format("arrow").iter(batch_size=min(count, 1000)))
    if not tables:
        return datasets.Dataset.from_dict({})
    table = datasets.table.InMemoryTable(pyarrow.concat_tables(tables))
    return datasets.Dataset(table, info=datasets.DatasetInfo(features=stream.features))


def _load_from_disk(path: Path, name: str, split: str | None) -> Table:
    datasets = import_library("datasets", _EXTRA)
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
    return _arrow_table(dataset, name, path)


def _arrow_table(dataset: Any, name: str, path: str | Path) -> ArrowTable:
    if not len(dataset):
        raise ValueError(f"{name}: {path} holds no rows, expected at least one")
    return ArrowTable(dataset)
