"""TFRecord files and the `tf.train.Example` messages in them, read without TensorFlow.

A TFRecord file is a run of records: uint64 length, uint32 masked CRC32C of the length, the data, uint32 masked CRC32C
of the data, all little-endian. An Example is a protocol buffer message that maps names to lists of bytes, float32 or
int64.

Source: the TFRecord format of TensorFlow; `tensorflow/core/example/feature.proto` for the message.
"""

import struct
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import google_crc32c
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory, text_format

Values: TypeAlias = list[bytes] | np.ndarray  # of one feature; an array is (n,) float32 or int64

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_LISTS = {"bytes_list": None, "float_list": np.float32, "int64_list": np.int64}  # fields of Feature: type of the array
# An entry of the map is declared as bytes, so that only the features asked for are parsed; the wire format is the same.
_SCHEMA = """
name: "gato/example.proto" package: "gato" syntax: "proto3"
message_type { name: "Bytes" field { name: "value" number: 1 type: TYPE_BYTES label: LABEL_REPEATED } }
message_type { name: "Floats" field { name: "value" number: 1 type: TYPE_FLOAT label: LABEL_REPEATED } }
message_type { name: "Integers" field { name: "value" number: 1 type: TYPE_INT64 label: LABEL_REPEATED } }
message_type { name: "Feature"
  field { name: "bytes_list" number: 1 type: TYPE_MESSAGE type_name: "Bytes" }
  field { name: "float_list" number: 2 type: TYPE_MESSAGE type_name: "Floats" }
  field { name: "int64_list" number: 3 type: TYPE_MESSAGE type_name: "Integers" } }
message_type { name: "Entry"
  field { name: "name" number: 1 type: TYPE_BYTES } field { name: "feature" number: 2 type: TYPE_BYTES } }
message_type { name: "Features"
  field { name: "entries" number: 1 type: TYPE_MESSAGE type_name: "Entry" label: LABEL_REPEATED } }
message_type { name: "Example" field { name: "features" number: 1 type: TYPE_MESSAGE type_name: "Features" } }
"""


class TfrecordFile:
    """The records of one file by index; where each begins is found by one scan that skips the data."""

    def __init__(self, path: Path, where: str) -> None:
        """Scans the file, which errors call `where`.

        Raises:
            ValueError: the file is cut short, or the length of a record is damaged.
        """
        self.path, self._where = path, where
        places: list[tuple[int, int]] = []
        size_bytes = path.stat().st_size
        with path.open("rb", buffering=0) as file:
            while (start := file.tell()) < size_bytes:
                record = f"{where}: record {len(places)}"
                header = file.read(_HEADER.size)
                if len(header) < _HEADER.size:
                    raise ValueError(f"{record} is cut short within its header: copy the file again")
                length, crc = _HEADER.unpack(header)
                if crc != _masked_crc(header[:8]):
                    raise ValueError(
                        f"{record}: the length has another CRC32C than the file says: "
                        "this is no TFRecord file (a compressed one must be unpacked first), or it is damaged"
                    )
                end = start + _HEADER.size + length + _FOOTER.size
                if end > size_bytes:
                    raise ValueError(
                        f"{record} is cut short: it ends at byte {end}, but the file at {size_bytes}: copy it again"
                    )
                places.append((start + _HEADER.size, length))
                file.seek(end)
        self._places = np.array(places, np.int64).reshape(len(places), 2)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> bytes:
        """Reads the data of one record; opens the file each time, so threads do not meet.

        Raises:
            ValueError: the data are damaged.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"{self._where}: record {index} of {len(self)}")
        start, length = self._places[index].tolist()
        with self.path.open("rb") as file:
            file.seek(start)
            content = file.read(length + _FOOTER.size)
        data = content[:length]
        if len(content) != length + _FOOTER.size or _FOOTER.unpack(content[length:])[0] != _masked_crc(data):
            raise ValueError(
                f"{self._where}: record {index}: the data have another CRC32C than the file says: "
                "they are damaged, copy the file again"
            )
        return data


def parse_example(record: bytes, names: set[str] | None = None) -> dict[str, Values]:
    """Parses a serialized `tf.train.Example`.

    Args:
        names: the features wanted; the others are skipped unread. None = all.

    Returns:
        Features by name, as far as the record holds them; one without values is an empty list.

    Raises:
        ValueError: the record is no such message.
    """
    example = _parse("Example", record, "the record")
    if record and not example.HasField("features"):
        raise ValueError("the record has no features: this is no tf.train.Example")
    found: dict[str, Values] = {}
    for entry in example.features.entries:
        try:
            name = entry.name.decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"the name of a feature is {entry.name!r}, expected UTF-8") from error
        if names is None or name in names:
            found[name] = _values(_parse("Feature", entry.feature, f"feature {name!r}"), f"feature {name!r}")
    return found


def _values(feature: Any, where: str) -> Values:
    lists = [name for name in _LISTS if feature.HasField(name)]
    if not lists:
        return []
    if len(lists) > 1:
        raise ValueError(f"{where} holds {' and '.join(lists)}, expected one list")
    values, dtype = getattr(feature, lists[0]).value, _LISTS[lists[0]]
    return list(values) if dtype is None else np.fromiter(values, dtype, len(values))


def _parse(kind: str, content: bytes, where: str) -> Any:  # messages have no type before they are made
    try:
        return _message_class(kind).FromString(content)
    except message.DecodeError as error:
        raise ValueError(f"{where} cannot be parsed ({error}): this is no tf.train.Example") from error


@cache
def _message_class(kind: str) -> Any:
    file = text_format.Parse(_SCHEMA, descriptor_pb2.FileDescriptorProto())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"gato.{kind}"))


def _masked_crc(data: bytes) -> int:
    """Computes a checksum as TFRecord stores it, masked so that one over data that hold checksums stays good."""
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
