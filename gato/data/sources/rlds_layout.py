"""What the files of a TensorFlow Datasets folder say about its episodes: fields, splits, and where records lie.

Source: `dataset_info.json` and `features.json` as `tfds` writes them: protocol buffers as JSON, with 64-bit integers as
strings and -1 for a dimension of unknown size.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from array_record.python import array_record_data_source

from gato.data.sources.tfrecord import TfrecordFile

_INFO, _FEATURES = "dataset_info.json", "features.json"
_DEFAULT_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
_NUMBERS = {
    "bool",
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    *(f"float{bits}" for bits in (16, 32, 64)),
}
_CLASSES = {  # what a node holds, and the classes of `tfds.features` that are read as that
    "featuresDict": ("FeaturesDict",),
    "sequence": ("Dataset", "Sequence"),
    "tensor": ("Tensor", "Scalar"),
    "image": ("Image",),
    "text": ("Text",),
    "classLabel": ("ClassLabel",),
}


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a step or of an episode."""

    kind: Literal["tensor", "image", "text", "unread"]
    shape: tuple[int | None, ...] = ()  # of one value; None = unknown
    dtype: str = ""  # of a tensor, as numpy calls it
    encoding: str = "none"  # of a tensor: "none", or "bytes" and "zlib", one string per value
    num_classes: int | None = None  # where integers count up to a known number
    problem: str | None = None  # why it cannot be read


class ArrayRecordFile:
    """The records of one ArrayRecord file; its own library checks and reads them."""

    def __init__(self, path: Path, where: str) -> None:
        self.path, self._where = path, where
        try:
            self._records = array_record_data_source.ArrayRecordDataSource(str(path.absolute()))
        except RuntimeError as error:
            raise ValueError(f"{where} is no readable ArrayRecord file ({error})") from error

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> bytes:
        try:
            return self._records[index]
        except RuntimeError as error:
            raise ValueError(f"{self._where}: record {index} is damaged ({error})") from error


Shard: TypeAlias = TfrecordFile | ArrayRecordFile  # the records of one file


def read_info(path: Path, where: str) -> dict[str, Any]:
    """Reads `dataset_info.json`.

    Raises:
        FileNotFoundError: none there; names folders below that have one.
        ValueError: it is damaged.
    """
    if not (path / _INFO).is_file():
        below = sorted(str(file.parent.relative_to(path)) for file in path.glob(f"*/{_INFO}"))
        below += sorted(str(file.parent.relative_to(path)) for file in path.glob(f"*/*/{_INFO}"))
        hint = f": name one of its folders {below}" if below else ""
        raise FileNotFoundError(f"{where} holds no dataset of TensorFlow Datasets, expected {_INFO} in it{hint}")
    return _read_json(path / _INFO, where)


def read_fields(path: Path, where: str) -> dict[str, Field]:
    """Reads all fields of an episode by path; those of a step begin with "steps/".

    Raises:
        FileNotFoundError: no `features.json`.
        ValueError: it is damaged, or has no steps.
    """
    if not (path / _FEATURES).is_file():
        raise FileNotFoundError(f"{where} lacks {_FEATURES}, which says what type each field has")
    node = _read_json(path / _FEATURES, where)
    try:
        fields = dict(_fields(node, ""))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{where}: {_FEATURES} is not as tfds writes it today ({error!r})") from error
    if not any(key.startswith("steps/") for key in fields):
        raise ValueError(f"{where}: {_FEATURES} has no steps, only {sorted(fields)}: this is no dataset of episodes")
    return fields


def open_shards(path: Path, info: Mapping[str, Any], split: str | None, where: str) -> list[Shard]:
    """Opens the files of a split, each with as many records as `dataset_info.json` says.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: no such split, an unknown way of storing, or a damaged file.
    """
    splits = {entry.get("name"): entry for entry in info.get("splits", []) if isinstance(entry, dict)}
    if split is None and len(splits) == 1:
        split = next(iter(splits))
    if split not in splits:
        raise ValueError(f"{where}: split is {split!r}, expected one of {sorted(map(str, splits))}")
    lengths = [int(length) for length in splits[split].get("shardLengths", [])]
    if not sum(lengths):
        raise ValueError(f"{where}: split {split!r} holds no episodes, expected at least one")
    file_format = info.get("fileFormat") or "tfrecord"
    if file_format not in ("tfrecord", "array_record"):
        raise ValueError(f"{where}: fileFormat is {file_format!r}, expected 'tfrecord' or 'array_record'")
    template = splits[split].get("filepathTemplate") or _DEFAULT_TEMPLATE
    shards: list[Shard] = []
    for number, length in enumerate(lengths):
        parts = {
            "DATASET": info.get("name", ""),
            "SPLIT": split,
            "FILEFORMAT": file_format,
            "SHARD_INDEX": f"{number:05d}",
            "NUM_SHARDS": f"{len(lengths):05d}",
            "SHARD_X_OF_Y": f"{number:05d}-of-{len(lengths):05d}",
        }
        file = path / _file_name(template, parts, where)
        if not file.is_file():
            raise FileNotFoundError(
                f"{where} lacks {file.name}, file {number + 1} of {len(lengths)} of split {split!r}"
            )
        kind = TfrecordFile if file_format == "tfrecord" else ArrayRecordFile
        shards.append(kind(file, f"{where}: {file.name}"))
        if len(shards[-1]) != length:
            raise ValueError(
                f"{where}: {file.name} holds {len(shards[-1])} records, but {_INFO} says {length}: copy it again"
            )
    return shards


def _fields(node: Mapping[str, Any], path: str) -> Iterator[tuple[str, Field]]:
    """Yields the leaves below a node of `features.json`, with their paths."""
    kind = next((kind for kind in _CLASSES if kind in node), None)
    class_name = str(node.get("pythonClassName", "")).rpartition(".")[2]
    if kind is None or (class_name and class_name not in _CLASSES[kind]):
        yield path, _unread(f"is of the kind {class_name or sorted(node)}, which is not read")
    elif kind == "featuresDict":
        for key, part in node[kind]["features"].items():
            yield from _fields(part, f"{path}/{key}" if path else key)
    elif kind == "sequence":
        if path == "steps":
            yield from _fields(node[kind]["feature"], path)
        else:
            yield path, _unread("is a sequence within an episode or a step, which is not read")
    elif kind == "text":
        yield path, Field(kind="text")
    elif kind == "classLabel":
        yield path, Field(kind="tensor", dtype="int64", num_classes=int(node[kind]["numClasses"]))
    else:
        yield path, (_tensor if kind == "tensor" else _image)(node[kind])


def _tensor(content: Mapping[str, Any]) -> Field:
    dtype, shape = content["dtype"], _shape(content)
    encoding = str(content.get("encoding") or "none").lower()
    if content.get("optional"):
        return _unread("may be without a value, which is not read")
    if None in shape:
        return _unread(f"has the shape {shape} with a dimension of unknown size, which is not read")
    if dtype == "string" and not shape:
        return Field(kind="text")
    if dtype not in _NUMBERS or encoding not in ("none", "bytes", "zlib"):
        return _unread(f"is {dtype} {shape} with the encoding {encoding!r}, which is not read")
    return Field(kind="tensor", shape=shape, dtype=dtype, encoding=encoding)


def _image(content: Mapping[str, Any]) -> Field:
    dtype, shape = content.get("dtype") or "uint8", _shape(content)
    if dtype != "uint8" or len(shape) != 3 or shape[2] not in (1, 3, 4):
        return _unread(f"has {dtype} pictures {shape}, expected uint8 (height, width, 1, 3 or 4)")
    return Field(kind="image", shape=shape, dtype="uint8")


def _unread(problem: str) -> Field:
    return Field(kind="unread", problem=problem)


def _shape(content: Mapping[str, Any]) -> tuple[int | None, ...]:
    sizes = [int(size) for size in content.get("shape", {}).get("dimensions", [])]
    return tuple(None if size < 0 else size for size in sizes)


def _file_name(template: str, parts: Mapping[str, str], where: str) -> str:
    unknown = set(re.findall(r"{(.*?)}", template)) - set(parts)
    name = re.sub(r"{(.*?)}", lambda match: parts.get(match[1], ""), template)
    if unknown or Path(name).name != name:
        raise ValueError(
            f"{where}: filepathTemplate is {template!r}, expected the name of a file in this folder with {list(parts)}"
        )
    return name


def _read_json(file: Path, where: str) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{where}: {file.name} is not JSON ({error}): copy it again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{where}: {file.name} holds {type(content).__name__}, expected an object")
    return content
