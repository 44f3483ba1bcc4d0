"""A small text tokenizer and a config of its size, shared by the tokenizer's tests."""

import pytest

from gato.config import TokenizerConfig
from gato.tokenizer.text import TextTokenizer


@pytest.fixture(scope="session")
def corpus() -> list[str]:
    return [
        "go to the red ball\nthen pick up the green key",
        "a blue box next to the grey door, and a yellow ball behind it",
        "What colour is the ball? The ball is red.",
        "open the door that is left of the key; put the ball next to the box",
    ]


@pytest.fixture(scope="session")
def text(corpus: list[str]) -> TextTokenizer:
    return TextTokenizer.train(corpus, 320)


@pytest.fixture(scope="session")
def config(text: TextTokenizer) -> TokenizerConfig:
    return TokenizerConfig(text_vocab_size=text.vocab_size)
