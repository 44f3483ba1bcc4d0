"""`gato caption` and `gato ask`: an agent looks at pictures."""

from pathlib import Path
from typing import Annotated

import tyro

from gato.data.sources.images import decode_image
from gato.inference.agent import Agent
from gato.inference.generate import Generator
from gato.inference.sampling import Sampling


def caption(
    checkpoint: Annotated[Path, tyro.conf.Positional],
    pictures: Annotated[tuple[Path, ...], tyro.conf.Positional],
    max_tokens: int = 32,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
) -> None:
    """Describes pictures. Example: gato caption runs/quickstart picture.png

    Args:
        checkpoint: run folder or checkpoint folder.
        pictures: PNG, JPEG or other files.
        max_tokens: longest caption.
        temperature: of sampling; 0 takes the most likely words.
        top_k: samples from this many likeliest tokens only; needs a temperature.
        top_p: samples from the fewest likeliest tokens of this probability only; needs a temperature.
        seed: of sampling.
    """
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    images = [decode_image(path.read_bytes()) for path in pictures]
    generator = Generator(Agent.load(checkpoint))
    texts = generator.captions(images, max_tokens=max_tokens, sampling=sampling, seed=seed)
    for path, text in zip(pictures, texts, strict=True):
        print(f"{path}: {text}")


def ask(
    checkpoint: Annotated[Path, tyro.conf.Positional],
    picture: Annotated[Path, tyro.conf.Positional],
    question: Annotated[str, tyro.conf.Positional],
    max_tokens: int = 32,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
) -> None:
    """Answers a question about a picture. Example: gato ask runs/quickstart picture.png "what color is the key?"

    Args:
        checkpoint: run folder or checkpoint folder.
        picture: PNG, JPEG or other file.
        question: in words.
        max_tokens: longest answer.
        temperature: of sampling; 0 takes the most likely words.
        top_k: samples from this many likeliest tokens only; needs a temperature.
        top_p: samples from the fewest likeliest tokens of this probability only; needs a temperature.
        seed: of sampling.
    """
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    image = decode_image(picture.read_bytes())
    generator = Generator(Agent.load(checkpoint))
    print(generator.answers([(image, question)], max_tokens=max_tokens, sampling=sampling, seed=seed)[0])
