"""Text to SentencePiece ids and back without loss.

Byte-pair encoding over the characters as they are: no normalisation, no added or removed spaces, and bytes for whatever
the learned pieces do not cover. SentencePiece writes a space as U+2581 inside its pieces, so a real U+2581 would come
back as a space; it is cut out of the text here and always spelled in its three bytes.

Source: Gato (Reed et al., 2022), section 2.1 (SentencePiece); byte fallback as in the SentencePiece library.
"""

import io
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import sentencepiece

_SPACE_MARK = "\u2581"  # how SentencePiece writes a space inside a piece
_NUM_FIXED = 256 + 3  # bytes, and the marks for unknown, start and end
_RESERVED = frozenset(_SPACE_MARK + "\t\u2585")  # characters that SentencePiece's trainer uses for itself
_COVERAGE = 0.9995  # share of characters that get pieces of their own; rarer ones are spelled in bytes
_PROBE = "  Two  spaces,\n\ttab\r\n\0 \u2581 \u2585 e\u0301 \ufb01 \u65e5\u672c \U0001f600 "  # altered by a lossy model


class TextTokenizer:
    """A trained SentencePiece model for which decode(encode(text)) == text holds for every text."""

    def __init__(self, model: bytes) -> None:
        """Reads a serialized SentencePiece model.

        Raises:
            ValueError: it is no SentencePiece model, or one that would alter texts.
        """
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(model)
        except RuntimeError as error:
            raise ValueError(
                f"these {len(model)} bytes are no SentencePiece model: give a file that TextTokenizer.save wrote"
            ) from error
        self._surfaces = [_surface(self._processor, i) for i in range(self._processor.get_piece_size())]
        self._space_mark_ids = [self._processor.piece_to_id(f"<0x{byte:02X}>") for byte in _SPACE_MARK.encode()]
        if self.start_id < 0 or self.end_id < 0:
            raise ValueError("the SentencePiece model has no start or end piece: train one with TextTokenizer.train")
        if self.decode(self.encode(_PROBE)) != _PROBE:
            raise ValueError(
                "the SentencePiece model alters texts (normalisation, added spaces or no byte fallback): "
                "train one with TextTokenizer.train"
            )

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int, *, whole: Sequence[str] = ()) -> Self:
        """Learns exactly `vocab_size` pieces from texts; the same texts in the same order give the same model.

        Args:
            texts: any number of texts of any length; held in memory.
            vocab_size: 256 bytes, 3 marks and `whole` included, so 260 or more.
            whole: strings that are one piece each wherever they stand.

        Raises:
            ValueError: `vocab_size` is too small, or larger than what the texts can fill.
        """
        num_fixed = _NUM_FIXED + len(whole)
        if vocab_size <= num_fixed:
            raise ValueError(
                f"vocab_size is {vocab_size}, needs {num_fixed + 1} or more: 256 bytes, 3 marks and the pieces"
            )
        texts = list(texts)
        for index, text in enumerate(texts):
            _check_encodable(text, f"text {index}")
        counts = Counter(itertools.chain.from_iterable(texts))
        if not counts:
            raise ValueError("there are no characters to learn pieces from: give texts that are not empty")
        num_free = vocab_size - num_fixed
        largest = 0
        # At most half of the free pieces are single characters, so that the other half may be longer; only texts with
        # few repetitions need more characters to fill the vocabulary.
        for alphabet in (_alphabet(counts, _COVERAGE, max(num_free // 2, 1)), _alphabet(counts, 1.0, num_free)):
            tokenizer = cls(_train_pieces(texts, alphabet, vocab_size, whole))
            if tokenizer.vocab_size == vocab_size:
                return tokenizer
            largest = max(largest, tokenizer.vocab_size)
        raise ValueError(
            f"vocab_size is {vocab_size}, but the texts ({sum(counts.values())} characters) support at most {largest} "
            f"pieces: give more varied text, or a vocab_size of {largest} or less"
        )

    @classmethod
    def from_bytes(cls, model: bytes) -> Self:
        """Makes the tokenizer whose `to_bytes` gave `model`."""
        return cls(model)

    def to_bytes(self) -> bytes:
        """Returns the serialized SentencePiece model, as stored in checkpoints."""
        return self._processor.serialized_model_proto()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a model file as written by `save` or by SentencePiece itself."""
        return cls(Path(path).read_bytes())

    def save(self, path: Path) -> None:
        """Writes the model file; SentencePiece's own tools can read it."""
        Path(path).write_bytes(self.to_bytes())

    @property
    def vocab_size(self) -> int:
        return len(self._surfaces)

    @property
    def start_id(self) -> int:
        """The mark before a document; never part of an encoded text."""
        return self._processor.bos_id()

    @property
    def end_id(self) -> int:
        """The mark after a text; never part of an encoded text."""
        return self._processor.eos_id()

    def encode(self, text: str) -> np.ndarray:
        """Encodes a text as ids, (n,) int32, without marks.

        Raises:
            ValueError: the text holds a lone surrogate, which no byte sequence can stand for.
        """
        _check_encodable(text, "the text")
        ids: list[int] = []
        for index, part in enumerate(text.split(_SPACE_MARK)):
            if index:
                ids += self._space_mark_ids
            ids += self._processor.encode(part)
        return np.array(ids, np.int32)

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """Decodes any ids: marks vanish, bytes that form no character become U+FFFD.

        Raises:
            ValueError: an id is outside [0, vocab_size).
        """
        numbers = np.asarray(ids, np.int64)
        if numbers.size and (numbers.min() < 0 or numbers.max() >= self.vocab_size):
            raise ValueError(f"text ids span [{numbers.min()}, {numbers.max()}], expected [0, {self.vocab_size})")
        return b"".join([self._surfaces[i] for i in numbers.tolist()]).decode(errors="replace")


def _surface(processor: sentencepiece.SentencePieceProcessor, index: int) -> bytes:
    """Returns the bytes that a piece stands for; none for marks."""
    if processor.is_control(index) or processor.is_unknown(index) or processor.is_unused(index):
        return b""
    piece = processor.id_to_piece(index)
    if processor.is_byte(index):
        return bytes([int(piece[3:5], 16)])
    return piece.replace(_SPACE_MARK, " ").encode()


def _check_encodable(text: str, name: str) -> None:
    if not isinstance(text, str):
        raise TypeError(f"{name} is {type(text).__name__}, expected str")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name} holds the lone surrogate {text[error.start]!r} at position {error.start}: "
            "read the file as UTF-8, or replace such characters"
        ) from error


def _alphabet(counts: Counter[str], coverage: float, max_size: int) -> list[str]:
    """Returns the space, then the most frequent characters up to `coverage` of all or `max_size` in number.

    The space is always there: without a piece of its own it would be spelled in the bytes of U+2581.
    """
    usable = [item for item in counts.items() if item[0] not in _RESERVED and item[0] != " "]
    wanted = coverage * sum(count for _, count in usable)
    chosen, covered = [" "], 0
    for character, count in sorted(usable, key=lambda item: (-item[1], item[0]))[: max_size - 1]:
        if covered >= wanted:
            break
        chosen.append(character)
        covered += count
    return chosen


def _train_pieces(texts: Sequence[str], alphabet: Sequence[str], vocab_size: int, whole: Sequence[str]) -> bytes:
    """Runs SentencePiece's trainer on the stretches of text that consist of alphabet characters only.

    Cutting the texts here, and not by its own coverage setting, leaves more of a small vocabulary to longer pieces, and
    keeps characters that it reserves out of the pieces.
    """
    stretch = re.compile("[" + "".join(map(re.escape, alphabet)) + "]+")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(part.group() for text in itertools.chain([" "], texts) for part in stretch.finditer(text)),
        model_writer=model,
        model_type="bpe",
        vocab_size=vocab_size,
        hard_vocab_limit=False,  # the caller checks the size, with a message that helps
        character_coverage=1.0,
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        max_sentence_length=2**30,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        user_defined_symbols=list(whole),
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()
