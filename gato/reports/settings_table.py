"""Nested JSON values as a table of two columns: the name and the value."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from gato.reports.format import UNKNOWN, minus
from gato.reports.table import Table

_LONGEST = 600  # characters of a value


def settings_table(content: Mapping[str, Any]) -> Table:
    """Lists every value that is no object; the name of a nested one follows the names of what it is in."""
    rows = tuple((" / ".join(path).replace("_", " "), _told(value)) for path, value in _leaves(content, ()))
    return Table(headings=("what", "value"), rows=rows, num_text_columns=2)


def _leaves(content: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(content, Mapping) and content:
        for name, part in content.items():
            yield from _leaves(part, (*path, str(name)))
    else:
        yield path, content


def _told(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return minus(f"{value:g}") if math.isfinite(value) else UNKNOWN
        case int():
            return minus(str(value))
        case list() | tuple():
            told = ", ".join(map(_told, value))
        case None:
            told = ""
        case _:
            told = str(value) if value else ""
    return (told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…") or UNKNOWN
