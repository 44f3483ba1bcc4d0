"""The list of dataset formats: the kinds that a source config may name, and what opens each.

Other packages add formats of their own: see docs/adding_a_format.md.
"""

import difflib
import functools
import importlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Content: TypeAlias = Literal["episodes", "text", "images"]


@dataclass(frozen=True, kw_only=True)
class Format:
    """One kind of source."""

    kind: str  # as `SourceConfig.kind` names it; unique
    opener: str  # "module:name" of a class or function, imported when a source is opened; see docs/adding_a_format.md
    yields: frozenset[Content]  # what its records can be
    extra: str | None = None  # of this package, which brings the libraries that the module needs; None = needs none

    def load(self) -> Callable[..., Any]:  # returns a source, whose type depends on the kind
        """Imports the opener."""
        module, _, name = self.opener.partition(":")
        return getattr(importlib.import_module(module), name)


_EPISODES: frozenset[Content] = frozenset({"episodes"})
_TEXT: frozenset[Content] = frozenset({"text"})
_IMAGES: frozenset[Content] = frozenset({"images"})
_HERE = "gato.data.sources"

FORMATS = (
    Format(kind="minari", opener=f"{_HERE}.minari:MinariSource", yields=_EPISODES),
    Format(kind="text", opener=f"{_HERE}.text:TextSource", yields=_TEXT),
    Format(kind="dialogue", opener=f"{_HERE}.dialogue:DialogueSource", yields=_TEXT),
    Format(kind="captions", opener=f"{_HERE}.images:open_captions", yields=_IMAGES),
    Format(kind="questions", opener=f"{_HERE}.images:open_questions", yields=_IMAGES),
    Format(kind="parquet", opener=f"{_HERE}.parquet:open_language", yields=_TEXT | _IMAGES, extra="parquet"),
    Format(kind="huggingface", opener=f"{_HERE}.huggingface:open_episodes", yields=_EPISODES, extra="huggingface"),
    Format(
        kind="huggingface_text",
        opener=f"{_HERE}.huggingface:open_language",
        yields=_TEXT | _IMAGES,
        extra="huggingface",
    ),
    Format(kind="lerobot", opener=f"{_HERE}.lerobot:LeRobotSource", yields=_EPISODES, extra="lerobot"),
    Format(kind="rlds", opener=f"{_HERE}.rlds:RldsSource", yields=_EPISODES, extra="rlds"),
    Format(kind="webdataset", opener=f"{_HERE}.webdataset:WebdatasetSource", yields=_IMAGES),
    # Holds what a source of any other kind was encoded to; `gato.data.opened` reads it, as it has no records any more.
    Format(kind="prepared", opener="gato.data.prepared:PreparedSource", yields=_EPISODES | _TEXT | _IMAGES),
)
PLUGINS = "gato_formats"  # entry points of other packages: each names a module with FORMATS


@functools.cache
def all_formats() -> dict[str, Format]:
    """Collects all formats by kind; those of other packages follow ours.

    Raises:
        ValueError: two formats have the same kind.
    """
    modules = [entry.load() for entry in importlib.metadata.entry_points(group=PLUGINS)]
    formats: dict[str, Format] = {}
    for each in [*FORMATS, *(each for module in modules for each in module.FORMATS)]:
        if each.kind in formats:
            raise ValueError(f"several formats are of the kind {each.kind!r}: kinds are unique across packages")
        formats[each.kind] = each
    return formats


def find_format(kind: str) -> Format:
    """Looks up the format of a kind.

    Raises:
        ValueError: there is none; names the nearest one.
    """
    formats = all_formats()
    if kind not in formats:
        near = difflib.get_close_matches(kind, formats, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of {list(formats)}"
        raise ValueError(f"kind is {kind!r}, {hint} (a kind of another package is known once that is installed)")
    return formats[kind]
