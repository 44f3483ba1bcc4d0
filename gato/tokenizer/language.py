"""Text formats: documents, captions and dialogues, also about images, for training and for generation alike.

Each encoding is one timestep that ends with the end mark, and starts with the very tokens of the prompt that
generation starts from: the parts of a text are encoded one by one, so that no piece spans the place where a model takes
over. What is said of an image or in a turn starts with a space, so that its first word is spelled as the same word is
anywhere else. Images stand before their text, as in the image-text pairs of Gato (Reed et al., 2022), section 2.3.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from gato.config import TokenizerConfig
from gato.tokenizer.image import image_to_patches, patch_intervals
from gato.tokenizer.sequence import TokenSequence
from gato.tokenizer.text import TextTokenizer

Turn: TypeAlias = tuple[Literal["user", "agent"], str]
_Part: TypeAlias = tuple[np.ndarray, bool]  # ids, and whether they are targets

SPEAKERS = {"user": "User:", "agent": "Agent:"}  # precede each turn; always given, hence never targets


def encode_document(text: str, tokenizer: TextTokenizer, config: TokenizerConfig) -> TokenSequence:
    """Encodes start mark, text, end mark; all but the start mark are targets, and no token has a local position."""
    return _sequence([_start(tokenizer), (tokenizer.encode(text), True), _end(tokenizer, True)], config)


def document_prompt(text: str, tokenizer: TextTokenizer, config: TokenizerConfig) -> TokenSequence:
    """Encodes the beginning of a document, to be continued."""
    return _sequence([_start(tokenizer), (tokenizer.encode(text), False)], config)


def encode_dialogue(
    turns: Sequence[Turn],
    tokenizer: TextTokenizer,
    config: TokenizerConfig,
    *,
    image: np.ndarray | None = None,
    question_loss: bool = True,
) -> TokenSequence:
    """Encodes the start mark or the patches of an image, then each turn: who speaks, the words, end mark.

    `plain_words` undoes what is done to the words.

    Args:
        turns: (speaker, words) in order, the speaker "user" or "agent".
        image: what the dialogue is about, (height, width[, channels]) uint8.
        question_loss: whether the user's words are targets; the agent's always are.

    Raises:
        ValueError: there is no turn, a speaker is unknown, or image and text together take more tokens than there
            are local positions.
    """
    if not turns:
        raise ValueError("a dialogue has no turns, expected one or more of ('user' or 'agent', text)")
    parts = [] if image is not None else [_start(tokenizer)]
    for speaker, words in turns:
        parts += _turn(speaker, words, tokenizer, loss=question_loss or speaker == "agent")
    return _sequence(parts, config, image)


def dialogue_prompt(
    turns: Sequence[Turn], tokenizer: TextTokenizer, config: TokenizerConfig, *, image: np.ndarray | None = None
) -> TokenSequence:
    """Encodes the turns so far and the announcement of the agent's next one."""
    parts = [] if image is not None else [_start(tokenizer)]
    for speaker, words in turns:
        parts += _turn(speaker, words, tokenizer, loss=False)
    return _sequence([*parts, _speaker("agent", tokenizer)], config, image)


def encode_caption(image: np.ndarray, caption: str, tokenizer: TextTokenizer, config: TokenizerConfig) -> TokenSequence:
    """Encodes the patches of an image, the caption, end mark; the text is the target.

    Args:
        image: (height, width[, channels]) uint8.

    Raises:
        ValueError: image and text together take more tokens than there are local positions.
    """
    return _sequence([(_words(caption, tokenizer), True), _end(tokenizer, True)], config, image)


def caption_prompt(image: np.ndarray, config: TokenizerConfig) -> TokenSequence:
    """Encodes the patches of an image, to be described."""
    return _sequence([], config, image)


def plain_words(generated: str) -> str:
    """Returns a caption, an answer or a turn as it was before it was encoded."""
    return generated.removeprefix(" ")


def _start(tokenizer: TextTokenizer) -> _Part:
    return np.array([tokenizer.start_id], np.int32), False


def _end(tokenizer: TextTokenizer, loss: bool) -> _Part:
    return np.array([tokenizer.end_id], np.int32), loss


def _speaker(speaker: str, tokenizer: TextTokenizer) -> _Part:
    if speaker not in SPEAKERS:
        raise ValueError(f"a turn is spoken by {speaker!r}, expected 'user' or 'agent'")
    return tokenizer.encode(SPEAKERS[speaker]), False


def _words(text: str, tokenizer: TextTokenizer) -> np.ndarray:
    return tokenizer.encode(f" {text}")


def _turn(speaker: str, words: str, tokenizer: TextTokenizer, *, loss: bool) -> list[_Part]:
    return [_speaker(speaker, tokenizer), (_words(words, tokenizer), loss), _end(tokenizer, loss)]


def _sequence(parts: Sequence[_Part], config: TokenizerConfig, image: np.ndarray | None = None) -> TokenSequence:
    """Joins the patches of an image and then text as one timestep.

    Local positions count up from 0 where there is an image, and are all absent where there is none.
    """
    patches = np.zeros((0, config.patch_size, config.patch_size, 3), np.uint8)
    intervals = np.zeros((0, 4), np.int32)
    if image is not None:
        patches = image_to_patches(image, config.patch_size)
        height, width = np.shape(image)[:2]
        intervals = patch_intervals(height, width, config.patch_size, config.patch_position_size)
    ids = np.concatenate([np.full(len(patches), config.padding_id, np.int32), *(ids for ids, _ in parts)])
    loss_mask = np.concatenate([np.zeros(len(patches), bool), *(np.full(len(ids), loss) for ids, loss in parts)])
    length = len(ids)
    positions = np.full(length, config.no_position, np.int32) if image is None else np.arange(length, dtype=np.int32)
    if image is not None and length > config.local_position_size:
        raise ValueError(
            f"a picture with text takes {length} tokens, {len(patches)} of them patches, but at most "
            f"local_position_size = {config.local_position_size} fit: shrink the image or shorten the text"
        )
    return TokenSequence(
        tokens=ids,
        local_positions=positions,
        loss_mask=loss_mask,
        changed_mask=np.zeros(length, bool),
        patches=patches,
        patch_indices=np.arange(len(patches), dtype=np.int32),
        patch_intervals=intervals,
        starts=np.array([0, length], np.int64),
    )
