"""JSON Lines: one object per line, read whole, with errors that name the line."""

import codecs
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

_Line = TypeVar("_Line")


def decode_text(content: bytes, where: str, encoding: str = "utf-8", advice: str = "convert it first") -> str:
    """Decodes text, as UTF-8 with or without a byte order mark; the error names the file and ends with the advice."""
    utf8 = codecs.lookup(encoding).name == "utf-8"
    try:
        return content.decode("utf-8-sig" if utf8 else encoding)
    except UnicodeDecodeError as error:
        shown = "UTF-8" if utf8 else encoding
        raise ValueError(f"{where} is not {shown} ({error}): {advice}") from error


def read_jsonl(
    content: bytes,
    where: str,
    fields: Mapping[str, type],
    convert: Callable[[dict[str, Any], str], _Line],
    *,
    skip_bad: bool = False,
) -> list[_Line | ValueError]:
    """Reads, checks and converts all lines; blank lines are skipped.

    Args:
        fields: what each object must hold; further fields are kept.
        convert: (object, "file:line") -> what becomes of it; its ValueErrors are errors of the line.
        skip_bad: a bad line leaves its error in its place, instead of ending the call.

    Raises:
        ValueError: not UTF-8; or a line is no JSON object, or lacks a field, or a field has another type, or cannot be
            converted.
    """

    def parse(line: str, place: str) -> _Line:
        try:
            item = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{place} is not JSON ({error}), expected one object a line") from error
        if not isinstance(item, dict):
            raise ValueError(f"{place} holds {type(item).__name__}, expected an object with the fields {list(fields)}")
        for field, kind in fields.items():
            if field not in item:
                raise ValueError(f"{place} lacks the field {field!r}, found {list(item)}")
            if not isinstance(item[field], kind):
                came = type(item[field]).__name__
                raise ValueError(f"{place}: field {field!r} is {came}, expected {kind.__name__}")
        return convert(item, place)

    lines = enumerate(decode_text(content, where).split("\n"), start=1)
    return convert_lines(
        ((line, f"{where}:{number}") for number, line in lines if line.strip()), parse, skip_bad=skip_bad
    )


def convert_lines(
    lines: Iterable[tuple[Any, str]], convert: Callable[[Any, str], _Line], *, skip_bad: bool
) -> list[_Line | ValueError]:
    """Converts lines, each given with its place; with `skip_bad`, a bad one leaves its error instead of raising it."""
    read: list[_Line | ValueError] = []
    for line, place in lines:
        try:
            read.append(convert(line, place))
        except ValueError as error:
            if not skip_bad:
                raise
            read.append(error)
    return read


def line_or_error(line: _Line | ValueError) -> _Line:
    """Returns what a line of `read_jsonl` became.

    Raises:
        ValueError: it was bad.
    """
    if isinstance(line, ValueError):
        raise line
    return line
