"""Where the continuous numbers of a source lie: measured once, kept in the config, applied by the source's name.

The paper compands all observations by one mu-law, and so spends few bins on numbers that hardly vary. A source may ask
for a linear map of each element's own span instead, which is a departure: `SourceConfig.scaling`.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import numpy as np

from gato.config import DataConfig, FieldScale, SourceConfig, TokenizerConfig
from gato.data.encoded import timestep_tokenizer
from gato.data.episode import ControlSource
from gato.data.reading import readable
from gato.data.sources.opening import open_source
from gato.data.split import spread, training_records
from gato.data.timestep_sample import TimestepSample
from gato.tokenizer.leaves import ContinuousLeaf
from gato.tokenizer.text import TextTokenizer
from gato.tokenizer.tree import flatten, leaf_spaces

Span: TypeAlias = Literal["range", "quantiles"]

MAX_EPISODES = 1_000  # evenly spread ones that a source is measured on
QUANTILES = 0.01, 0.99
_MAX_TIMESTEPS = 100_000  # of them, that quantiles are taken from


def span(values: np.ndarray, rule: Span, extremes: np.ndarray | None = None) -> np.ndarray:
    """Computes low and high of each element, (2, elements) float64.

    Where the quantiles of values that differ are equal, as of a contact that is rare, the range stands in for them:
    otherwise what is rare would all fall into one bin.

    Args:
        values: (n, elements), finite, n of 1 or more.
        rule: "range", or "quantiles" for `QUANTILES`.
        extremes: (2, elements), least and largest, where `values` are only a sample; None takes those of `values`.
    """
    if extremes is None:
        extremes = np.stack([values.min(axis=0), values.max(axis=0)])
    extremes = extremes.astype(np.float64)
    if rule == "range":
        return extremes
    inner = np.quantile(values.astype(np.float64), QUANTILES, axis=0)
    return np.where(inner[0] < inner[1], inner, extremes)


def measure(
    opened: ControlSource,
    source: SourceConfig,
    tokenizer: TokenizerConfig,
    text: TextTokenizer | None,
    *,
    max_episodes: int = MAX_EPISODES,
) -> SourceConfig:
    """Returns the source with its fields, as its `scaling` asks; unchanged if it asks for none or has them.

    What is held out, or left out by `min_return`, is never looked at. The same episodes give the same fields.

    Args:
        tokenizer: decides which numbers are continuous.
        text: needed where the source holds text.
        max_episodes: most that are read, evenly spread.

    Raises:
        ValueError: it holds no continuous numbers; an episode cannot be read or holds a number that is not finite, and
            bad records are not skipped.
    """
    rule = source.scaling
    if rule == "mu-law" or source.fields:
        return source
    timesteps = timestep_tokenizer(opened, tokenizer, text)
    codecs = [*timesteps.observation_codecs, *timesteps.action_codecs]
    paths = [codec.path for codec in codecs if isinstance(codec, ContinuousLeaf) and codec.width]
    if not paths:
        raise ValueError(
            f"{source.name}: scaling is {rule!r}, but its spaces hold no continuous numbers: leave scaling out"
        )
    sample = TimestepSample(_MAX_TIMESTEPS, np.random.default_rng(0))
    extremes: dict[str, np.ndarray] = {}
    episodes = spread(training_records(opened, source), max_episodes)
    for _, columns in readable(_Columns(opened, paths), episodes, skip_bad=source.bad_records == "skip"):
        sample.add(columns)
        for path, values in columns.items():
            seen = span(values, "range")
            before = extremes.setdefault(path, seen)
            extremes[path] = np.stack([np.minimum(before[0], seen[0]), np.maximum(before[1], seen[1])])
    if not extremes:
        raise ValueError(f"{source.name}: scaling is {rule!r}, but none of its episodes can be used")
    spans = {path: span(values, rule, extremes[path]) for path, values in sample.columns().items()}
    fields = tuple(
        FieldScale(path=path, low=tuple(low.tolist()), high=tuple(high.tolist())) for path, (low, high) in spans.items()
    )
    return dataclasses.replace(source, fields=fields)


def with_scales(
    data: DataConfig,
    tokenizer: TokenizerConfig,
    text: TextTokenizer | None,
    *,
    report: Callable[[str], None] = lambda line: None,
) -> DataConfig:
    """Returns the config with the fields of every source that asks for scaling and has none yet.

    Those that share a scale get the span of them all. Where some of them bring their fields, these are kept, and hold
    for the others.

    Args:
        tokenizer: decides which numbers are continuous.
        text: needed where a source holds text.
        report: gets a line about each source before it is measured.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: a source holds no episodes, or is prepared and came without its fields; sources that share a scale
            hold different numbers, or bring different fields; or as `measure`.
    """
    shared: dict[str, list[SourceConfig]] = {}
    for source in data.sources:
        shared.setdefault(source.scaled_with or source.name, []).append(source)
    scaled: dict[str, SourceConfig] = {}  # by name of the source
    for group, members in shared.items():
        known = {member.fields: member.name for member in members if member.fields}
        if len(known) > 1:
            raise ValueError(
                f"sources {' and '.join(known.values())} share the scale {group!r}, but bring different fields: leave "
                "the fields of those out that are to be encoded anew"
            )
        if known:
            (common,) = known
        else:
            common = _joined(group, [_measured(member, tokenizer, text, report) for member in members])
        scaled |= {member.name: dataclasses.replace(member, fields=common) for member in members}
    return dataclasses.replace(data, sources=tuple(scaled[source.name] for source in data.sources))


def _measured(
    source: SourceConfig, tokenizer: TokenizerConfig, text: TextTokenizer | None, report: Callable[[str], None]
) -> SourceConfig:
    if source.scaling == "mu-law":
        return source
    where = f"{source.name}: scaling is {source.scaling!r}, but"
    if source.kind == "prepared":
        raise ValueError(
            f"{where} a prepared source has no numbers left to measure: use the sources.json beside it, which "
            "holds its fields"
        )
    report(f"measuring the fields of {source.name}")
    opened = open_source(source)
    if not isinstance(opened, ControlSource):
        raise ValueError(f"{where} it holds no episodes: leave scaling out")
    return measure(opened, source, tokenizer, text)


def _joined(group: str, sources: Sequence[SourceConfig]) -> tuple[FieldScale, ...]:
    """Returns the span of all fields of sources that share a scale."""
    first, *others = sources
    fields = {scale.path: scale for scale in first.fields}
    for other in others:
        sizes = [{scale.path: len(scale.low) for scale in one.fields} for one in (first, other)]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"sources {first.name!r} and {other.name!r} share the scale {group!r}, but hold different "
                f"numbers, {sizes[0]} and {sizes[1]}: only sources of equal spaces can share a scale"
            )
        for scale in other.fields:
            before = fields[scale.path]
            fields[scale.path] = FieldScale(
                path=scale.path,
                low=tuple(map(min, before.low, scale.low)),
                high=tuple(map(max, before.high, scale.high)),
            )
    return tuple(fields.values())


class _Columns:
    """The numbers of a source's episodes by path; the observation after the last action does not count."""

    def __init__(self, opened: ControlSource, paths: Sequence[str]) -> None:
        self.name = opened.name
        self._opened, self._paths = opened, paths

    def __len__(self) -> int:
        return len(self._opened)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """Reads the leaves of one episode, (timesteps, elements) each.

        Raises:
            ValueError, OSError: the episode cannot be read, or a number is not finite.
        """
        opened, episode = self._opened, self._opened[index]
        columns: dict[str, np.ndarray] = {}
        for root, space, tree in (
            ("observation", opened.observation_space, episode.observations),
            ("action", opened.action_space, episode.actions),
        ):
            for (path, _), part in zip(leaf_spaces(space, root), flatten(space, tree, root), strict=True):
                if path in self._paths:
                    columns[path] = np.asarray(part[: len(episode)]).reshape(len(episode), -1)
                    if not np.isfinite(columns[path]).all():
                        raise ValueError(
                            f"{self.name}: episode {index}: {path} holds numbers that are not finite: correct the "
                            "data, or leave such records out with bad_records 'skip'"
                        )
        return columns
