"""One source of a config, opened: its records as tokens, and what rows need to know beside them."""

import math
from functools import partial

from gato.config import DataConfig, SourceConfig, TokenizerConfig
from gato.data.encoded import (
    EncodedRecords,
    EncodedSource,
    RowFacts,
    SequenceCache,
    encode_episode,
    encode_language,
    encoding_of,
    timestep_tokenizer,
)
from gato.data.episode import ControlSource, Dialogue, ImageText
from gato.data.prepared import PreparedSource
from gato.data.reading import readable
from gato.data.returns import episode_returns
from gato.data.sources.opening import open_source
from gato.tokenizer.text import TextTokenizer


def open_encoded(
    source: SourceConfig,
    data: DataConfig,
    tokenizer: TokenizerConfig,
    text: TextTokenizer | None,
    cache: SequenceCache,
    *,
    with_returns: bool,
) -> tuple[EncodedRecords, RowFacts]:
    """Opens a source, prepared or not.

    Args:
        text: needed where the source holds text.
        with_returns: whether the returns of episodes are wanted, which may take a while.

    Raises:
        FileNotFoundError, ValueError: it is not there, not what its kind says, not measured for the scaling that it
            asks for, or cannot be encoded.
    """
    if source.scaling != "mu-law" and not source.fields:
        raise ValueError(
            f"{source.name}: scaling is {source.scaling!r}, but its fields were not measured: see "
            "gato.data.scaling.with_scales"
        )
    terminal = source.prompt.terminal_observation
    if source.kind == "prepared":
        prepared = PreparedSource(source.path, source.name)
        expected = encoding_of(
            data,
            tokenizer,
            text,
            terminal_observation=terminal,
            fields=source.fields,
            learned_actions=source.learned_actions,
        )
        prepared.check_encoding(expected)
        return EncodedSource(prepared, lambda sequence: sequence, cache), prepared.facts
    opened = open_source(source)
    if isinstance(opened, ControlSource):
        timesteps = timestep_tokenizer(
            opened, tokenizer, text, fields=source.fields, text_loss=data.text_observation_loss
        )
        encode = partial(encode_episode, timesteps=timesteps, terminal_observation=terminal)
        returns: list[float | None] | None = None
        if with_returns:
            found = episode_returns(opened, skip_bad=source.bad_records == "skip").tolist()
            returns = [None if math.isnan(value) else value for value in found]  # JSON has no NaN
        facts = RowFacts(kind="control", groups=opened.groups.tolist(), returns=returns)
        return EncodedSource(opened, encode, cache), facts
    if source.fields:
        raise ValueError(f"{opened.name} holds no episodes: leave scaling and fields out")
    if text is None:
        raise ValueError(f"{opened.name} holds text, but no text tokenizer was given: train or load one")
    encoded = EncodedSource(opened, partial(encode_language, data=data, tokenizer=tokenizer, text=text), cache)
    _, first = next(readable(opened, skip_bad=source.bad_records == "skip"), (0, None))
    if first is None:
        raise ValueError(f"{opened.name}: none of {len(opened)} records can be read")
    pictured = isinstance(first, ImageText) or (isinstance(first, Dialogue) and first.image is not None)
    return encoded, RowFacts(kind="pairs" if pictured else "text", twins=getattr(opened, "twins", None))
