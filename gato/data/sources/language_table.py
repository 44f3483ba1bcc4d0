"""Text, dialogues and images with text in tables: one record per row."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow.compute as pc

from gato.data.episode import Dialogue, Document, ImageText, Speaker
from gato.data.reading import located
from gato.data.sources.inferred_spaces import is_image, read_image
from gato.data.sources.table import Table, read_blocks, require_type

_FIELDS: dict[str, tuple[str, ...]] = {
    "text": ("text",),
    "dialogue": ("turns",),
    "captions": ("image", "caption"),
    "questions": ("image", "question", "answer"),
}


@dataclass(frozen=True, kw_only=True)
class LanguageOptions:
    """What a row means, and where its fields stand."""

    # What a row becomes: "text" a Document, "captions" an ImageText, "dialogue" a Dialogue, "questions" a Dialogue
    # about an image.
    records: Literal["text", "dialogue", "captions", "questions"]
    # The names of columns, if others than those of the fields: {"text": "content"}. The fields are text; image and
    # caption; image, question and answer; turns. Images are encoded bytes, or structs with them in the field bytes.
    # Question and answer are strings, or lists of strings of one length.
    columns: Mapping[str, str] | None = None
    # Of dialogues: names of the two fields of a turn, if others than {"speaker": "speaker", "text": "text"}, such as
    # {"speaker": "role", "text": "content"}.
    turn_fields: Mapping[str, str] | None = None
    # Of dialogues: who a stored speaker is, if others than {"user": "user", "agent": "agent"}, such as
    # {"human": "user", "gpt": "agent", "system": "user"}.
    speakers: Mapping[str, str] | None = None
    # Leaves out rows whose text is missing or blank, which else are errors; reads that column once. Of text only.
    skip_empty: bool = False
    # A column; rows with equal values in it, such as questions about one image, are all trained on or all held out.
    # Images count by their bytes. Reads that column once.
    twins: str | None = None


class LanguageTable:
    """Records of text, each from one row of a table."""

    def __init__(self, table: Table, name: str, options: LanguageOptions) -> None:
        """Chooses the columns.

        Raises:
            ValueError: a column is missing or of another type, or an option does not go with the records.
        """
        records, turn_fields, speakers = options.records, options.turn_fields, options.speakers
        self.name, self._records, self._table = name, records, table
        if records not in _FIELDS:
            raise ValueError(f"{name}: records is {records!r}, expected one of {list(_FIELDS)}")
        fields = _FIELDS[records]
        unknown = sorted(set(options.columns or {}) - set(fields))
        if unknown:
            raise ValueError(f"{name}: columns name {unknown}, but {records!r} has the fields {list(fields)}")
        self._columns = {field: (options.columns or {}).get(field, field) for field in fields}
        for field, column in self._columns.items():
            found = require_type(table.schema, column, name)
            if field == "image" and not is_image(found):
                raise ValueError(f"{name}: column {column!r} is {found}, expected the bytes of pictures")
        if (turn_fields or speakers) and records != "dialogue":
            raise ValueError(f"{name}: turn_fields and speakers go with records of 'dialogue', not of {records!r}")
        self._turn_fields = {"speaker": "speaker", "text": "text", **(turn_fields or {})}
        if len(self._turn_fields) != 2:
            raise ValueError(f"{name}: turn_fields are {turn_fields!r}, expected names for 'speaker' and 'text'")
        self._speakers = dict(speakers) if speakers is not None else {"user": "user", "agent": "agent"}
        if not set(self._speakers.values()) <= {"user", "agent"}:
            raise ValueError(f"{name}: speakers are {speakers!r}, expected each to be 'user' or 'agent'")
        if options.skip_empty and records != "text":
            raise ValueError(f"{name}: skip_empty goes with records of 'text', not of {records!r}")
        self._rows = self._find_filled() if options.skip_empty else None
        self.twins = None if options.twins is None else self._find_twins(options.twins)

    def __len__(self) -> int:
        return len(self._table) if self._rows is None else len(self._rows)

    def __getitem__(self, index: int) -> Document | Dialogue | ImageText:
        if not 0 <= index < len(self):
            raise IndexError(f"{self.name}: record {index} of {len(self)}")
        row = index if self._rows is None else int(self._rows[index])
        (values,) = self._table.read(list(self._columns.values()), row, row + 1).to_pylist()
        fields = {field: values[column] for field, column in self._columns.items()}
        with located(f"{self.name}: row {row}"):
            if self._records == "text":
                return Document(text=_string(fields["text"], self._columns["text"]))
            if self._records == "dialogue":
                return Dialogue(turns=tuple(self._turns(fields["turns"])))
            image = read_image(fields["image"], f"column {self._columns['image']!r}")
            if self._records == "captions":
                return ImageText(image=image, text=_string(fields["caption"], self._columns["caption"]))
            return Dialogue(image=image, turns=tuple(self._questions(fields["question"], fields["answer"])))

    def _turns(self, turns: Any) -> Iterable[tuple[Speaker, str]]:
        column, fields = self._columns["turns"], self._turn_fields
        if not isinstance(turns, list):
            raise ValueError(f"column {column!r} is {type(turns).__name__}, expected a list of turns")
        for number, turn in enumerate(turns):
            if not isinstance(turn, dict) or not set(fields.values()) <= set(turn):
                raise ValueError(
                    f"column {column!r}: turn {number} is {turn!r}, expected the fields {list(fields.values())}: "
                    "name them in turn_fields"
                )
            speaker = turn[fields["speaker"]]
            if speaker not in self._speakers:
                raise ValueError(
                    f"column {column!r}: the speaker of turn {number} is {speaker!r}, expected one of "
                    f"{list(self._speakers)}: say in speakers who that is"
                )
            # The values were checked when the table was opened.
            yield self._speakers[speaker], _string(turn[fields["text"]], column)  # type: ignore[misc]

    def _questions(self, questions: Any, answers: Any) -> Iterable[tuple[Speaker, str]]:
        """Yields one question with its answer, or those of lists of both."""
        asked, answered = ([part] if not isinstance(part, list) else part for part in (questions, answers))
        if len(asked) != len(answered):
            raise ValueError(f"there are {len(asked)} questions and {len(answered)} answers, expected one answer each")
        for question, answer in zip(asked, answered, strict=True):
            yield "user", _string(question, self._columns["question"])
            yield "agent", _string(answer, self._columns["answer"])

    def _find_filled(self) -> np.ndarray:
        """Finds the numbers of the rows with text."""
        column = self._columns["text"]
        rows = []
        for start, texts in read_blocks(self._table, column):
            filled = pc.greater(pc.utf8_length(pc.utf8_trim_whitespace(texts)), 0)
            rows.append(start + np.flatnonzero(pc.fill_null(filled, False).to_numpy()))
        found = np.concatenate(rows)
        if not len(found):
            raise ValueError(f"{self.name}: column {column!r} holds no text in any row")
        return found

    def _find_twins(self, column: str) -> list[str]:
        """Finds one name per record."""
        require_type(self._table.schema, column, self.name)
        values = (value for _, part in read_blocks(self._table, column) for value in part.to_pylist())
        names = [_name(value, f"{self.name}: row {row}: column {column!r}") for row, value in enumerate(values)]
        return names if self._rows is None else [names[row] for row in self._rows]


def _string(value: Any, column: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"column {column!r} is {type(value).__name__}, expected a string")
    return value


def _name(value: Any, where: str) -> str:
    """Makes a short string that equal values share."""
    value = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(value, bytes | str | int):
        raise ValueError(f"{where} is {type(value).__name__}, expected a string, a whole number or a picture")
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else str(value)
