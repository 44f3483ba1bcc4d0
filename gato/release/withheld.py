"""Withholds from a release the paths on its author's machine.

A release keeps all that acting needs and all that says how the network was made: sizes, the names, kinds, weights,
filters, budgets and measured scales of the sources, the optimizer, the seeds. Of a source that is a dataset of a hub
(`hub: true`), its public name, subset and split are kept as well.
"""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError
from sentencepiece.sentencepiece_model_pb2 import ModelProto

from gato.config import RunConfig, SourceConfig

_PUBLIC_OPTIONS = ("hub", "subset", "split")  # of a dataset of a hub
_TRAINER_PLACES = ("input", "model_prefix", "seed_sentencepieces_file")  # of a SentencePiece model's TrainerSpec


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
    """
    try:
        proto = ModelProto.FromString(model)
    except DecodeError as error:
        raise ValueError(f"the SentencePiece model is damaged ({error}): take that of another checkpoint") from error
    if proto.HasField("trainer_spec"):
        for place in _TRAINER_PLACES:
            proto.trainer_spec.ClearField(place)
    return proto.SerializeToString()


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
