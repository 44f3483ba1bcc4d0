"""`gato chat`: talk to an agent at the terminal."""

from pathlib import Path
from typing import Annotated

import tyro

from gato.inference.agent import Agent
from gato.inference.generate import Generator
from gato.tokenizer.language import Turn


def chat(
    checkpoint: Annotated[Path, tyro.conf.Positional],
    max_tokens: int = 64,
    temperature: float = 0.0,
    seed: int = 0,
) -> None:
    """Talks until the input ends (Ctrl-D). Example: gato chat runs/quickstart

    Args:
        checkpoint: run folder or checkpoint folder.
        max_tokens: longest answer.
        temperature: of sampling; 0 takes the most likely words.
        seed: of sampling.
    """
    generator = Generator(Agent.load(checkpoint))
    turns: list[Turn] = []
    while True:
        try:
            words = input("User: ")
        except EOFError:
            print()
            return
        turns.append(("user", words))
        answer = generator.reply(turns, max_tokens=max_tokens, temperature=temperature, seed=seed)
        turns.append(("agent", answer))
        print(f"Agent: {answer}")
