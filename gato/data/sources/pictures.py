"""Pictures with text: a folder or a zip file with pictures and one .jsonl that describes them.

Captions are lines {"image": "a.png", "caption": ...}, questions {"image": "a.png", "question": ..., "answer": ...};
images are named relative to the .jsonl. Questions about one image that follow each other are one dialogue. A line may
name its "twins": pictures of one such name are never split into trained and held out ones; without it, those of one
file are twins. Any format that Pillow decodes is read; what we write is PNG, without loss.
"""

import hashlib
import io
import itertools
import json
import os
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from gato.data.episode import Dialogue, ImageText, Speaker
from gato.data.sources.jsonl import read_jsonl

MAX_PIXELS = 1 << 24  # a larger picture is refused before it is decoded
MAX_FILE_BYTES = 1 << 26  # a larger picture file is refused before it is read
_FIELDS = {
    "captions": {"image": str, "caption": str},
    "questions": {"image": str, "question": str, "answer": str},
}
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # fixed, so that equal items give equal files


class PictureSource:
    """Captioned pictures, or dialogues about pictures; texts are held in memory, pictures decoded when asked for."""

    def __init__(self, path: str | Path, name: str, kind: Literal["captions", "questions"]) -> None:
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"{name}: {path} does not exist, expected a folder or a .zip with one .jsonl in it")
        self.name, self._kind = name, kind
        self._files: _Folder | _Zip = _Folder(path, name) if path.is_dir() else _Zip(path, name)
        found = [file for file in self._files.names if file.endswith(".jsonl")]
        if len(found) != 1:
            raise ValueError(f"{name}: {path} holds {len(found)} .jsonl files {found[:3]}, expected exactly one")
        self._base = PurePosixPath(found[0]).parent
        items = read_jsonl(self._files.read(found[0]), f"{name}: {path}/{found[0]}", _FIELDS[kind])
        if not items:
            raise ValueError(f"{name}: {path}/{found[0]} holds no lines, expected the fields {list(_FIELDS[kind])}")
        known = set(self._files.names)
        for place, item in items:
            if str(self._base / item["image"]) not in known:
                raise ValueError(f"{place}: image {item['image']!r} is not in {path}")
        # Each record is the lines about one picture.
        self._records = [[item] for item in items]
        if kind == "questions":
            self._records = [list(lines) for _, lines in itertools.groupby(items, lambda item: item[1]["image"])]
        self.twins = [str(item.get("twins", item["image"])) for (_, item), *_ in self._records]

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> ImageText | Dialogue:
        place, item = self._records[index][0]
        try:
            image = decode_image(self._files.read(str(self._base / item["image"]), MAX_FILE_BYTES))
            if self._kind == "captions":
                return ImageText(image=image, text=item["caption"])
            turns: list[tuple[Speaker, str]] = []
            for _, line in self._records[index]:
                turns += ("user", line["question"]), ("agent", line["answer"])
            return Dialogue(image=image, turns=tuple(turns))
        except ValueError as error:
            raise ValueError(f"{place}: image {item['image']!r}: {error}") from error


def decode_image(content: bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A picture file -> (height, width) grey or (height, width, 3 or 4) uint8, upright.

    Raises:
        ValueError: not a picture, damaged, more than `max_pixels` pixels, or more than 8 bits a channel.
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


def write_pictures(path: str | Path, items: Iterable[ImageText | Dialogue]) -> None:
    """Writes a zip file that `PictureSource` reads: all captions or all dialogues. Equal items give equal bytes.

    The file appears under its name only when it is complete. Equal pictures are stored once.

    Raises:
        FileExistsError: the path exists.
        ValueError: no items, captions and dialogues mixed, or a dialogue other than questions, each with its answer,
            about a picture.
    """
    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} exists: delete it or choose another path")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        with zipfile.ZipFile(partial, "x") as archive:
            _write_items(archive, items)
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)


def _write_items(archive: zipfile.ZipFile, items: Iterable[ImageText | Dialogue]) -> None:
    names: dict[bytes, str] = {}
    lines: list[dict[str, Any]] = []
    for item in items:
        texts = [{"caption": item.text}] if isinstance(item, ImageText) else _questions(item)
        assert item.image is not None  # `_questions` has refused it
        digest = hashlib.sha256(repr(item.image.shape).encode() + item.image.tobytes()).digest()
        if digest not in names:
            names[digest] = f"{len(names):06d}.png"
            content = io.BytesIO()
            Image.fromarray(item.image.squeeze(-1) if item.image.shape[2:] == (1,) else item.image).save(content, "PNG")
            archive.writestr(zipfile.ZipInfo(names[digest], _ZIP_DATE), content.getvalue())
        lines += [{"image": names[digest], **text} for text in texts]
    kinds = {tuple(line) for line in lines}
    if len(kinds) != 1:
        raise ValueError(f"the items hold {len(kinds)} kinds {sorted(kinds)}, expected all captions or all dialogues")
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    info = zipfile.ZipInfo("pictures.jsonl", _ZIP_DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(info, text.encode())


def _questions(dialogue: Dialogue) -> list[dict[str, str]]:
    """The lines of a dialogue about a picture."""
    speakers = [speaker for speaker, _ in dialogue.turns]
    if dialogue.image is None or speakers != ["user", "agent"] * (len(speakers) // 2):
        raise ValueError(f"the turns are by {speakers}, expected user and agent in turn, and a picture beside them")
    words = [text for _, text in dialogue.turns]
    return [{"question": question, "answer": answer} for question, answer in zip(words[::2], words[1::2], strict=True)]


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
    """The members of a zip file, by name."""

    def __init__(self, path: Path, name: str) -> None:
        try:
            self._archive = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise ValueError(f"{name}: {path} is not a zip file ({error}), expected a folder or a .zip") from error
        self.names = self._archive.namelist()

    def read(self, name: str, max_bytes: int | None = None) -> bytes:
        _check_file_size(self._archive.getinfo(name).file_size, max_bytes)
        try:
            return self._archive.read(name)
        except (zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"damaged in the zip file ({error})") from error


def _check_file_size(size_bytes: int, max_bytes: int | None) -> None:
    if max_bytes is not None and size_bytes > max_bytes:
        raise ValueError(f"{size_bytes} bytes, expected at most {max_bytes}")
