"""The exam: questions in wordings that no dialogue of training has, and the rule by which an answer is right.

An answer is right if it equals one of the accepted answers, in lower case, without punctuation, with contractions
written out and number words as digits. An answer about a task is also right in other words, if it holds every required
phrase and no phrase that only another task's answer would hold, and is not much longer than the accepted answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..task import Task
from .dialogues import Turn, exchange
from .knowledge import Inquiry, Knowledge
from .phrasing import normalized

MOST_EXTRA_WORDS = 8  # of a right answer in other words, beyond the longest accepted one
_KINDS = {"itself": 0.35, "task": 0.35, "follow-up": 0.1, "unknown": 0.2}  # share of the questions


@dataclass(frozen=True, kw_only=True)
class ExamQuestion:
    """The turns of a dialogue up to a question in a held-out wording, and what counts as its answer."""

    turns: tuple[Turn, ...]  # the last is the user's
    kind: str  # itself, task, follow-up or unknown
    intent: str
    accepted: tuple[str, ...]
    required: tuple[str, ...] = ()  # all of them, in an answer in other words; none: there is no answer in other words
    forbidden: tuple[str, ...] = ()  # none of them, in an answer in other words

    def is_right(self, answer: str) -> bool:
        """Tells whether an answer is right, by the rule of this module."""
        said = normalized(answer)
        accepted = [normalized(text) for text in self.accepted]
        if said in accepted:
            return True
        longest = max(len(text.split()) for text in accepted)
        return (
            bool(self.required)
            and len(said.split()) <= longest + MOST_EXTRA_WORDS
            and all(_holds(said, phrase) for phrase in self.required)
            and not any(_holds(said, phrase) for phrase in self.forbidden)
        )


def exam(rng: np.random.Generator, num_questions: int, tasks: Sequence[Task]) -> list[ExamQuestion]:
    """Draws questions about the agent, the tasks and what it cannot know.

    A follow-up stands after another question about the same task, which it calls "it", with its answer. Made-up names
    of tasks are others than those of training too.

    Raises:
        ValueError: there are no tasks.
    """
    knowledge = Knowledge(tasks)
    kinds = [str(kind) for kind in rng.choice(list(_KINDS), num_questions, p=list(_KINDS.values()))]
    return [_question(rng, knowledge, kind) for kind in kinds]


def _question(rng: np.random.Generator, knowledge: Knowledge, kind: str) -> ExamQuestion:
    before: tuple[Turn, ...] = ()
    if kind == "itself":
        inquiry = knowledge.itself(rng)
    elif kind == "unknown":
        inquiry = knowledge.unknown(rng, held_out=True)
    else:
        task = knowledge.tasks[int(rng.integers(len(knowledge.tasks)))]
        first = knowledge.about(rng, task)
        inquiry = first
        if kind == "follow-up":
            before = exchange(rng, first)
            inquiry = knowledge.about(rng, task, but=[first.intent.name])
    asked = inquiry.ask(rng, held_out=True, it=kind == "follow-up")
    return ExamQuestion(
        turns=(*before, ("user", asked)),
        kind=kind,
        intent=inquiry.intent.name,
        accepted=inquiry.answers,
        required=inquiry.keys,
        forbidden=_forbidden(inquiry, knowledge) if inquiry.keys else (),
    )


def _forbidden(inquiry: Inquiry, knowledge: Knowledge) -> tuple[str, ...]:
    """Lists the keys of other tasks' answers, but those that this question's own answers hold as well."""
    own = [normalized(text) for text in (*inquiry.answers, *inquiry.keys)]
    return tuple(key for key in knowledge.rivals(inquiry) if not any(_holds(text, normalized(key)) for text in own))


def _holds(said: str, phrase: str) -> bool:
    """Tells whether whole words of a normalized text are the words of a phrase."""
    return f" {normalized(phrase)} " in f" {said} "
