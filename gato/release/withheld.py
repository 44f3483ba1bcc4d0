"""Withholds from a release the paths on its author's machine.

A release keeps all that acting needs and all that says how the network was made: sizes, the names, kinds, weights,
filters, budgets and measured scales of the sources, the optimizer, the seeds. Of a source that is a dataset of a hub
(`hub: true`), its public name, subset and split are kept as well.
"""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from gato.config import RunConfig, SourceConfig

_PUBLIC_OPTIONS = ("hub", "subset", "split")  # of a dataset of a hub
_TRAINER_SPEC = 2  # number of a field of SentencePiece's ModelProto
_TRAINER_PLACES = frozenset({1, 2, 54})  # of its TrainerSpec: input, model_prefix, seed_sentencepieces_file


def public_config(config: RunConfig) -> RunConfig:
    """Returns a copy without paths and options of the sources.

    Raises:
        ValueError: another setting holds an absolute path.
    """
    sources = tuple(map(_public_source, config.data.sources))
    public = dataclasses.replace(config, data=dataclasses.replace(config.data, sources=sources))
    for where, text in _strings(json.loads(public.to_json()), "config"):
        if text.startswith(("/", "~", "\\\\")) or text[1:3] in (":\\", ":/"):
            raise ValueError(f"{where} is {text!r}, a place on this machine: give it another value before the export")
    return public


def public_tokenizer(model: bytes) -> bytes:
    """Returns a SentencePiece model without the names of its training files; all else is kept to the bit.

    Raises:
        ValueError: it is no serialized model.

    Source: sentencepiece_model.proto of the SentencePiece library; protocol buffers' wire format.
    """
    kept = []
    for number, start, content, stop in _fields(model):
        if number != _TRAINER_SPEC:
            kept.append(model[start:stop])
            continue
        spec = model[content:stop]
        spec = b"".join(spec[begin:end] for inner, begin, _, end in _fields(spec) if inner not in _TRAINER_PLACES)
        kept += [bytes([_TRAINER_SPEC << 3 | 2]), _varint(len(spec)), spec]
    return b"".join(kept)


def _public_source(source: SourceConfig) -> SourceConfig:
    if source.options.get("hub") is not True:
        return dataclasses.replace(source, path="", options={})
    options = {name: source.options[name] for name in _PUBLIC_OPTIONS if name in source.options}
    return dataclasses.replace(source, options=options)


def _strings(value: Any, where: str) -> Iterator[tuple[str, str]]:  # Any: JSON values
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _strings(item, f"{where}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _strings(item, f"{where}[{index}]")


def _fields(message: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yields (number, first byte, first byte of the content, end) of every field of a serialized message."""
    place = 0
    while place < len(message):
        start = place
        tag, place = _read_varint(message, place)
        kind = tag & 7
        if kind == 0:
            content = place
            _, place = _read_varint(message, place)
        elif kind == 2:
            size, content = _read_varint(message, place)
            place = content + size
        elif kind in (1, 5):
            content = place
            place += 8 if kind == 1 else 4
        else:
            raise ValueError(f"byte {start} of the SentencePiece model begins no field: it is damaged")
        if place > len(message):
            raise ValueError(f"the SentencePiece model ends within the field at byte {start}: it is damaged")
        yield tag >> 3, start, content, place


def _read_varint(message: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if place >= len(message):
            break
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("the SentencePiece model ends within a number: it is damaged")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
