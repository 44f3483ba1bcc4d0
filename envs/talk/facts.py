"""What a task's record tells of it, as brief answers; nothing else is ever said of a task."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..task import Task
from .names import family_name, title


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One thing that is known of a task, or of a family."""

    intent: str  # the name of the intent that asks for it
    answers: tuple[str, ...]  # each is right
    keys: tuple[str, ...]  # phrases that a right answer holds, all of them
    slots: Mapping[str, str] = field(default_factory=dict)  # what else the question names


def task_facts(task: Task) -> tuple[Fact, ...]:
    """Lists what may be asked about a task; the question names the task as {task}."""
    return (*_general_facts(task), *_action_facts(task))


def family_fact(family: str, tasks: Sequence[Task]) -> Fact:
    """Tells which tasks a family has, or three of them.

    Args:
        tasks: those of the family.
    """
    titles = listed([title(task) for task in tasks[:3]])
    answers = (
        (f"For example {titles}.", f"There are more than three, such as {titles}.")
        if len(tasks) > 3
        else (f"{titles}.", f"I know {titles}.")
    )
    return Fact(intent="family_tasks", answers=answers, keys=(titles,), slots={"family": family_name(family)})


def listed(items: Sequence[str]) -> str:
    """Joins items by commas and a last "and"."""
    *others, last = items
    return f"{', '.join(others)} and {last}" if others else last


def senses(task: Task) -> tuple[str, ...]:
    """Lists what an observation consists of, as the task's tags tell."""
    if "pixels" in task.tags:
        view = "a picture"
    elif "symbols" in task.tags:
        view = "codes for what is there"
    else:
        view = "numbers"
    return (view, "a mission in English") if "text" in task.tags else (view,)


def acts(task: Task) -> str:
    """Tells in a sentence what the actions are."""
    if task.action_names:
        return f"The actions are {listed(task.action_names)}."
    return "The actions are numbers." if "continuous" in task.tags else "The actions have no names."


def _general_facts(task: Task) -> Iterator[Fact]:
    family = family_name(task.family)
    yield Fact(
        intent="what",
        answers=(f"{title(task)} is one of the {family} tasks. {task.description}", task.description),
        keys=(task.description,),
    )
    yield Fact(
        intent="goal",
        answers=(task.description, f"The goal is this: {_lower(task.description)}"),
        keys=(task.description,),
    )
    author, criterion = _criterion(task.success_source)
    yield Fact(
        intent="success",
        answers=(f"It is solved when this holds: {criterion}.", f"The criterion is this: {criterion}.")
        if criterion != task.success_source
        else (f"The criterion is {criterion}.", f"It is judged by {criterion}."),
        keys=(criterion,),
    )
    yield Fact(intent="judge", answers=(f"It comes from {author}.", f"The criterion is from {author}."), keys=(author,))
    sight = " and ".join(senses(task))
    yield Fact(intent="sees", answers=(f"It sees {sight}.", f"The agent sees {sight}."), keys=senses(task))
    steps = str(task.max_episode_steps)
    yield Fact(
        intent="episode",
        answers=(f"It ends after {steps} steps at the latest.", f"At most {steps} steps."),
        keys=(f"{steps} steps",),
    )
    yield Fact(
        intent="family",
        answers=(f"It is one of the {family} tasks.", f"It belongs to the {family} tasks."),
        keys=(f"{family} tasks",),
    )
    yield Fact(
        intent="known",
        answers=(f"Yes, it is one of the {family} tasks.", f"Yes. {task.description}"),
        keys=("yes", f"{family} tasks"),
    )
    if task.make_expert is None:
        yield Fact(intent="expert", answers=("No, it has no expert.", "No, it comes without one."), keys=("no",))
    elif task.expert_solves:
        yield Fact(intent="expert", answers=("Yes, it has an expert.", "Yes, it comes with one."), keys=("yes",))
    else:
        limit = "but it stays below what counts as solved"
        answers = (f"Yes, it has an expert, {limit}.", f"Yes, it comes with one, {limit}.")
        yield Fact(intent="expert", answers=answers, keys=("yes",))


def _action_facts(task: Task) -> Iterator[Fact]:
    names = task.action_names
    if not names:
        keys = ("numbers",) if "continuous" in task.tags else ("no names",)
        yield Fact(intent="actions", answers=(acts(task),), keys=keys)
        if "continuous" in task.tags:
            yield Fact(
                intent="num_actions",
                answers=("There is no list of actions. It is played by numbers.",),
                keys=keys,
            )
        return
    yield Fact(
        intent="actions",
        answers=(acts(task), f"It has {len(names)} actions: {listed(names)}."),
        keys=(listed(names),),
    )
    count = str(len(names))
    yield Fact(
        intent="num_actions",
        answers=(f"It has {count} actions.", f"There are {count} actions."),
        keys=(f"{count} actions",),
    )
    for index, name in enumerate(names):
        yield Fact(
            intent="action",
            answers=(f"It means: {name}.", f"Action {index} is: {name}."),
            keys=(name,),
            slots={"index": str(index)},
        )
        yield Fact(
            intent="action_index",
            answers=(f"It is action {index}.", f"Action {index}."),
            keys=(f"action {index}",),
            slots={"action": name},
        )
    yield Fact(
        intent="action",
        answers=(f"There is none: the last is action {len(names) - 1}.",),
        keys=("none", f"action {len(names) - 1}"),
        slots={"index": str(len(names))},
    )


def _criterion(source: str) -> tuple[str, str]:
    """Splits who says what success is from what is said; where only who is told, that is the criterion too."""
    author, colon, criterion = source.partition(": ")
    if not colon:
        return author.partition("'s ")[0], source
    if author.startswith("ours"):
        return "this project", criterion
    return ("the task's definition" if author == "by definition" else author), criterion


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
