"""Opens the dataset that a source config names."""

import functools
import inspect
from collections.abc import Callable
from typing import TypeAlias

from gato.config import SourceConfig
from gato.data.episode import ControlSource, Source
from gato.data.sources.dialogue import DialogueSource
from gato.data.sources.huggingface import HuggingFaceEpisodes, HuggingFaceLanguage
from gato.data.sources.lerobot import LeRobotSource
from gato.data.sources.minari import MinariSource
from gato.data.sources.parquet import ParquetSource
from gato.data.sources.pictures import PictureSource
from gato.data.sources.rlds import RldsSource
from gato.data.sources.text import TextSource
from gato.data.sources.webdataset import WebdatasetSource

AnySource: TypeAlias = ControlSource | Source

_KINDS: dict[str, Callable[..., AnySource]] = {
    "minari": MinariSource,
    "text": TextSource,
    "dialogue": DialogueSource,
    "captions": functools.partial(PictureSource, kind="captions"),
    "questions": functools.partial(PictureSource, kind="questions"),
    "parquet": ParquetSource,
    "huggingface": HuggingFaceEpisodes,
    "huggingface_text": HuggingFaceLanguage,
    "lerobot": LeRobotSource,
    "rlds": RldsSource,
    "webdataset": WebdatasetSource,
}


def open_source(source: SourceConfig) -> AnySource:
    """The records of one source.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: there is something else than the kind says, or the kind has no such options.
    """
    if source.kind == "prepared":
        raise ValueError(f"source {source.name!r} is prepared and holds no records any more: open the one it came from")
    opener = _KINDS[source.kind]
    parameters = inspect.signature(opener).parameters.values()
    taken = [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]
    known = [name for name in taken if name not in ("kind", "skip_bad")]
    if unknown := sorted(set(source.options) - set(known)):
        raise ValueError(
            f"source {source.name!r}: kind {source.kind!r} has no options {unknown}, it has {known or 'none'}"
        )
    skips = {"skip_bad": True} if "skip_bad" in taken and source.bad_records == "skip" else {}
    return opener(source.path, source.name, **source.options, **skips)
