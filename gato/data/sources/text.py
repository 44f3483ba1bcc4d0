"""Running text as documents: plain text files and JSON Lines with {"text": ...}.

A JSON line is one document. A .txt file is one run of prose, cut at blank lines into documents of about
`DOCUMENT_CHARS` characters, so that a share of a single book can be held out and no document takes long to encode.
"""

import codecs
import re
from pathlib import Path
from typing import Any

from gato.data.episode import Document
from gato.data.reading import located
from gato.data.sources.jsonl import decode_text, line_or_error, read_jsonl

DOCUMENT_CHARS = 16_384  # a document of a .txt file ends at the first blank line after this many characters


class TextSource:
    """Documents of one .txt or .jsonl file, or of all such files below a folder; held in memory."""

    def __init__(self, path: str | Path, name: str, *, encoding: str = "utf-8", skip_bad: bool = False) -> None:
        """Reads every file.

        Args:
            path: a file or a folder.
            encoding: of .txt files, a name that Python knows, such as "latin-1"; .jsonl is UTF-8 by its standard.
            skip_bad: a bad line is refused when it is asked for, instead of here.

        Raises:
            FileNotFoundError: nothing there.
            ValueError: no text, or not in this encoding, or there is no such encoding.
        """
        try:
            codecs.lookup(encoding)
        except LookupError as error:
            raise ValueError(f"{name}: there is no encoding {encoding!r}, expected one like 'latin-1'") from error
        self.name = name
        self._documents = [
            document for file in _text_files(Path(path), name) for document in _read(file, name, encoding, skip_bad)
        ]
        if not self._documents:
            raise ValueError(f"{name}: {path} holds no text, expected at least one document")

    def __len__(self) -> int:
        return len(self._documents)

    def __getitem__(self, index: int) -> Document:
        return line_or_error(self._documents[index])


def split_documents(text: str, min_chars: int = DOCUMENT_CHARS) -> list[str]:
    """Cuts prose after blank lines into pieces of `min_chars` characters or slightly more; the last may be shorter.

    Nothing is lost: the pieces joined are the text, less pieces of nothing but white space.
    """
    documents: list[str] = []
    paragraphs: list[str] = []
    for paragraph in re.findall(r".+?(?:\n(?:[^\S\n]*\n)+|\Z)", text, flags=re.DOTALL):
        paragraphs.append(paragraph)
        if sum(map(len, paragraphs)) >= min_chars:
            documents.append("".join(paragraphs))
            paragraphs = []
    documents.append("".join(paragraphs))
    return [document for document in documents if document.strip()]


def _text_files(path: Path, name: str) -> list[Path]:
    if not path.exists():
        raise FileNotFoundError(f"{name}: {path} does not exist, expected a .txt or .jsonl file or a folder of them")
    files = [path] if path.is_file() else sorted(path.rglob("*.txt")) + sorted(path.rglob("*.jsonl"))
    if not files or any(file.suffix not in (".txt", ".jsonl") for file in files):
        raise ValueError(f"{name}: {path} is not text, expected a .txt or .jsonl file or a folder of them")
    return files


def _read(file: Path, name: str, encoding: str, skip_bad: bool) -> list[Document | ValueError]:
    where = f"{name}: {file}"
    if file.suffix == ".txt":
        advice = 'name its encoding in options, such as {"encoding": "latin-1"}, or convert it'
        prose = decode_text(file.read_bytes(), where, encoding, advice)
        return [Document(text=document) for document in split_documents(prose)]
    return read_jsonl(file.read_bytes(), where, {"text": str}, _document, skip_bad=skip_bad)


def _document(item: dict[str, Any], place: str) -> Document:
    with located(place):
        return Document(text=item["text"])
