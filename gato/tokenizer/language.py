"""Text formats: documents, dialogues, captions and questions about pictures, for training and for generation alike.

Each encoding is one timestep that ends with the end mark, and starts with the very elements of the prompt that
generation starts from: the parts of a text are encoded one by one, so that no piece spans the place where a model takes
over. Pictures stand before their text, as in the image-text pairs of Gato (Reed et al., 2022), section 2.3.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from gato.config import TokenizerConfig
from gato.tokenizer.elements import Elements
from gato.tokenizer.image import image_to_patches, patch_intervals
from gato.tokenizer.text import TextTokenizer

Turn: TypeAlias = tuple[Literal["user", "agent"], str]
_Part: TypeAlias = tuple[np.ndarray, bool]  # ids, and whether they are targets

_SPEAKERS = {"user": "User: ", "agent": "Agent: "}  # precede each turn; always given, hence never targets


def encode_document(text: str, tokenizer: TextTokenizer, config: TokenizerConfig) -> Elements:
    """Start mark, text, end mark; all but the start mark are targets, and no element has a local position."""
    return _text_elements([*_start(tokenizer), (tokenizer.encode(text), True), *_end(tokenizer, True)], config)


def document_prompt(text: str, tokenizer: TextTokenizer, config: TokenizerConfig) -> Elements:
    """The beginning of a document, to be continued."""
    return _text_elements([*_start(tokenizer), (tokenizer.encode(text), False)], config)


def encode_dialogue(
    turns: Sequence[Turn], tokenizer: TextTokenizer, config: TokenizerConfig, *, question_loss: bool = True
) -> Elements:
    """Start mark, then each turn: who speaks, the words, end mark.

    Args:
        turns: (speaker, words) in order, the speaker "user" or "agent".
        tokenizer: encodes the words.
        config: vocabulary and positions.
        question_loss: whether the user's words are targets; the agent's always are.

    Raises:
        ValueError: there is no turn, or a speaker is unknown.
    """
    if not turns:
        raise ValueError("a dialogue has no turns, expected one or more of ('user' or 'agent', text)")
    parts = _start(tokenizer)
    for speaker, words in turns:
        parts += _turn(speaker, words, tokenizer, loss=question_loss or speaker == "agent")
    return _text_elements(parts, config)


def dialogue_prompt(turns: Sequence[Turn], tokenizer: TextTokenizer, config: TokenizerConfig) -> Elements:
    """The turns so far and the announcement of the agent's next one."""
    parts = _start(tokenizer)
    for speaker, words in turns:
        parts += _turn(speaker, words, tokenizer, loss=False)
    return _text_elements([*parts, _speaker("agent", tokenizer)], config)


def encode_caption(image: np.ndarray, caption: str, tokenizer: TextTokenizer, config: TokenizerConfig) -> Elements:
    """The patches of a picture, the caption, end mark; the text is the target.

    Args:
        image: (height, width[, channels]) uint8.
        caption: what the picture shows.
        tokenizer: encodes the caption.
        config: vocabulary, patch size and positions.

    Raises:
        ValueError: picture and text together take more elements than there are local positions.
    """
    return _picture_elements(image, [(tokenizer.encode(caption), True), *_end(tokenizer, True)], config)


def caption_prompt(image: np.ndarray, config: TokenizerConfig) -> Elements:
    """The patches of a picture, to be described."""
    return _picture_elements(image, [], config)


def encode_question(
    image: np.ndarray,
    question: str,
    answer: str,
    tokenizer: TextTokenizer,
    config: TokenizerConfig,
    *,
    question_loss: bool = True,
) -> Elements:
    """The patches of a picture, then question and answer as a dialogue of two turns.

    Args:
        image: (height, width[, channels]) uint8.
        question: the user's turn.
        answer: the agent's turn, always a target.
        tokenizer: encodes both.
        config: vocabulary, patch size and positions.
        question_loss: whether the question's words are targets.

    Raises:
        ValueError: picture and text together take more elements than there are local positions.
    """
    parts = _turn("user", question, tokenizer, loss=question_loss) + _turn("agent", answer, tokenizer, loss=True)
    return _picture_elements(image, parts, config)


def question_prompt(image: np.ndarray, question: str, tokenizer: TextTokenizer, config: TokenizerConfig) -> Elements:
    """The patches of a picture, the question and the announcement of the answer."""
    parts = [*_turn("user", question, tokenizer, loss=False), _speaker("agent", tokenizer)]
    return _picture_elements(image, parts, config)


def _start(tokenizer: TextTokenizer) -> list[_Part]:
    return [(np.array([tokenizer.start_id], np.int32), False)]


def _end(tokenizer: TextTokenizer, loss: bool) -> list[_Part]:
    return [(np.array([tokenizer.end_id], np.int32), loss)]


def _speaker(speaker: str, tokenizer: TextTokenizer) -> _Part:
    if speaker not in _SPEAKERS:
        raise ValueError(f"a turn is spoken by {speaker!r}, expected 'user' or 'agent'")
    return tokenizer.encode(_SPEAKERS[speaker]), False


def _turn(speaker: str, words: str, tokenizer: TextTokenizer, *, loss: bool) -> list[_Part]:
    return [_speaker(speaker, tokenizer), (tokenizer.encode(words), loss), *_end(tokenizer, loss)]


def _text_elements(parts: Sequence[_Part], config: TokenizerConfig) -> Elements:
    no_patches = np.zeros((0, config.patch_size, config.patch_size, 3), np.uint8)
    return _elements(parts, no_patches, np.zeros((0, 4), np.int32), config, counts=False)


def _picture_elements(image: np.ndarray, parts: Sequence[_Part], config: TokenizerConfig) -> Elements:
    patches = image_to_patches(image, config.patch_size)
    height, width = np.shape(image)[:2]
    intervals = patch_intervals(height, width, config.patch_size, config.patch_position_size)
    elements = _elements(parts, patches, intervals, config, counts=True)
    if len(elements) > config.local_position_size:
        raise ValueError(
            f"a picture with text takes {len(elements)} elements, {len(patches)} of them patches, but at most "
            f"local_position_size = {config.local_position_size} fit: shrink the picture or shorten the text"
        )
    return elements


def _elements(
    parts: Sequence[_Part], patches: np.ndarray, intervals: np.ndarray, config: TokenizerConfig, *, counts: bool
) -> Elements:
    """Patches and then text as one timestep; local positions count up from 0 or are all absent."""
    ids = np.concatenate([np.full(len(patches), config.padding_id, np.int32), *(ids for ids, _ in parts)])
    loss_mask = np.concatenate([np.zeros(len(patches), bool), *(np.full(len(ids), loss) for ids, loss in parts)])
    length = len(ids)
    return Elements(
        tokens=ids,
        local_positions=np.arange(length, dtype=np.int32) if counts else np.full(length, config.no_position, np.int32),
        loss_mask=loss_mask,
        changed_mask=np.zeros(length, bool),
        patches=patches,
        patch_indices=np.arange(len(patches), dtype=np.int32),
        patch_intervals=intervals,
        starts=np.array([0, length], np.int64),
    )
