"""Generated data beside control: pictures of rooms with captions and questions, and texts about rooms and tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

import numpy as np

from .rooms import COLORS, PICTURE_SIDES, ROOM_SIDES, SHAPES, Room, RoomObject, random_room
from .talk.dialogues import Turn
from .talk.facts import acts, senses
from .talk.names import family_name, title
from .task import Task

_Item = TypeVar("_Item")


class Question(NamedTuple):
    """A question about one room with its only right answer."""

    question: str
    answer: str
    kind: Literal["count", "color", "shape", "presence"]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One picture with its texts."""

    image: np.ndarray  # (height, width, 3) uint8
    caption: str
    questions: tuple[Question, ...]


def scenes(rng: np.random.Generator, num_training: int, num_held_out: int) -> tuple[list[Scene], list[Scene]]:
    """Draws training and held-out scenes of rooms of several sizes; none is in both, whatever the seeds."""
    training = [_scene(rng, random_room(rng, PICTURE_SIDES)) for _ in range(num_training)]
    held_out = [_scene(rng, random_room(rng, PICTURE_SIDES, held_out=True)) for _ in range(num_held_out)]
    return training, held_out


def descriptions(rng: np.random.Generator, num_texts: int, tasks: Sequence[Task]) -> list[str]:
    """Draws short paragraphs, each about one of the tasks or one room."""
    return [
        _task_description(rng, _pick(rng, tasks))
        if rng.random() < 0.5
        else _room_description(rng, random_room(rng, ROOM_SIDES))
        for _ in range(num_texts)
    ]


def room_dialogues(rng: np.random.Generator, num_dialogues: int) -> list[tuple[Turn, ...]]:
    """Draws talks of one to three questions, each about a room that the user describes."""
    return [_room_dialogue(rng) for _ in range(num_dialogues)]


def _scene(rng: np.random.Generator, room: Room) -> Scene:
    return Scene(image=room.draw(), caption=room.caption, questions=_questions(rng, room))


def _questions(rng: np.random.Generator, room: Room) -> tuple[Question, ...]:
    """All questions about a room in random order; color and shape only where they have a single answer."""
    objects = room.objects
    questions = [Question("how many objects are there?", ("one", "two")[len(objects) - 1], "count")]
    for item in objects:
        if sum(other.shape == item.shape for other in objects) == 1:
            questions.append(Question(f"what color is the {item.shape}?", item.color, "color"))
        if sum(other.color == item.color for other in objects) == 1:
            questions.append(Question(f"what is the {item.color} object?", item.shape, "shape"))
    questions.append(_presence(rng, {item.name for item in objects}))
    return tuple(questions[index] for index in rng.permutation(len(questions)))


def _presence(rng: np.random.Generator, present: set[str]) -> Question:
    """Asks for an object that is there, or as often for one of those that are not."""
    there = rng.random() < 0.5
    names = [f"{color} {shape}" for color in COLORS for shape in SHAPES]
    asked = _pick(rng, [name for name in names if (name in present) == there])
    return Question(f"is there a {asked}?", "yes" if there else "no", "presence")


def _task_description(rng: np.random.Generator, task: Task) -> str:
    name = title(task)
    facts = [
        acts(task),
        f"An episode of {name} ends after {task.max_episode_steps} steps at the latest.",
        f"The agent sees {' and '.join(senses(task))}.",
        f"{name} is one of the {family_name(task.family)} tasks.",
    ]
    rng.shuffle(facts)
    opening = _pick(
        rng,
        (
            f"The task {name}: {task.description}",
            f"In {name} the goal is simple. {task.description}",
            f"{name}. {task.description}",
        ),
    )
    return " ".join([opening, *facts[: rng.integers(1, len(facts) + 1)]])


def _room_description(rng: np.random.Generator, room: Room) -> str:
    size = f"{room.width} cells wide and {room.height} cells high"
    opening = _pick(
        rng, (f"The floor of this room is {size}.", f"A room with a floor {size}.", f"This room is {size} inside.")
    )
    places = [
        _pick(rng, (f"There is a {item.name} {_place(room, item)}.", f"A {item.name} lies {_place(room, item)}."))
        for item in room.objects
    ]
    ending = [f"The {_relation(room)}."] if len(room.objects) == 2 and _different(room) else []
    return " ".join([opening, *places, *ending])


def _room_dialogue(rng: np.random.Generator) -> tuple[Turn, ...]:
    room = random_room(rng, ROOM_SIDES)
    answers = [
        (question.question.capitalize(), f"{question.answer.capitalize()}.") for question in _questions(rng, room)
    ]
    answers.append(("What is in the room?", f"{room.caption.capitalize()}."))
    if _different(room):
        item = _pick(rng, room.objects)
        answers.append((f"Where is the {item.name}?", f"It is {_place(room, item)}."))
        if len(room.objects) == 2:
            answers.append(("How do the two objects lie?", f"The {_relation(room)}."))
    first, *rest = _talk(rng, answers)
    return (("user", f"{_room_description(rng, room)} {first[1]}"), *rest)


def _talk(rng: np.random.Generator, answers: Sequence[tuple[str, str]]) -> tuple[Turn, ...]:
    """One to three of the questions in random order, each answered."""
    turns: list[Turn] = []
    for index in rng.permutation(len(answers))[: rng.integers(1, 4)]:
        question, answer = answers[index]
        turns += [("user", question), ("agent", answer)]
    return tuple(turns)


def _pick(rng: np.random.Generator, items: Sequence[_Item]) -> _Item:
    return items[int(rng.integers(len(items)))]


def _different(room: Room) -> bool:
    """Whether each object can be told apart by its name."""
    return len({item.name for item in room.objects}) == len(room.objects)


def _place(room: Room, item: RoomObject) -> str:
    """The part of the room that an object lies in."""
    vertical = _third(item.row, room.height, ("top", "", "bottom"))
    horizontal = _third(item.column, room.width, ("left", "", "right"))
    side = f"{vertical} {horizontal}".strip()
    return f"at the {side}" if side else "in the middle"


def _third(index: int, num_cells: int, names: tuple[str, str, str]) -> str:
    """The third of a line of cells that a cell's centre lies in."""
    return names[3 * (2 * index + 1) // (2 * num_cells)]


def _relation(room: Room) -> str:
    """Where the first object is relative to the second: rooms sort them by column, then row."""
    first, second = room.objects
    word = "above" if first.column == second.column else "to the left of"
    return f"{first.name} is {word} the {second.name}"
