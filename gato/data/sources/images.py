"""Images with text: a folder or a zip file with images and one .jsonl, in it or beside it, that describes them.

Captions are lines {"image": "a.png", "caption": ...}, questions {"image": "a.png", "question": ..., "answer": ...};
images are named relative to the .jsonl. Other names and layouts are told by options: one JSON list instead of JSON
Lines, of objects or lists, under any field names. A number or a truth value as an answer becomes its JSON text, such as
"true". Questions about one image that
follow each other are one dialogue. A line may name its "twins": images of one such name are never split into trained
and held out ones; without it, those of one file are twins. Any format that Pillow decodes is read; what we write is
PNG, without loss.
"""

import functools
import hashlib
import io
import itertools
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from gato.data.episode import Dialogue, ImageText, Speaker
from gato.data.reading import located
from gato.data.sources.jsonl import convert_lines, decode_text, line_or_error, read_jsonl
from gato.files import new_file

MAX_PIXELS = 1 << 24  # a larger image is refused before it is decoded
MAX_FILE_BYTES = 1 << 26  # a larger image file is refused before it is read
ImageKind: TypeAlias = Literal["captions", "questions"]
Columns: TypeAlias = Mapping[str, str | int]  # where a field of ours stands: its name in an object, its place in a list
_ImageLine: TypeAlias = tuple[str, dict[str, str]]  # "file:line", and its fields, "twins" among them where it has it

_FIELDS: dict[ImageKind, tuple[str, ...]] = {
    "captions": ("image", "caption"),
    "questions": ("image", "question", "answer"),
}
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # fixed, so that equal items give equal files


class ImageSource:
    """Captioned images, or dialogues about images; texts are held in memory, images decoded when asked for."""

    def __init__(
        self,
        path: str | Path,
        name: str,
        kind: ImageKind,
        *,
        lines: str | None = None,
        columns: Columns | None = None,
        image_file: str = "{}",
        skip_bad: bool = False,
    ) -> None:
        """Reads the lines.

        Args:
            path: a folder or a zip file.
            lines: the .jsonl or .json file in it that describes the images; if not given, the only .jsonl in it, or
                else that of the same name beside it.
            columns: fields that have another name than ours, such as {"question": "sentence"}, or their places where
                lines are lists, such as {"image": 2}.
            image_file: an image's file, with {} where the field "image" goes, such as "images/{}.png".
            skip_bad: a bad line is refused when it is asked for, instead of here.

        Raises:
            FileNotFoundError: nothing there.
            ValueError: no such lines, or they are not as expected, or name an image that is not there.
        """
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"{name}: {path} does not exist, expected a folder or a .zip with one .jsonl in it")
        self.name, self._kind = name, kind
        self._files: _Folder | _Zip = _Folder(path, name) if path.is_dir() else _Zip(path, name)
        where, content, self._base = _find_lines(path, name, self._files, lines)
        read = _read_lines(content, f"{name}: {where}", kind, columns or {}, image_file, skip_bad)
        if not read:
            raise ValueError(f"{name}: {where} holds no lines, expected the fields {list(_FIELDS[kind])}")
        known = set(self._files.names)
        for number, line in enumerate(read):
            if not isinstance(line, ValueError) and str(self._base / line[1]["image"]) not in known:
                read[number] = ValueError(f"{line[0]}: image {line[1]['image']!r} is not in {path}")
                if not skip_bad:
                    line_or_error(read[number])
        # Each record is the lines about one image, or a bad line.
        self._records = [[line] for line in read]
        if kind == "questions":
            self._records = [list(lines) for _, lines in itertools.groupby(read, _image_of)]
        self.twins = [
            f"bad line {number}" if isinstance(line, ValueError) else str(line[1].get("twins", line[1]["image"]))
            for number, (line, *_) in enumerate(self._records)
        ]

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> ImageText | Dialogue:
        lines = [line_or_error(line) for line in self._records[index]]
        place, item = lines[0]
        with located(f"{place}: image {item['image']!r}"):
            image = decode_image(self._files.read(str(self._base / item["image"]), MAX_FILE_BYTES))
            if self._kind == "captions":
                return ImageText(image=image, text=item["caption"])
            turns: list[tuple[Speaker, str]] = []
            for _, line in lines:
                turns += ("user", line["question"]), ("agent", line["answer"])
            return Dialogue(image=image, turns=tuple(turns))


open_captions = functools.partial(ImageSource, kind="captions")
open_questions = functools.partial(ImageSource, kind="questions")


def _image_of(line: _ImageLine | ValueError) -> str | int:
    """Returns what lines about one image share; a bad line shares it with none."""
    return id(line) if isinstance(line, ValueError) else line[1]["image"]


def decode_image(content: bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decodes an image file: (height, width) grey or (height, width, 3 or 4) uint8, upright.

    Raises:
        ValueError: not an image, damaged, more than `max_pixels` pixels, or more than 8 bits per channel.
    """
    try:
        with Image.open(io.BytesIO(content)) as file:
            if file.width * file.height > max_pixels:
                raise ValueError(f"{file.width} x {file.height} pixels, expected at most {max_pixels}: scale it down")
            if file.mode.startswith(("I", "F")):  # Pillow would cut these at 255, and show white
                raise ValueError(f"its pixels have mode {file.mode!r}, expected 8 bits a channel: scale them to that")
            image = ImageOps.exif_transpose(file)
            if image.mode not in ("L", "RGB", "RGBA"):
                image = image.convert("RGBA" if image.has_transparency_data else "RGB")
            return np.asarray(image)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        raise ValueError(f"cannot be decoded ({error}), expected a PNG, JPEG or other picture") from error


def check_size(size: Sequence[int] | None, name: str) -> tuple[int, int] | None:
    """Returns the option image_size as (height, width), or None where it was not given; refuses anything else."""
    if size is None:
        return None
    if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
        raise ValueError(f"{name}: image_size is {size!r}, expected [height, width] in pixels")
    return size[0], size[1]


def shrink(image: np.ndarray, size: tuple[int, int] | None, resampling: Image.Resampling) -> np.ndarray:
    """Scales an image (..., channels) to (height, width), averaging where it gets smaller; None keeps its size."""
    if size is None or image.shape[:2] == size:
        return image
    whole = Image.fromarray(image.squeeze(-1) if image.shape[2] == 1 else image)
    return np.asarray(whole.resize((size[1], size[0]), resampling)).reshape(*size, -1)


def write_images(path: str | Path, items: Iterable[ImageText | Dialogue]) -> None:
    """Writes a zip file that `ImageSource` reads: all captions or all dialogues. Equal items give equal bytes.

    The file appears under its name only when it is complete. Equal images are stored once.

    Raises:
        FileExistsError: the path exists.
        ValueError: no items, captions and dialogues mixed, or a dialogue other than questions, each with its answer,
            about an image.
    """
    names: dict[bytes, str] = {}
    lines: list[dict[str, Any]] = []
    with new_file(Path(path)) as partial, zipfile.ZipFile(partial, "x") as archive:
        for item in items:
            texts = [{"caption": item.text}] if isinstance(item, ImageText) else _questions(item)
            assert item.image is not None  # `_questions` has refused it
            digest = hashlib.sha256(repr(item.image.shape).encode() + item.image.tobytes()).digest()
            if digest not in names:
                names[digest] = f"{len(names):06d}.png"
                content = io.BytesIO()
                plain = item.image.squeeze(-1) if item.image.shape[2:] == (1,) else item.image
                Image.fromarray(plain).save(content, "PNG")
                archive.writestr(zipfile.ZipInfo(names[digest], _ZIP_DATE), content.getvalue())
            lines += [{"image": names[digest], **text} for text in texts]
        kinds = {tuple(line) for line in lines}
        if len(kinds) != 1:
            raise ValueError(
                f"the items hold {len(kinds)} kinds {sorted(kinds)}, expected all captions or all dialogues"
            )
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        info = zipfile.ZipInfo("pictures.jsonl", _ZIP_DATE)
        archive.writestr(info, text.encode(), zipfile.ZIP_DEFLATED)


def _questions(dialogue: Dialogue) -> list[dict[str, str]]:
    """Makes the lines of a dialogue about an image."""
    speakers = [speaker for speaker, _ in dialogue.turns]
    if dialogue.image is None or speakers != ["user", "agent"] * (len(speakers) // 2):
        raise ValueError(f"the turns are by {speakers}, expected user and agent in turn, and an image beside them")
    words = [text for _, text in dialogue.turns]
    return [{"question": question, "answer": answer} for question, answer in zip(words[::2], words[1::2], strict=True)]


def _read_lines(
    content: bytes, where: str, kind: ImageKind, columns: Columns, image_file: str, skip_bad: bool
) -> list[_ImageLine | ValueError]:
    """Reads and checks all lines of a .jsonl file, or of a .json file that is one list."""
    if unknown := sorted(set(columns) - {*_FIELDS[kind], "twins"}):
        raise ValueError(f"{where}: option columns names {unknown}, expected some of {[*_FIELDS[kind], 'twins']}")
    if image_file.count("{}") != 1:
        raise ValueError(
            f"{where}: option image_file is {image_file!r}, expected one {{}} in it, such as 'images/{{}}.png'"
        )

    def convert(line: Any, place: str) -> _ImageLine:
        item = {field: _text(line, field, columns.get(field, field), place) for field in _FIELDS[kind]}
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


class _Folder:
    """The files below a folder, by their path relative to it."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self.names = [file.relative_to(path).as_posix() for file in sorted(path.rglob("*")) if file.is_file()]

    def read(self, name: str, max_bytes: int | None = None) -> bytes:
        file = self._path / name
        _check_file_size(file.stat().st_size, max_bytes)
        return file.read_bytes()


class _Zip:
    """The members of a zip file, by name; opened anew in every process that it reaches, copied or forked."""

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        self._opened = os.getpid(), self._open()
        self.names = self._opened[1].namelist()

    def __reduce__(self) -> tuple[type["_Zip"], tuple[Path, str]]:
        return _Zip, (self._path, self._name)

    def read(self, name: str, max_bytes: int | None = None) -> bytes:
        archive = self._archive()
        _check_file_size(archive.getinfo(name).file_size, max_bytes)
        try:
            return archive.read(name)
        except (zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"damaged in the zip file ({error})") from error

    def _archive(self) -> zipfile.ZipFile:
        """Returns the archive of this process: threads share a place in the file safely, but processes would not."""
        opened_by, archive = self._opened
        if opened_by != os.getpid():
            archive = self._open()
            self._opened = os.getpid(), archive
        return archive

    def _open(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self._path)
        except zipfile.BadZipFile as error:
            raise ValueError(
                f"{self._name}: {self._path} is not a zip file ({error}), expected a folder or a .zip"
            ) from error


def _find_lines(path: Path, name: str, files: _Folder | _Zip, lines: str | None) -> tuple[str, bytes, PurePosixPath]:
    """Finds the file that describes the images: its place, its content, and the folder that it names images from."""
    if lines is not None and lines not in files.names:
        raise ValueError(f"{name}: {path} holds no file {lines!r}: name one in it with the option lines")
    found = [file for file in files.names if file.endswith(".jsonl")] if lines is None else [lines]
    beside = path.with_suffix(".jsonl")
    if not found and beside.is_file():
        return str(beside), beside.read_bytes(), PurePosixPath()
    if len(found) != 1:
        raise ValueError(
            f"{name}: {path} holds {len(found)} .jsonl files {found[:3]}, expected exactly one, or else one beside it "
            f"named {beside.name}; the option lines names another file"
        )
    return f"{path}/{found[0]}", files.read(found[0]), PurePosixPath(found[0]).parent


def _check_file_size(size_bytes: int, max_bytes: int | None) -> None:
    if max_bytes is not None and size_bytes > max_bytes:
        raise ValueError(f"{size_bytes} bytes, expected at most {max_bytes}")
