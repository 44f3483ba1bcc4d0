"""Parquet files: rows read one row group at a time, and text, dialogues and images with text from them."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gato.data.sources.language_table import LanguageOptions, LanguageTable
from gato.data.sources.table import find_type

ALL_FILES = "**/*.parquet"
_CACHE_BYTES = 1 << 26  # of decoded row groups that a table keeps; the newest is kept whatever its size


class ParquetTable:
    """The rows of Parquet files one after another; safe to share between threads, and reopened where unpickled.

    A read decodes whole row groups, which is what Parquet allows, and keeps the last few. Files written with row groups
    of some thousand short rows, or of some dozen images, are quick to read in any order.
    """

    def __init__(self, path: str | Path, name: str, files: str = ALL_FILES) -> None:
        """Reads the footers.

        Args:
            path: a Parquet file, or a folder.
            files: which files of the folder, such as "train-*.parquet"; in the order of their paths.

        Raises:
            FileNotFoundError: no such file, or none in the folder.
            ValueError: a file is no Parquet file, or all are empty.
        """
        path = Path(path)
        self._identity = (path, name, files)
        if not path.exists():
            raise FileNotFoundError(f"{name}: {path} does not exist, expected a .parquet file or a folder of them")
        found = [path] if path.is_file() else sorted(file for file in path.glob(files) if file.is_file())
        if not found:
            raise FileNotFoundError(f"{name}: {path} holds no file {files!r}, expected Parquet files")
        self.name = name
        self._schemas: dict[Path, pa.Schema] = {}  # those that differ from the first
        self._places: list[tuple[Path, int]] = []  # file and number in it of every row group
        sizes: list[int] = []
        for file in found:
            try:
                footer = pq.read_metadata(file)
                schema = footer.schema.to_arrow_schema()
            except (pa.ArrowException, OSError) as error:
                raise ValueError(f"{name}: {file} is no readable Parquet file ({error})") from error
            if file == found[0]:
                self.schema = schema
            elif not schema.equals(self.schema):
                self._schemas[file] = schema
            self._places += [(file, number) for number in range(footer.num_row_groups)]
            sizes += [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]
        self._starts = np.cumsum([0, *sizes])
        if not len(self):
            raise ValueError(f"{name}: {path} holds no rows, expected at least one")
        self._kept: OrderedDict[tuple[int, tuple[str, ...]], pa.Table] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type["ParquetTable"], tuple[Path, str, str]]:
        return ParquetTable, self._identity

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(self, columns: Sequence[str], start: int, stop: int) -> pa.Table:
        """Reads rows [start, stop) of some columns.

        Raises:
            ValueError: a file is damaged, or has other columns than the first.
        """
        assert 0 <= start < stop <= len(self)
        names = tuple(dict.fromkeys(columns))
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        last = int(np.searchsorted(self._starts, stop, side="left"))
        groups = pa.concat_tables([self._row_group(number, names) for number in range(first, last)])
        return groups.slice(start - int(self._starts[first]), stop - start)

    def _row_group(self, number: int, columns: tuple[str, ...]) -> pa.Table:
        key = number, columns
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        group = self._decode(number, columns)
        with self._lock:
            self._kept[key] = group
            while len(self._kept) > 1 and sum(part.nbytes for part in self._kept.values()) > _CACHE_BYTES:
                self._kept.popitem(last=False)
        return group

    def _decode(self, number: int, columns: tuple[str, ...]) -> pa.Table:
        path, group = self._places[number]
        if path in self._schemas:
            for column in columns:
                kind, other = find_type(self.schema, column), find_type(self._schemas[path], column)
                if kind != other:
                    raise ValueError(
                        f"{self.name}: column {column!r} is {other or 'missing'} in {path}, but {kind} in the first "
                        "file: choose the files that belong together with the option files"
                    )
        try:
            with pq.ParquetFile(path) as file:
                table = file.read_row_group(group, columns=list(columns))
        except (pa.ArrowException, OSError) as error:
            raise ValueError(f"{self.name}: row group {group} of {path} is damaged ({error})") from error
        return table.select(columns)


def open_language(path: str | Path, name: str, *, language: LanguageOptions, files: str = ALL_FILES) -> LanguageTable:
    """Opens `ParquetTable(path, name, files)` as text, dialogues or images with text."""
    return LanguageTable(ParquetTable(path, name, files), name, language)
