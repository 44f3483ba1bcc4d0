"""The lines that say what images show: JSON Lines or one JSON list, of objects or lists, under any field names."""

import json
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from gato.data.sources.jsonl import convert_lines, decode_text, read_jsonl

ImageKind: TypeAlias = Literal["captions", "questions"]
Columns: TypeAlias = Mapping[str, str | int]  # where a field of ours stands: its name in an object, its place in a list

FIELDS: dict[ImageKind, tuple[str, ...]] = {
    "captions": ("image", "caption"),
    "questions": ("image", "question", "answer"),
}


ImageLine: TypeAlias = tuple[str, dict[str, str]]  # "file:line", and its fields


def read_lines(
    content: bytes, where: str, kind: ImageKind, columns: Columns, image_file: str, *, skip_bad: bool = False
) -> list[ImageLine | ValueError]:
    """Reads and checks all lines.

    Args:
        content: of a .jsonl file, or of a .json file that is one list.
        where: the file's name, for errors.
        kind: decides the fields.
        columns: the fields of the dataset that stand for ours; those not named have our names.
        image_file: the image's file, with {} where the field "image" goes.
        skip_bad: a bad line leaves its error in its place, instead of ending the call.

    Returns:
        "twins" is among the fields where the line has it. A number or a truth value as an answer becomes its JSON text,
        such as "true".

    Raises:
        ValueError: not as expected; the error names the line.
    """
    if unknown := sorted(set(columns) - {*FIELDS[kind], "twins"}):
        raise ValueError(f"{where}: option columns names {unknown}, expected some of {[*FIELDS[kind], 'twins']}")
    if image_file.count("{}") != 1:
        raise ValueError(
            f"{where}: option image_file is {image_file!r}, expected one {{}} in it, such as 'images/{{}}.png'"
        )

    def convert(line: Any, place: str) -> ImageLine:
        item = {field: _text(line, field, columns.get(field, field), place) for field in FIELDS[kind]}
        item["image"] = image_file.format(item["image"])
        if "twins" in columns or (isinstance(line, dict) and "twins" in line):
            item["twins"] = str(_value(line, columns.get("twins", "twins"), place))
        return place, item

    if not where.endswith(".json"):
        return read_jsonl(content, where, {}, convert, skip_bad=skip_bad)
    try:
        lines = json.loads(decode_text(content, where))
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is not JSON ({error}), expected a list of lines") from error
    if not isinstance(lines, list):
        raise ValueError(f"{where} holds {type(lines).__name__}, expected a list of lines")
    placed = ((line, f"{where}: line {number}") for number, line in enumerate(lines))
    return convert_lines(placed, convert, skip_bad=skip_bad)


def _value(line: Any, column: str | int, place: str) -> Any:
    if isinstance(line, list):
        if not isinstance(column, int):
            raise ValueError(f"{place} is a list: say the place of {column!r} in it with the option columns")
        if not 0 <= column < len(line):
            raise ValueError(f"{place} has {len(line)} entries, expected one at place {column}")
        return line[column]
    if not isinstance(line, dict) or column not in line:
        found = list(line) if isinstance(line, dict) else repr(line)
        raise ValueError(f"{place} lacks the field {column!r}, found {found}: name it with the option columns")
    return line[column]


def _text(line: Any, field: str, column: str | int, place: str) -> str:
    value = _value(line, column, place)
    if isinstance(value, str):
        return value
    # An id or an answer may be a number; a question or a caption that is one is a mistake.
    if field == "answer" and isinstance(value, bool | int | float):
        return json.dumps(value)
    if field == "image" and isinstance(value, int) and column != "image":
        return str(value)
    raise ValueError(f"{place}: field {column!r} is {type(value).__name__}, expected str")
