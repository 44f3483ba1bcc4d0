"""The exam of an agent's knowledge of itself and of tasks, in wordings that no training dialogue has."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gato.envs import Task
from gato.envs.talk import ExamQuestion, exam
from gato.evaluation.statistics import Interval, wilson_interval
from gato.files import replace_file
from gato.inference.agent import Agent
from gato.inference.generate import Generator
from gato.tokenizer.language import dialogue_prompt

_MAX_TOKENS, _FEWEST_TOKENS = 64, 24  # of an answer; the longest right ones take about fifty


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A question of the exam and what the agent said."""

    question: ExamQuestion
    answer: str
    is_right: bool


def sit_exam(agent: Agent, tasks: Sequence[Task], *, num_questions: int, seed: int) -> list[Answered]:
    """Asks the same questions every time; the agent says what it holds most likely, word by word.

    Args:
        tasks: what is asked about, beside the agent itself and what it cannot know.

    Raises:
        ValueError: the agent has no text tokenizer, there are no tasks, or less than one question is asked for.
    """
    if num_questions < 1:
        raise ValueError(f"{num_questions} questions are asked for, expected 1 or more")
    questions = exam(np.random.default_rng(seed), num_questions, tasks)
    generator = Generator(agent)  # refuses an agent without text
    assert agent.text is not None
    longest = max(len(dialogue_prompt(question.turns, agent.text, agent.tokenizer)) for question in questions)
    space = agent.policy.context_length - longest
    if space < _FEWEST_TOKENS:
        raise ValueError(
            f"a question takes {longest} tokens, which leaves {space} of the context of {agent.policy.context_length} "
            f"to the answer, less than {_FEWEST_TOKENS}: raise policy.context_length"
        )
    answers = generator.replies([question.turns for question in questions], max_tokens=min(_MAX_TOKENS, space))
    return [
        Answered(question=question, answer=answer, is_right=question.is_right(answer))
        for question, answer in zip(questions, answers, strict=True)
    ]


def right_by_kind(answered: Sequence[Answered]) -> dict[str, Interval]:
    """Returns the share of right answers with its Wilson interval: of all, and of each kind of question."""
    hits: dict[str, list[bool]] = {"all": [one.is_right for one in answered]}
    for one in answered:
        hits.setdefault(one.question.kind, []).append(one.is_right)
    return {kind: wilson_interval(sum(right), len(right)) for kind, right in hits.items()}


def write_exam(path: Path, answered: Sequence[Answered]) -> None:
    """Writes every question with its accepted answers and what was said, one JSON object per line."""
    lines = [
        {
            "kind": one.question.kind,
            "intent": one.question.intent,
            "turns": [list(turn) for turn in one.question.turns],
            "accepted": list(one.question.accepted),
            "answer": one.answer,
            "right": one.is_right,
        }
        for one in answered
    ]
    replace_file(path, "".join(json.dumps(line) + "\n" for line in lines))
