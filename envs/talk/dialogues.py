"""Draws dialogues about the agent and its tasks, in wordings of training only."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from ..task import Task
from .courtesies import GOODBYE, GREETING, THANKS
from .intent import Intent
from .knowledge import Inquiry, Knowledge

Turn: TypeAlias = tuple[Literal["user", "agent"], str]

_MOST_QUESTIONS = 3  # of a dialogue, beside greetings and thanks
_THEMES = {"itself": 0.25, "task": 0.5, "unknown": 0.1, "mixed": 0.15}  # share of the dialogues


def talks(rng: np.random.Generator, num_dialogues: int, tasks: Sequence[Task]) -> list[tuple[Turn, ...]]:
    """Draws dialogues of one to a few questions: about the agent, its tasks, what it cannot know, or of each something.

    What is asked next about a task may call it "it".

    Raises:
        ValueError: there are no tasks.
    """
    knowledge = Knowledge(tasks)
    return [_talk(rng, knowledge) for _ in range(num_dialogues)]


def exchange(rng: np.random.Generator, inquiry: Inquiry, *, it: bool = False) -> tuple[Turn, Turn]:
    """Draws a question in a wording of training with its answer."""
    return ("user", inquiry.ask(rng, it=it)), ("agent", inquiry.answer(rng))


def _talk(rng: np.random.Generator, knowledge: Knowledge) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    if rng.random() < 0.15:
        turns += _courtesy(rng, GREETING)
    theme = str(rng.choice(list(_THEMES), p=list(_THEMES.values())))
    num_questions = int(rng.integers(1, _MOST_QUESTIONS + 1))
    if theme == "task":
        turns += _about_one_task(rng, knowledge, num_questions)
    asked: list[str] = []
    for _ in range(0 if theme == "task" else num_questions):
        kind = str(rng.choice(["itself", "task", "unknown"])) if theme == "mixed" else theme
        if kind == "itself":
            inquiry = knowledge.itself(rng, but=asked)
            asked.append(inquiry.intent.name)
            turns += exchange(rng, inquiry)
        elif kind == "unknown":
            turns += exchange(rng, knowledge.unknown(rng))
        else:
            turns += _about_one_task(rng, knowledge, 1)
    if rng.random() < 0.1:
        turns += _courtesy(rng, THANKS)
    if rng.random() < 0.08:
        turns += _courtesy(rng, GOODBYE)
    return tuple(turns)


def _about_one_task(rng: np.random.Generator, knowledge: Knowledge, num_questions: int) -> list[Turn]:
    task = knowledge.tasks[int(rng.integers(len(knowledge.tasks)))]
    turns: list[Turn] = []
    asked: list[str] = []
    for number in range(num_questions):
        inquiry = knowledge.about(rng, task, but=asked)
        asked.append(inquiry.intent.name)
        turns += exchange(rng, inquiry, it=number > 0 and rng.random() < 0.7)
    return turns


def _courtesy(rng: np.random.Generator, intent: Intent) -> tuple[Turn, Turn]:
    return exchange(rng, Inquiry(intent=intent, answers=intent.answers))
