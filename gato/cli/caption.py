"""`gato caption` and `gato ask`: an agent looks at pictures."""

from pathlib import Path
from typing import Annotated

import tyro

from gato.data.sources.images import decode_image
from gato.inference.agent import Agent
from gato.inference.generate import Generator


def caption(
    checkpoint: Annotated[Path, tyro.conf.Positional],
    pictures: Annotated[tuple[Path, ...], tyro.conf.Positional],
    max_tokens: int = 32,
    temperature: float = 0.0,
    seed: int = 0,
) -> None:
    """Describes pictures. Example: gato caption runs/quickstart picture.png

    Args:
        checkpoint: run folder or checkpoint folder.
        pictures: PNG, JPEG or other files.
        max_tokens: longest caption.
        temperature: of sampling; 0 takes the most likely words.
        seed: of sampling.
    """
    images = [decode_image(path.read_bytes()) for path in pictures]
    generator = Generator(Agent.load(checkpoint))
    texts = generator.captions(images, max_tokens=max_tokens, temperature=temperature, seed=seed)
    for path, text in zip(pictures, texts, strict=True):
        print(f"{path}: {text}")


def ask(
    checkpoint: Annotated[Path, tyro.conf.Positional],
    picture: Annotated[Path, tyro.conf.Positional],
    question: Annotated[str, tyro.conf.Positional],
    max_tokens: int = 32,
    temperature: float = 0.0,
    seed: int = 0,
) -> None:
    """Answers a question about a picture. Example: gato ask runs/quickstart picture.png "what color is the key?"

    Args:
        checkpoint: run folder or checkpoint folder.
        picture: PNG, JPEG or other file.
        question: in words.
        max_tokens: longest answer.
        temperature: of sampling; 0 takes the most likely words.
        seed: of sampling.
    """
    image = decode_image(picture.read_bytes())
    generator = Generator(Agent.load(checkpoint))
    print(generator.answers([(image, question)], max_tokens=max_tokens, temperature=temperature, seed=seed)[0])
