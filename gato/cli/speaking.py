"""`gato caption`, `gato ask` and `gato chat`: an agent speaks, about pictures or without."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from gato.data.sources.images import decode_image
from gato.inference.agent import Agent
from gato.inference.generate import Generator
from gato.inference.sampling import Sampling
from gato.release.shipped import default_weights, find_weights, split_weights
from gato.tokenizer.language import Turn, dialogue_prompt


@dataclass(frozen=True, kw_only=True)
class WordChoice:
    """How words are chosen.

    Attributes:
        temperature: of sampling; 0 takes the most likely words.
        top_k: samples from this many likeliest tokens only; needs a temperature.
        top_p: samples from the fewest likeliest tokens of this probability only; needs a temperature.
        seed: of sampling.
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0

    @property
    def sampling(self) -> Sampling:
        return Sampling(temperature=self.temperature, top_k=self.top_k, top_p=self.top_p)


_LIKELIEST = WordChoice()


def caption(
    run_pictures: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[RUN] PICTURE ...")],
    max_tokens: int = 32,
    words: Annotated[WordChoice, tyro.conf.arg(name="")] = _LIKELIEST,
) -> None:
    """Describes pictures. Example: gato caption runs/quickstart picture.png

    Args:
        run_pictures: run, checkpoint or released folder, or the agent that comes with the package if none is given;
            then PNG, JPEG or other files.
        max_tokens: longest caption.
        words: how they are chosen.
    """
    names_weights = run_pictures and Path(run_pictures[0]).is_dir()  # a folder is no picture, whatever it holds
    weights, pictures = split_weights(run_pictures, most=len(run_pictures) - bool(names_weights))
    if not pictures:
        raise ValueError("no picture came: name at least one PNG, JPEG or other file")
    images = [decode_image(Path(path).read_bytes()) for path in pictures]
    generator = Generator(Agent.load(weights))
    texts = generator.captions(images, max_tokens=max_tokens, sampling=words.sampling, seed=words.seed)
    for path, text in zip(pictures, texts, strict=True):
        print(f"{path}: {text}")


def ask(
    run_picture_question: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[RUN] PICTURE QUESTION")
    ],
    max_tokens: int = 32,
    words: Annotated[WordChoice, tyro.conf.arg(name="")] = _LIKELIEST,
) -> None:
    """Answers a question about a picture. Example: gato ask runs/quickstart picture.png "what color is the key?"

    Args:
        run_picture_question: run, checkpoint or released folder, or the agent that comes with the package if none is
            given; a PNG, JPEG or other file; and the question in words.
        max_tokens: longest answer.
        words: how they are chosen.
    """
    weights, rest = split_weights(run_picture_question, most=2)
    if len(rest) != 2:
        raise ValueError(f"a picture and one question are expected, but {rest} came: put the question in quotes")
    picture, question = rest
    image = decode_image(Path(picture).read_bytes())
    generator = Generator(Agent.load(weights))
    print(generator.answers([(image, question)], max_tokens=max_tokens, sampling=words.sampling, seed=words.seed)[0])


def chat(
    checkpoint: Annotated[Path | None, tyro.conf.Positional] = None,
    picture: Path | None = None,
    max_tokens: int = 64,
    words: Annotated[WordChoice, tyro.conf.arg(name="")] = _LIKELIEST,
) -> None:
    """Talks until the input ends (Ctrl-D). Example: gato chat runs/quickstart

    Args:
        checkpoint: run, checkpoint or released folder; the agent that comes with the package if not given.
        picture: PNG, JPEG or other file that the talk is about.
        max_tokens: longest answer.
        words: how they are chosen.
    """
    agent = Agent.load(default_weights() if checkpoint is None else find_weights(checkpoint))
    generator = Generator(agent)
    image = None if picture is None else decode_image(picture.read_bytes())
    turns: list[Turn] = []
    while True:
        try:
            said = input("User: ")
        except EOFError:
            print()
            return
        turns = _recent([*turns, ("user", said)], image, agent, max_tokens)
        answer = generator.reply(turns, image=image, max_tokens=max_tokens, sampling=words.sampling, seed=words.seed)
        turns.append(("agent", answer))
        print(f"Agent: {answer}")


def _recent(turns: list[Turn], image: np.ndarray | None, agent: Agent, max_tokens: int) -> list[Turn]:
    """Returns the turns without the oldest exchanges that no longer fit the context beside an answer."""
    assert agent.text is not None  # a Generator was made from it
    space = agent.policy.context_length - max_tokens
    while len(turns) > 1 and len(dialogue_prompt(turns, agent.text, agent.tokenizer, image=image)) > space:
        turns = turns[2:]
    return turns
