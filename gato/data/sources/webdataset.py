"""Images with text in WebDataset shards: tar files in which the files of one sample share a name up to its first dot.

A sample is an image (`000.jpg`) with its caption (`000.txt` or `000.caption`), or with a JSON object (`000.json`)
whose fields hold the caption, or a question and its answer. White space around captions is removed. Other files of a
sample, hidden files and those whose names begin with two underscores are left alone.

Source: the WebDataset format, https://github.com/webdataset/webdataset; POSIX tar.
"""

import itertools
import json
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gato.data.episode import Dialogue, ImageText
from gato.data.reading import located
from gato.data.sources.images import MAX_FILE_BYTES, decode_image
from gato.data.sources.jsonl import decode_text

_IMAGES = ("png", "jpg", "jpeg", "webp")
_CAPTIONS = ("txt", "caption")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MAX_SHARDS = 1 << 20  # that a pattern may name
_BLOCK_BYTES = 512  # of a tar file


class WebdatasetSource:
    """Captioned images, or questions about images. Opening reads the headers of the tar files, no content."""

    def __init__(
        self,
        path: str | Path,
        name: str,
        *,
        image: str | None = None,
        caption: str | None = None,
        question: str | None = None,
        answer: str | None = None,
        skip_incomplete: bool = False,
    ) -> None:
        """Finds where each sample lies.

        Args:
            path: a .tar file, a folder of them, or a pattern such as "shards/train-{0000..0123}.tar"; not compressed,
                since a record could then not be read without all before it.
            image: the ending of the image's file, such as "left.jpg"; None = png, jpg, jpeg or webp.
            caption: the field of the JSON object that holds the caption; None = the caption is a file of text.
            question: the field that holds the question; the record is then a dialogue.
            answer: the field that holds the answer; goes with `question`.
            skip_incomplete: samples without an image or without text are left out; otherwise they are refused.

        Raises:
            FileNotFoundError: no such file, folder or shard.
            ValueError: options that do not go together, a damaged shard, an incomplete sample, or no sample at all.
        """
        if (question is None) != (answer is None) or (question is not None and caption is not None):
            raise ValueError(
                f"{name}: caption is {caption!r}, question {question!r} and answer {answer!r}, expected a caption, or "
                "a question and an answer, or none of them"
            )
        self.name = name
        self._caption, self._question, self._answer = caption, question, answer
        self._reads_json = caption is not None or question is not None
        images = _IMAGES if image is None else (image.lower().removeprefix("."),)
        texts = ("json",) if self._reads_json else _CAPTIONS
        self._shards = _shard_files(str(path), name)
        keys: list[bytes] = []
        places: list[tuple[int, int, int, int, int]] = []  # number of the shard; start and size of image and of text
        for number, shard in enumerate(self._shards):
            where = f"{name}: {shard}"
            for key, files in _samples(shard, where).items():
                found = [[ending for ending in endings if ending in files] for endings in (images, texts)]
                if any(len(endings) > 1 for endings in found):
                    raise ValueError(f"{where}: sample {key!r} has {sorted(files)}, expected one image and one text")
                if all(found):
                    keys.append(key.encode("utf-8", "surrogateescape"))
                    places.append((number, *files[found[0][0]], *files[found[1][0]]))
                elif not skip_incomplete:
                    raise ValueError(
                        f"{where}: sample {key!r} has {sorted(files)}, expected one of {list(images)} and one of "
                        f"{list(texts)}: set skip_incomplete to leave out such samples"
                    )
        self._keys, self._places = np.array(keys, "S"), np.array(places, np.int64)
        if not len(self):
            raise ValueError(f"{name}: {path} holds no sample, expected .{'/.'.join(images)} with .{'/.'.join(texts)}")

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> ImageText | Dialogue:
        if not 0 <= index < len(self):
            raise IndexError(f"{self.name}: sample {index} of {len(self)}")
        shard = self._shards[self._places[index, 0]]
        with located(f"{self.name}: {shard}: sample {self._keys[index].decode()!r}"):
            content, text = _read(shard, *self._places[index, 1:].tolist())
            image = decode_image(content)
            if not self._reads_json:
                return ImageText(image=image, text=decode_text(text, "its caption").strip())
            fields = _json_object(text)
            if self._caption is not None:
                return ImageText(image=image, text=_field(fields, self._caption).strip())
            assert self._question is not None
            assert self._answer is not None
            asked, answered = _field(fields, self._question), _field(fields, self._answer)
            return Dialogue(image=image, turns=(("user", asked), ("agent", answered)))


def _read(shard: Path, start: int, size_bytes: int, text_start: int, text_bytes: int) -> tuple[bytes, bytes]:
    """Reads the files of the image and of the text; opens the shard each time, so threads do not meet."""
    for what, size in (("picture", size_bytes), ("text", text_bytes)):
        if size > MAX_FILE_BYTES:
            raise ValueError(f"its {what} has {size} bytes, expected at most {MAX_FILE_BYTES}")
    with shard.open("rb") as file:
        file.seek(start)
        image = file.read(size_bytes)
        file.seek(text_start)
        return image, file.read(text_bytes)


def _samples(path: Path, where: str) -> dict[str, dict[str, tuple[int, int]]]:
    """Finds (start, size) in bytes of every file in a tar file, by sample and by ending."""
    samples: dict[str, dict[str, tuple[int, int]]] = {}
    size_bytes = path.stat().st_size
    try:
        with tarfile.open(path, "r:") as archive:
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # or it keeps them all
                base = member.name.rpartition("/")[2]
                if member.isdir() or base.startswith((".", "__")):
                    continue
                if not member.isreg() or member.issparse():
                    raise ValueError(
                        f"{where}: {member.name!r} is no plain file in it, expected its content: pack it anew"
                    )
                _, dot, ending = base.partition(".")
                key = member.name.removesuffix(dot + ending)
                files = samples.setdefault(key, {})
                if ending.lower() in files:
                    raise ValueError(f"{where} holds {member.name!r} twice, expected every file once")
                if member.offset_data + member.size > size_bytes:
                    raise ValueError(f"{where} is cut short within {member.name!r}: copy it again")
                files[ending.lower()] = member.offset_data, member.size
            stop = archive.offset
    except tarfile.TarError as error:
        raise ValueError(
            f"{where} is no tar file that can be read ({error}); a compressed one must be unpacked"
        ) from error
    with path.open("rb") as file:
        file.seek(stop)
        if file.read(_BLOCK_BYTES) != bytes(_BLOCK_BYTES):  # the library stops there in silence
            raise ValueError(f"{where} is damaged or cut short at byte {stop}, expected another file or the end mark")
    return samples


def _shard_files(pattern: str, name: str) -> list[Path]:
    path = Path(pattern)
    if path.is_dir():
        files = sorted(path.glob("*.tar"))
        if not files:
            raise ValueError(f"{name}: {path} holds no .tar file, expected the shards of a WebDataset")
    elif path.exists() or not _RANGE.search(pattern):
        files = [path]
    else:
        files = [Path(each) for each in _expand(pattern, name)]
    for file in files:
        if not file.is_file():
            raise FileNotFoundError(
                f'{name}: {file} does not exist, expected a .tar file, a folder of them, or "...{{0000..0003}}.tar"'
            )
    return files


def _expand(pattern: str, name: str) -> list[str]:
    """Lists the paths that a pattern with ranges names, in order."""
    parts = _RANGE.split(pattern)  # text, first, last, text, first, last, ..., text
    choices: list[list[str]] = []
    count = 1
    for first, last in zip(parts[1::3], parts[2::3], strict=True):
        size = int(last) - int(first) + 1
        count *= size
        if size < 1 or count > _MAX_SHARDS:
            raise ValueError(f"{name}: the pattern {pattern!r} names {count} files, expected 1 to {_MAX_SHARDS}")
        choices.append([f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)])
    return [
        parts[0] + "".join(number + text for number, text in zip(numbers, parts[3::3], strict=True))
        for numbers in itertools.product(*choices)
    ]


def _json_object(content: bytes) -> Mapping[str, Any]:
    try:
        fields = json.loads(decode_text(content, "its .json"))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"its .json is damaged ({error})") from error
    if not isinstance(fields, dict):
        raise ValueError(f"its .json holds {type(fields).__name__}, expected an object")
    return fields


def _field(fields: Mapping[str, Any], key: str) -> str:
    if not isinstance(fields.get(key), str):
        came = type(fields[key]).__name__ if key in fields else "absent"
        raise ValueError(f"field {key!r} of its .json is {came}, expected text; there are {sorted(fields)}")
    return fields[key]
