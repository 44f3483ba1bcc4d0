"""Tables of records or timesteps: rows by number, whatever stores them."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import pyarrow as pa

_BLOCK_ROWS = 1024  # read at a time where every row is looked at


class Table(Protocol):
    """Rows by number."""

    schema: pa.Schema

    def __len__(self) -> int: ...

    def read(self, columns: Sequence[str], start: int, stop: int) -> pa.Table:
        """Reads rows [start, stop) of some columns."""


def read_blocks(table: Table, column: str) -> Iterator[tuple[int, pa.ChunkedArray]]:
    """Reads a whole column, some rows at a time; yields the number of the first of them, and the values."""
    for start in range(0, len(table), _BLOCK_ROWS):
        yield start, table.read([column], start, min(start + _BLOCK_ROWS, len(table)))[column]


def find_type(schema: pa.Schema, column: str) -> pa.DataType | None:
    """Returns the type of a column, None if there is none of that name."""
    number = schema.get_field_index(column)
    return None if number < 0 else schema.field(number).type


def require_type(schema: pa.Schema, column: str, where: str) -> pa.DataType:
    """Returns the type of a column.

    Raises:
        ValueError: there is none of that name, or more than one.
    """
    kind = find_type(schema, column)
    if kind is None:
        raise ValueError(f"{where}: expected one column {column!r}, found {schema.names}: check the names")
    return kind
