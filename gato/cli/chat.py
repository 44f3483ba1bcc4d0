"""`gato chat`: talk to an agent at the terminal, about a picture if there is one."""

from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from gato.data.sources.images import decode_image
from gato.inference.agent import Agent
from gato.inference.generate import Generator
from gato.inference.sampling import Sampling
from gato.tokenizer.language import Turn, dialogue_prompt


def chat(
    checkpoint: Annotated[Path, tyro.conf.Positional],
    picture: Path | None = None,
    max_tokens: int = 64,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
) -> None:
    """Talks until the input ends (Ctrl-D). Example: gato chat runs/quickstart

    Args:
        checkpoint: run folder or checkpoint folder.
        picture: PNG, JPEG or other file that the talk is about.
        max_tokens: longest answer.
        temperature: of sampling; 0 takes the most likely words.
        top_k: samples from this many likeliest tokens only; needs a temperature.
        top_p: samples from the fewest likeliest tokens of this probability only; needs a temperature.
        seed: of sampling.
    """
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    agent = Agent.load(checkpoint)
    generator = Generator(agent)
    image = None if picture is None else decode_image(picture.read_bytes())
    turns: list[Turn] = []
    while True:
        try:
            words = input("User: ")
        except EOFError:
            print()
            return
        turns = _recent([*turns, ("user", words)], image, agent, max_tokens)
        answer = generator.reply(turns, image=image, max_tokens=max_tokens, sampling=sampling, seed=seed)
        turns.append(("agent", answer))
        print(f"Agent: {answer}")


def _recent(turns: list[Turn], image: np.ndarray | None, agent: Agent, max_tokens: int) -> list[Turn]:
    """Returns the turns without the oldest exchanges that no longer fit the context beside an answer."""
    assert agent.text is not None  # a Generator was made from it
    space = agent.policy.context_length - max_tokens
    while len(turns) > 1 and len(dialogue_prompt(turns, agent.text, agent.tokenizer, image=image)) > space:
        turns = turns[2:]
    return turns
