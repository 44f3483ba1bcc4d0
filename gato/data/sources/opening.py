"""Opens the dataset that a source config names."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

from gato.config import SourceConfig
from gato.data.episode import ControlSource, Source
from gato.data.reading import located
from gato.data.sources.advised import AdvisedEpisodes
from gato.data.sources.formats import find_format

AnySource: TypeAlias = ControlSource | Source


def open_source(source: SourceConfig) -> AnySource:
    """Opens one source, to read its records by index.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: no such kind, something else at the path than the kind says, the kind has no such options, or no
            episodes whose actions could be learned.
        ImportError: a library of the format is missing; names the extra that brings it.
    """
    if source.kind == "prepared":
        raise ValueError(f"source {source.name!r} is prepared and holds no records any more: open the one it came from")
    with located(f"source {source.name!r}"):
        chosen = find_format(source.kind)
    try:
        opener = chosen.load()
        opened = opener(source.path, source.name, **_arguments(opener, source))
    except ImportError as error:
        if chosen.extra is None:
            raise
        raise ImportError(
            f"source {source.name!r}: a library of kind {source.kind!r} could not be imported ({error}): "
            f"pip install 'gato-jax[{chosen.extra}]'"
        ) from error
    if source.learned_actions == "executed":
        return opened
    if not isinstance(opened, ControlSource):
        raise ValueError(f"source {source.name!r} holds no episodes: leave learned_actions out")
    return AdvisedEpisodes(opened)


def _arguments(opener: Callable[..., AnySource], source: SourceConfig) -> dict[str, Any]:
    """Sorts the options of a source into the keyword-only parameters of its opener.

    A parameter that is annotated with a dataclass stands for one option per field.
    """
    bound = opener.keywords if isinstance(opener, functools.partial) else {}
    parameters = inspect.signature(opener).parameters.values()
    keywords = {each.name: each for each in parameters if each.kind is each.KEYWORD_ONLY and each.name not in bound}
    groups: dict[str, Any] = {
        name: each.annotation for name, each in keywords.items() if dataclasses.is_dataclass(each.annotation)
    }
    known: dict[str, inspect.Parameter] = {}  # by option
    for name, each in keywords.items():
        known |= inspect.signature(groups[name]).parameters if name in groups else {name: each}
    known.pop("skip_bad", None)
    where = f"source {source.name!r}: kind {source.kind!r}"
    if unknown := sorted(set(source.options) - set(known)):
        raise ValueError(f"{where} has no options {unknown}, it has {list(known) or 'none'}")
    if missing := [name for name, each in known.items() if each.default is each.empty and name not in source.options]:
        raise ValueError(f"{where} needs the options {missing}: add them to its options")
    arguments = {name: value for name, value in source.options.items() if name in keywords}
    for name, kind in groups.items():
        names = inspect.signature(kind).parameters
        arguments[name] = kind(**{option: value for option, value in source.options.items() if option in names})
    if "skip_bad" in keywords and source.bad_records == "skip":
        arguments["skip_bad"] = True
    return arguments
