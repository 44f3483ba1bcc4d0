"""What an encoded source is: records as tokens, kept in memory, since encoding costs far more than cutting a row."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from gato.config import DataConfig, FieldScale, TokenizerConfig
from gato.data.episode import ControlSource, Dialogue, Document, Episode, ImageText, Records
from gato.data.reading import located
from gato.tokenizer.language import encode_caption, encode_dialogue, encode_document
from gato.tokenizer.sequence import TokenSequence
from gato.tokenizer.spaces import TimestepTokenizer
from gato.tokenizer.text import TextTokenizer

EncodedRecords: TypeAlias = Records[TokenSequence]  # of one source
PAPER_LAYOUT = {  # settings of a tokenizer
    "values_per_token": 1,
    "pieces_per_token": 1,
    "separator": "token",
    "action_tokens": "sequential",
}
RowKind: TypeAlias = Literal["control", "text", "pairs"]


class SequenceCache:
    """The most recently used tokens, as many as fit into a number of bytes. Safe to share between threads."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size_bytes = 0
        self._kept: OrderedDict[Hashable, TokenSequence] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], TokenSequence]) -> TokenSequence:
        """Returns what is kept under the key, or else what `make` returns, kept from now on."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._size_bytes += _size_bytes(made)
            while self._size_bytes > self._max_bytes:
                self._size_bytes -= _size_bytes(self._kept.popitem(last=False)[1])
        return made


@dataclass(frozen=True, kw_only=True)
class RowFacts:
    """What rows need to know of a source beside its tokens; lists have one entry per record."""

    kind: RowKind
    groups: list[int] | None = None  # episodes that may prompt one another
    returns: list[float | None] | None = None  # of episodes; None where one cannot be read
    twins: list[str] | None = None  # one name per record: `split_records` calls them split groups; as `twins` in files


class BadRecordError(ValueError):
    """One record of a source cannot be read or encoded; others can."""

    def __init__(self, source: str, index: int, reason: str) -> None:
        super().__init__(reason)
        self.source, self.index = source, index


class EncodedSource:
    """The records of one source as tokens, by index; a bad one is a `BadRecordError`."""

    def __init__(self, source: Records[Any], encode: Callable[[Any], TokenSequence], cache: SequenceCache) -> None:
        """Joins a source and its encoding.

        Args:
            encode: turns a record of this source's kind into tokens, hence `Any`.
            cache: may be shared with other sources of other names.
        """
        self.name = source.name
        self._source, self._encode, self._cache = source, encode, cache
        self._bad: dict[int, str] = {}  # what is known not to work is not tried again

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> TokenSequence:
        return self._cache.get((self.name, index), lambda: self._make(index))

    def _make(self, index: int) -> TokenSequence:
        if index in self._bad:
            raise BadRecordError(self.name, index, self._bad[index])
        try:
            record = self._source[index]
        except (ValueError, OSError) as error:
            self._bad[index] = str(error)
            raise BadRecordError(self.name, index, str(error)) from error
        try:
            return self._encode(record)
        except ValueError as error:
            self._bad[index] = f"{self.name}: {type(record).__name__.lower()} {index}: {error}"
            raise BadRecordError(self.name, index, self._bad[index]) from error


def timestep_tokenizer(
    source: ControlSource,
    tokenizer: TokenizerConfig,
    text: TextTokenizer | None,
    *,
    fields: Sequence[FieldScale] = (),
    text_loss: bool = True,
) -> TimestepTokenizer:
    """Makes the tokenizer of one source's episodes.

    Raises:
        ValueError: the spaces of the source cannot be represented, or the fields are not of them.
    """
    spaces = source.observation_space, source.action_space
    with located(source.name):
        return TimestepTokenizer(*spaces, tokenizer, text, fields=fields, text_loss=text_loss)


def encode_episode(episode: Episode, timesteps: TimestepTokenizer, *, terminal_observation: bool) -> TokenSequence:
    """Encodes an episode, with or without the observation after the last action."""
    return timesteps.encode_episode(
        episode.observations,
        episode.actions,
        action_mask=episode.action_mask,
        terminal_observation=terminal_observation,
    )


def encode_language(
    record: Document | Dialogue | ImageText, data: DataConfig, tokenizer: TokenizerConfig, text: TextTokenizer
) -> TokenSequence:
    """Encodes text, an image with its caption, or a dialogue, perhaps about an image, as one timestep."""
    match record:
        case Document():
            return encode_document(record.text, text, tokenizer)
        case Dialogue():
            return encode_dialogue(record.turns, text, tokenizer, image=record.image, question_loss=data.question_loss)
        case ImageText():
            return encode_caption(record.image, record.text, text, tokenizer)


def _size_bytes(sequence: TokenSequence) -> int:
    return sum(array.nbytes for array in sequence.arrays().values())


def encoding_of(
    data: DataConfig,
    tokenizer: TokenizerConfig,
    text: TextTokenizer | None,
    *,
    terminal_observation: bool,
    fields: Sequence[FieldScale] = (),
    learned_actions: str = "executed",
) -> dict[str, Any]:
    """Returns everything that decides how a record becomes tokens, as JSON values."""
    return {
        "tokenizer": _settings(tokenizer),
        "text_model": None if text is None else hashlib.sha256(text.to_bytes()).hexdigest(),
        "text_observation_loss": data.text_observation_loss,
        "question_loss": data.question_loss,
        "terminal_observation": terminal_observation,
        "fields": [{"path": scale.path, "low": list(scale.low), "high": list(scale.high)} for scale in fields],
        **({} if learned_actions == "executed" else {"learned_actions": learned_actions}),
    }


def _settings(tokenizer: TokenizerConfig) -> dict[str, Any]:
    """Returns the settings that decide what is stored of a record; those of shorter timesteps only where they are used.

    So what was prepared before there were any can still be read.
    """
    settings = asdict(tokenizer)
    del settings["own_actions"], settings["own_action_dropout"]  # decided anew for every row
    settings["action_tokens"] = "grouped" if tokenizer.has_action_groups else "sequential"
    return {name: value for name, value in settings.items() if PAPER_LAYOUT.get(name) != value}
