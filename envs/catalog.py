"""The catalogue: every task of every family, joined with its measured reference scores."""

import dataclasses
import difflib
import functools

from . import babyai, box2d, classic_control, dark_room, toy_text
from .reference import reference_scores
from .task import Task


@functools.cache
def all_tasks() -> tuple[Task, ...]:
    """All tasks, family by family."""
    scores = reference_scores()
    families = (classic_control, toy_text, box2d, babyai, dark_room)
    return tuple(
        dataclasses.replace(task, scores=scores.get(task.name)) for family in families for task in family.TASKS
    )


def get_task(name: str) -> Task:
    """The task of that name.

    Raises:
        ValueError: there is none; names the nearest one.
    """
    tasks = {task.name: task for task in all_tasks()}
    if name not in tasks:
        near = difflib.get_close_matches(name, tasks, n=1)
        hint = f", did you mean {near[0]!r}?" if near else f", known are {', '.join(sorted(tasks))}"
        raise ValueError(f"no task is named {name!r}{hint}")
    return tasks[name]
