"""JSON values, nested at will, as a table of two columns: what it is called, and what it is."""

from collections.abc import Iterator, Mapping
from typing import Any

from gato.reports.page import Table

_LONGEST = 600  # characters of a value


def settings_table(content: Mapping[str, Any]) -> Table:
    """One row a value that is no object; names of nested ones stand behind those that they are in."""
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
            return f"{value:g}".replace("-", "−") if value - value == 0 else "–"  # neither infinite nor no number
        case int():
            return str(value).replace("-", "−")
        case list() | tuple():
            told = ", ".join(map(_told, value))
        case None:
            told = ""
        case _:
            told = str(value) if value else ""
    return (told if len(told) <= _LONGEST else f"{told[:_LONGEST]}…") or "–"
