"""Sources encoded beforehand: for training where the format's library is missing, or faster than encoding allows.

<folder>/records.array_record   the tokens of every record, in order
<folder>/manifest.json          how they were encoded, what rows need to know beside them, and the file's SHA-256

What is kept are encoded records and not rows, so windows and prompts are drawn anew in every epoch, and rows cut from
a prepared source equal those cut from the source itself.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from array_record.python import array_record_module

from gato.data.encoded import PAPER_LAYOUT, BadRecordError, EncodedRecords, RowFacts
from gato.files import new_folder
from gato.tokenizer.sequence import GroupedNumbers, TokenSequence

_RECORDS, _MANIFEST = "records.array_record", "manifest.json"
_VERSION = 2
_VERSION_OF_GROUPS = 3  # where tokens hold several numbers: their fields follow those of the others
_FIELDS: dict[str, tuple[type, int]] = {  # of a TokenSequence: type, and number of axes
    "tokens": (np.int32, 1),
    "local_positions": (np.int32, 1),
    "loss_mask": (np.bool_, 1),
    "changed_mask": (np.bool_, 1),
    "patches": (np.uint8, 4),
    "patch_indices": (np.int32, 1),
    "patch_intervals": (np.int32, 2),
    "starts": (np.int64, 1),
}
_NUMBER_FIELDS: dict[str, tuple[type, int]] = {  # of its GroupedNumbers, if it has them
    "values": (np.int32, 2),
    "action_values": (np.int32, 2),
    "action_mask": (np.bool_, 1),
    "action_ranges": (np.int32, 2),
}
_WIDE = 1 << 16  # numbers below take two bytes, others four: a record is read in half the time


def pack(sequence: TokenSequence) -> bytes:
    """Packs tokens as bytes; those that hold several numbers, with these behind the rest.

    Each part begins with the shapes of its fields and whether their numbers are wide, as uint32. Masks take a bit per
    entry, pixels a byte, other numbers two bytes, or four where one of the field is wide.
    """
    packed = _pack(sequence, _FIELDS)
    return packed if sequence.numbers is None else packed + _pack(sequence.numbers, _NUMBER_FIELDS)


def unpack(content: bytes) -> TokenSequence:
    """Reads what `pack` packed; pixels are a read-only view of `content`.

    Raises:
        ValueError: these bytes are no packed tokens.
    """
    fields, stop = _unpack(content, 0, _FIELDS)
    numbers = None
    if stop != len(content):
        number_fields, stop = _unpack(content, stop, _NUMBER_FIELDS)
        numbers = GroupedNumbers(**number_fields)
    if stop != len(content):
        raise ValueError(f"a record has {len(content)} bytes, its fields take {stop}")
    return dataclasses.replace(TokenSequence(**fields), numbers=numbers)


def _pack(record: TokenSequence | GroupedNumbers, kinds: Mapping[str, tuple[type, int]]) -> bytes:
    header, body = [], []
    for field, (kind, _) in kinds.items():
        array: np.ndarray = np.asarray(getattr(record, field), kind)
        is_wide = kind in (np.int32, np.int64) and array.size > 0 and int(array.max()) >= _WIDE
        header += [*array.shape, is_wide]
        if kind is np.bool_:
            body.append(np.packbits(array).tobytes())
        elif kind is np.uint8:
            body.append(array.tobytes())
        else:
            body.append(array.astype("<u4" if is_wide else "<u2").tobytes())
    return b"".join([np.array(header, "<u4").tobytes(), *body])


def _unpack(content: bytes, offset: int, kinds: Mapping[str, tuple[type, int]]) -> tuple[dict[str, Any], int]:
    """Returns the fields that stand at an offset, and where they end."""
    num_sizes = sum(axes + 1 for _, axes in kinds.values())
    if len(content) < offset + 4 * num_sizes:
        raise ValueError(
            f"a record has {len(content)} bytes, the sizes of its fields alone end at {offset + 4 * num_sizes}"
        )
    sizes = iter(np.frombuffer(content, "<u4", num_sizes, offset).tolist())
    offset += 4 * num_sizes
    fields = {}
    for field, (kind, axes) in kinds.items():
        shape = tuple(next(sizes) for _ in range(axes))
        is_wide, count = next(sizes), math.prod(shape)
        stored_kind: Any = np.uint8 if kind in (np.bool_, np.uint8) else np.dtype("<u4" if is_wide else "<u2")
        num_stored = (count + 7) // 8 if kind is np.bool_ else count
        if offset + num_stored * np.dtype(stored_kind).itemsize > len(content):
            raise ValueError(f"a record has {len(content)} bytes, too few for {field} of shape {shape}")
        stored = np.frombuffer(content, stored_kind, num_stored, offset)
        if kind is np.bool_:
            fields[field] = np.unpackbits(stored, count=count).view(np.bool_)
        else:
            # Numbers that share tokens are most of a record and stay as narrow as they are.
            narrow = field in ("values", "action_values") and not is_wide
            fields[field] = stored.astype(np.uint16 if narrow else kind, copy=False).reshape(shape)
        offset += stored.nbytes
    return fields, offset


class PreparedSource:
    """A prepared source; read where it lies, record by record."""

    def __init__(self, folder: str | Path, name: str) -> None:
        """Opens the folder and checks its file against the digest in the manifest.

        Raises:
            FileNotFoundError: there is no prepared source.
            ValueError: it is damaged, or of a later version.
        """
        folder = Path(folder)
        if not (folder / _MANIFEST).is_file():
            raise FileNotFoundError(f"{name}: {folder} holds no prepared source, expected {_MANIFEST} in it")
        manifest = json.loads((folder / _MANIFEST).read_text())
        if manifest.get("version") not in (_VERSION, _VERSION_OF_GROUPS):
            raise ValueError(
                f"{name}: {folder} has version {manifest.get('version')}, expected {_VERSION} or {_VERSION_OF_GROUPS}"
            )
        if _digest(folder / _RECORDS) != manifest["sha256"]:
            raise ValueError(
                f"{name}: {folder / _RECORDS} is damaged, its SHA-256 is not that of the manifest: copy it again"
            )
        self.name = name
        self.facts = RowFacts(**manifest["facts"])
        self.encoding: dict[str, Any] = manifest["encoding"]
        self._num_records: int = manifest["num_records"]
        self._bad: dict[str, str] = manifest["bad"]
        self._path = str(folder / _RECORDS)
        self._reader = array_record_module.ArrayRecordReader(self._path)

    def __len__(self) -> int:
        return self._num_records

    def __getitem__(self, index: int) -> TokenSequence:
        if not 0 <= index < len(self):
            raise IndexError(f"{self.name}: record {index} of {len(self)}")
        if str(index) in self._bad:
            raise ValueError(f"{self._bad[str(index)]} (when it was prepared)")
        (content,) = self._reader.read([index])
        return unpack(content)

    def check_encoding(self, expected: dict[str, Any]) -> None:
        """Refuses to mix tokens that were encoded in another way than the run's.

        Raises:
            ValueError: names what differs.
        """
        flat, wanted = _flat(self.encoding), _flat(expected)
        different = [key for key in {**wanted, **flat} if flat.get(key) != wanted.get(key)]
        if different:
            pairs = ", ".join(
                f"{key} {_shown(flat.get(key))} instead of {_shown(wanted.get(key))}" for key in different
            )
            raise ValueError(f"{self.name} was prepared with {pairs}: prepare it anew, or set the run accordingly")


def write_prepared(
    folder: str | Path,
    encoded: EncodedRecords,
    facts: RowFacts,
    encoding: dict[str, Any],
    *,
    skip_bad: bool = False,
    advance: Callable[[], None] = lambda: None,
) -> dict[int, str]:
    """Encodes every record into the folder, which appears when it is complete; returns the bad ones and why.

    Args:
        folder: must not exist.
        encoded: encodes a record when it is asked for.
        encoding: as `encoding_of` gives it.
        skip_bad: a record that cannot be used leaves a gap of its number, instead of ending the call.
        advance: called after every record.

    Raises:
        FileExistsError: the folder exists.
        BadRecordError: a record cannot be used, and none are skipped.
    """
    with new_folder(Path(folder)) as partial:
        writer = array_record_module.ArrayRecordWriter(str(partial / _RECORDS), "group_size:1")
        bad: dict[int, str] = {}
        for index in range(len(encoded)):
            try:
                writer.write(pack(encoded[index]))
            except BadRecordError as error:
                if not skip_bad:
                    raise
                bad[index] = str(error)
                writer.write(b"")
            advance()
        writer.close()
        manifest = {
            "version": _VERSION_OF_GROUPS if encoding["tokenizer"].get("values_per_token", 1) > 1 else _VERSION,
            "num_records": len(encoded),
            "bad": bad,
            "sha256": _digest(partial / _RECORDS),
            "facts": asdict(facts),
            "encoding": encoding,
        }
        (partial / _MANIFEST).write_text(json.dumps(manifest))
    return bad


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shown(value: Any) -> str:
    """Shows a value, but never longer than a line: fields may hold hundreds of numbers."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def _flat(encoding: dict[str, Any]) -> dict[str, Any]:
    tokenizer = {f"tokenizer.{key}": value for key, value in {**PAPER_LAYOUT, **encoding["tokenizer"]}.items()}
    return {**tokenizer, **{key: value for key, value in encoding.items() if key != "tokenizer"}}
