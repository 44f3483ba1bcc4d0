"""TFRecord files and the `tf.train.Example` messages in them, read without TensorFlow.

A TFRecord file is a run of records: uint64 length, uint32 masked CRC32C of the length, the data, uint32 masked CRC32C
of the data, all little-endian. An Example is a protocol buffer message that maps names to lists of bytes, float32 or
int64: Example{1: Features{1: map<string, Feature>}}, Feature{1: BytesList | 2: FloatList | 3: Int64List}, and each list
has its values in field 1.

Source: the TFRecord format of TensorFlow; the protocol buffer wire format; CRC32C, RFC 3720, appendix B.4.
"""

import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np

Values: TypeAlias = list[bytes] | np.ndarray  # of one feature; an array is (n,) float32 or int64

_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_ONES = 0xFFFFFFFF
_POLYNOMIAL = 0x82F63B78  # Castagnoli, bits reversed
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_LISTS = {1: "bytes", 2: "float", 3: "int64"}  # field numbers of Feature
_VARINT_BYTES = 10  # at most


class TfrecordFile:
    """The records of one file by index; where each begins is found by one scan that skips the data."""

    def __init__(self, path: Path, where: str) -> None:
        """Scans the file.

        Args:
            path: of the file.
            where: names it in errors.

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
                if crc != _mask(crc32c(header[:8])):
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
        """The data of one record; opens the file each time, so threads do not meet.

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
        if len(content) != length + _FOOTER.size or _FOOTER.unpack(content[length:])[0] != _mask(crc32c(data)):
            raise ValueError(
                f"{self._where}: record {index}: the data have another CRC32C than the file says: "
                "they are damaged, copy the file again"
            )
        return data


def crc32c(data: bytes) -> int:
    """The Castagnoli checksum, in [0, 2**32).

    The data are laid out in columns of equal length, whose checksums are computed side by side and joined in pairs: a
    checksum is linear in the bits, so what n more bytes make of it depends on n only. Zeros in front change nothing,
    once the ones that a checksum starts from have been put into the data's first bytes instead.
    """
    height = 1 << len(data).bit_length() // 2 + 1
    width = max(1, -(-len(data) // height))
    padded = np.zeros(width * height, np.uint8)
    plain = padded[len(padded) - len(data) :]
    plain[:] = np.frombuffer(data, np.uint8)
    plain[:4] ^= 0xFF
    pairs = np.ascontiguousarray(padded.view("<u2").reshape(width, height // 2).T)
    table = _pair_table()
    registers = np.zeros(width, np.uint32)
    for row in pairs:
        registers = table[registers.astype(np.uint16) ^ row] ^ (registers >> 16)
    while len(registers) > 1:
        if len(registers) % 2:
            registers = np.append(np.uint32(0), registers)
        registers = _advance(registers[0::2], height) ^ registers[1::2]
        height *= 2
    return int(registers[0]) ^ _ONES ^ _ONES >> 8 * len(data)  # the last: ones that shorter data leave over


def parse_example(record: bytes, names: set[str] | None = None) -> dict[str, Values]:
    """The features of a serialized `tf.train.Example`.

    Args:
        record: the message.
        names: those wanted; the others are skipped unread. None = all.

    Returns:
        Features by name, as far as the record holds them; one without values is an empty list.

    Raises:
        ValueError: the record is no such message.
    """
    view = memoryview(record)
    found: dict[str, Values] = {}
    for features in _submessages(view, "Example", 1):
        for entry in _submessages(features, "Features", 1):
            parts = {1: memoryview(b""), 2: memoryview(b"")}
            for number, _, value in _fields(entry, "feature"):
                if not isinstance(value, memoryview):
                    raise ValueError(f"field {number} of a feature is a number: this is no tf.train.Example")
                parts[number] = value
            try:
                name = bytes(parts[1]).decode()
            except UnicodeDecodeError as error:
                raise ValueError(f"the name of a feature is {bytes(parts[1])!r}, expected UTF-8") from error
            if names is None or name in names:
                found[name] = _values(parts[2], f"feature {name!r}")
    return found


def _values(message: memoryview, where: str) -> Values:
    kinds = {number for number, _, _ in _fields(message, where)} & set(_LISTS)
    if not kinds:
        return []
    if len(kinds) > 1:
        raise ValueError(f"{where} holds lists of {' and '.join(_LISTS[kind] for kind in sorted(kinds))}, expected one")
    kind = kinds.pop()
    texts: list[bytes] = []
    arrays: list[np.ndarray] = []
    for values in _submessages(message, where, kind):
        for number, wire, value in _fields(values, where):
            if number != 1:
                continue
            if isinstance(value, memoryview):  # of numbers, many in one field
                if kind == 1:
                    texts.append(bytes(value))
                else:
                    arrays.append(_floats(value, where) if kind == 2 else _integers(value, where))
            elif kind == 2 and wire == _FIXED32:  # one number a field, as readers must also accept
                arrays.append(np.array([value], np.uint32).view(np.float32))
            elif kind == 3 and wire == _VARINT:
                arrays.append(np.array([value], np.uint64).view(np.int64))
            else:
                raise ValueError(f"{where} holds a number of wire type {wire} in its list of {_LISTS[kind]}")
    return texts if kind == 1 else np.concatenate([np.zeros(0, np.float32 if kind == 2 else np.int64), *arrays])


def _floats(chunk: memoryview, where: str) -> np.ndarray:
    if len(chunk) % 4:
        raise ValueError(f"{where} holds {len(chunk)} bytes of float32, expected a multiple of 4")
    return np.frombuffer(chunk, "<f4")


def _integers(chunk: memoryview, where: str) -> np.ndarray:
    """Varints as int64, all at once."""
    data = np.frombuffer(chunk, np.uint8)
    ends = np.flatnonzero(data < 0x80)
    if len(data) and (not len(ends) or ends[-1] != len(data) - 1):
        raise ValueError(f"{where}: the last integer is cut short")
    starts = np.append(0, ends + 1)[: len(ends)]
    lengths = ends - starts + 1
    if lengths.max(initial=0) > _VARINT_BYTES:
        raise ValueError(f"{where}: an integer takes {lengths.max()} bytes, expected at most {_VARINT_BYTES}")
    values = np.zeros(len(ends), np.uint64)
    for place in range(lengths.max(initial=0)):
        longer = np.flatnonzero(lengths > place)
        values[longer] |= (data[starts[longer] + place] & 0x7F).astype(np.uint64) << np.uint64(7 * place)
    return values.view(np.int64)


def _submessages(message: memoryview, where: str, number: int) -> Iterator[memoryview]:
    """The fields of one number, each of which must be a message of its own."""
    for found, _, value in _fields(message, where):
        if found == number:
            if not isinstance(value, memoryview):
                raise ValueError(
                    f"{where}: field {number} is a number, expected a message: this is no tf.train.Example"
                )
            yield value


def _fields(message: memoryview, where: str) -> Iterator[tuple[int, int, memoryview | int]]:
    """(number, wire type, value) of the fields of a message, in their order; the value is bytes or else a number."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place, where)
        number, wire = key >> 3, key & 7
        if not number:
            raise ValueError(f"{where} holds field 0, which no message has: this is no tf.train.Example")
        if wire == _VARINT:
            value, place = _varint(message, place, where)
            yield number, wire, value
            continue
        if wire == _BYTES:
            size, place = _varint(message, place, where)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"{where} holds a field of wire type {wire}, expected 0, 1, 2 or 5")
        if place + size > len(message):
            raise ValueError(f"{where} holds a field of {size} bytes, but only {len(message) - place} are left")
        part = message[place : place + size]
        yield number, wire, part if wire == _BYTES else int.from_bytes(part, "little")
        place += size


def _varint(message: memoryview, place: int, where: str) -> tuple[int, int]:
    """The number at a place and the place after it."""
    value = 0
    for shift in range(0, 7 * _VARINT_BYTES, 7):
        if place >= len(message):
            raise ValueError(f"{where} is cut short within a number")
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, place
    raise ValueError(f"{where} holds a number of more than {_VARINT_BYTES} bytes")


def _mask(crc: int) -> int:
    """As TFRecord stores checksums, so that one over data that hold checksums stays good."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@cache
def _pair_table() -> np.ndarray:
    """(65536,) uint32: what a register with only its lowest two bytes set becomes past two zero bytes."""
    single = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        single = np.where(single & 1, single >> 1 ^ np.uint32(_POLYNOMIAL), single >> 1).astype(np.uint32)
    pairs = np.arange(1 << 16, dtype=np.uint32)
    for _ in range(2):
        pairs = single[pairs & 0xFF] ^ (pairs >> 8)
    return pairs


@cache
def _shift_tables(num_bytes: int) -> np.ndarray:
    """(4, 256) uint32: what each byte of a register, lowest first, becomes past 2, 4, 8, ... zero bytes."""
    lanes = np.arange(256, dtype=np.uint32) << np.array([[0], [8], [16], [24]], np.uint32)
    if num_bytes == 2:
        return _pair_table()[lanes & 0xFFFF] ^ (lanes >> 16)
    return _advance(_advance(lanes, num_bytes // 2), num_bytes // 2)


def _advance(registers: np.ndarray, num_bytes: int) -> np.ndarray:
    first, second, third, fourth = _shift_tables(num_bytes)
    return (
        first[registers & 0xFF]
        ^ second[registers >> 8 & 0xFF]
        ^ third[registers >> 16 & 0xFF]
        ^ fourth[registers >> 24]
    )
