"""All that may be asked of an agent that knows some tasks, each with its right answers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..task import Task
from .about_itself import ITSELF
from .about_tasks import FAMILIES_KNOWN, FAMILY_TASKS, TASK_INTENTS, TASKS_KNOWN
from .courtesies import GOODBYE, GREETING, HELP, HOW_ARE_YOU, THANKS
from .facts import Fact, family_fact, listed, task_facts
from .intent import Intent
from .names import family_name, name_key, spoken_names, title
from .phrasing import phrase
from .unknown import DONT_KNOW, UNKNOWN, UNKNOWN_TASK, made_up_name, topic_words

_NUM_EXAMPLES = 4  # of tasks or families in an answer
_FIRST_ASKED = ("identity", "abilities", "what", "goal", "actions")  # what people ask first is drawn more often
_FIRST_ASKED_WEIGHT = 3
_SHORTEST_WORD = 4  # of a task's name, for a made-up name to borrow it


@dataclass(frozen=True, kw_only=True)
class Inquiry:
    """Something to ask, whatever the wording, with its right answers."""

    intent: Intent
    answers: tuple[str, ...]
    keys: tuple[str, ...] = ()  # phrases of which a right answer holds all; empty where it must be one of the answers
    words: Mapping[str, str] = field(default_factory=dict)  # for the names in braces

    def ask(self, rng: np.random.Generator, *, held_out: bool = False, it: bool = False) -> str:
        """Draws a wording of the question.

        Args:
            held_out: whether the wording is one of those kept back for the exam.
            it: whether the task is called "it", since it was named before.
        """
        wordings = self.intent.held_out if held_out else self.intent.wordings
        wording = wordings[int(rng.integers(len(wordings)))]
        return phrase(rng, self.intent, wording, {**self.words, "task": "it"} if it else self.words)

    def answer(self, rng: np.random.Generator) -> str:
        """Draws one of the right answers."""
        return self.answers[int(rng.integers(len(self.answers)))]


class Knowledge:
    """What an agent knows of itself and of some tasks, and how to ask for it.

    Args:
        tasks: those that it is asked about; any others are unknown to it.

    Raises:
        ValueError: there are no tasks.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        if not tasks:
            raise ValueError("no tasks came to talk about, expected one or more")
        self.tasks = tuple(tasks)
        self._names = spoken_names(tasks)
        self._keys = {name_key(name) for names in self._names.values() for name in names}
        words = {word for task in tasks for word in task.name.split("-")}
        self._name_words = sorted(word for word in words if len(word) >= _SHORTEST_WORD and word.isalpha())
        self._facts = {task.name: _by_intent(task_facts(task)) for task in tasks}
        families = list(dict.fromkeys(task.family for task in tasks))
        members = {family: [task for task in tasks if task.family == family] for family in families}
        self._family_facts = [family_fact(family, members[family]) for family in families]
        examples = listed([title(members[family][0]) for family in families[:_NUM_EXAMPLES]])
        kinds = listed([family_name(family) for family in families[:_NUM_EXAMPLES]])
        self._itself = (
            *(
                Inquiry(intent=intent, answers=intent.answers)
                for intent in (GREETING, HOW_ARE_YOU, *ITSELF, HELP, THANKS, GOODBYE)
            ),
            Inquiry(
                intent=TASKS_KNOWN,
                answers=(f"I know tasks such as {examples}.", f"You can ask about tasks such as {examples}."),
                keys=(examples,),
            ),
            Inquiry(
                intent=FAMILIES_KNOWN,
                answers=(f"My tasks come from families such as {kinds}.", f"I know families such as {kinds}."),
                keys=(kinds,),
            ),
        )

    def itself(self, rng: np.random.Generator, *, but: Sequence[str] = ()) -> Inquiry:
        """Draws what may be asked about the agent, or about the tasks as a whole.

        Args:
            but: names of intents that were asked before.
        """
        fact = self._family_facts[int(rng.integers(len(self._family_facts)))]
        of_family = Inquiry(intent=FAMILY_TASKS, answers=fact.answers, keys=fact.keys, words=fact.slots)
        by_intent = {inquiry.intent.name: inquiry for inquiry in (*self._itself, of_family)}
        return by_intent[_draw_intent(rng, by_intent, but)]

    def about(self, rng: np.random.Generator, task: Task, *, but: Sequence[str] = ()) -> Inquiry:
        """Draws what may be asked about a task, which the question calls by one of its spoken names.

        Args:
            but: names of intents that were asked before.
        """
        facts = self._facts[task.name]
        of_intent = facts[_draw_intent(rng, facts, but)]
        fact = of_intent[int(rng.integers(len(of_intent)))]
        names = self._names[task.name]
        name = names[int(rng.integers(len(names)))]
        words = {**fact.slots, "task": name}
        return Inquiry(intent=TASK_INTENTS[fact.intent], answers=fact.answers, keys=fact.keys, words=words)

    def unknown(self, rng: np.random.Generator, *, held_out: bool = False) -> Inquiry:
        """Draws what the agent cannot know: half of the time a task that does not exist.

        Args:
            held_out: whether the made-up name of the task is one of those kept back for the exam.
        """
        if rng.random() < 0.5:
            task = self.tasks[int(rng.integers(len(self.tasks)))]
            model = self.about(rng, task)
            name = made_up_name(rng, self._name_words, self._keys, held_out=held_out)
            answers: tuple[str, ...] = UNKNOWN_TASK
            if model.intent.name == "known":
                answers = (*(f"No, {answer}" for answer in UNKNOWN_TASK), *UNKNOWN_TASK)
            return Inquiry(intent=model.intent, answers=answers, words={**model.words, "task": name})
        intent = UNKNOWN[int(rng.integers(len(UNKNOWN)))]
        return Inquiry(intent=intent, answers=(*intent.answers, *DONT_KNOW), words=topic_words(rng))

    def rivals(self, inquiry: Inquiry) -> tuple[str, ...]:
        """Lists the keys, unlike this one's, of answers to the same question about other tasks or families."""
        facts = [fact for by_intent in self._facts.values() for fact in by_intent.get(inquiry.intent.name, ())]
        if inquiry.intent is FAMILY_TASKS:
            facts = self._family_facts
        return tuple(dict.fromkeys(key for fact in facts for key in fact.keys if key not in inquiry.keys))


def _by_intent(facts: Sequence[Fact]) -> dict[str, list[Fact]]:
    by_intent: dict[str, list[Fact]] = {}
    for fact in facts:
        by_intent.setdefault(fact.intent, []).append(fact)
    return by_intent


def _draw_intent(rng: np.random.Generator, intents: Iterable[str], but: Sequence[str]) -> str:
    names = [name for name in intents if name not in but]
    weights = np.array([_FIRST_ASKED_WEIGHT if name in _FIRST_ASKED else 1 for name in names], float)
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]
