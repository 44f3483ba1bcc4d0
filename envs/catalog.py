"""The catalogue: every task of every family, joined with what was measured of it."""

import dataclasses
import difflib
import fnmatch
import functools
import importlib
import importlib.metadata
from collections.abc import Iterable, Sequence
from typing import Any

from .reference import measured_noise, reference_scores
from .task import Scores, Task

# Each family is a module of that name beside this one, with its tasks in TASKS.
FAMILIES = (
    "classic_control",
    "toy_text",
    "box2d",
    "mujoco",
    "dm_control",
    "robotics",
    "dexterous",
    "metaworld",
    "babyai",
    "minigrid",
    "sokoban",
    "atari",
    "context",
)
# A taste of every family that has experts: forty tasks whose demonstrations take minutes in all.
QUICK: tuple[str, ...] = (
    "cartpole",
    "pendulum",
    "mountain-car",
    "mountain-car-continuous",
    "acrobot",
    "frozen-lake",
    "taxi",
    "cliff-walking",
    "lunar-lander",
    "lunar-lander-continuous",
    "mujoco-inverted-pendulum",
    "mujoco-inverted-double-pendulum",
    "mujoco-reacher",
    "mujoco-swimmer",
    "dm-control-cartpole-balance",
    "dm-control-pendulum-swingup",
    "dm-control-reacher-easy",
    "dm-control-point-mass-easy",
    "fetch-reach",
    "fetch-push",
    "point-maze-umaze",
    "point-maze-medium",
    "metaworld-reach",
    "metaworld-push",
    "metaworld-button-press",
    "metaworld-drawer-open",
    "babyai-go-to-red-ball-grey",
    "babyai-go-to-local",
    "babyai-open-door",
    "babyai-pickup-loc",
    "babyai-put-next-local",
    "babyai-unlock-local",
    "minigrid-door-key-6x6",
    "minigrid-fetch-6x6-n2",
    "minigrid-go-to-door-6x6",
    "minigrid-lava-gap-s6",
    "minigrid-memory-s7",
    "sokoban-7x7-1",
    "sokoban-8x8-2",
    "dark-room",
)
PLUGINS = "gato_families"  # entry points of other packages: each names a module with TASKS


@functools.cache
def all_tasks() -> tuple[Task, ...]:
    """All tasks in their first view, family by family; families of other packages follow ours.

    Raises:
        ValueError: two tasks have the same name.
    """
    modules = [importlib.import_module(f"{__package__}.{family}") for family in FAMILIES]
    modules += [entry.load() for entry in importlib.metadata.entry_points(group=PLUGINS)]
    scores, noise = reference_scores(), measured_noise()
    tasks = tuple(_with_measurements(task, scores, noise) for module in modules for task in module.TASKS)
    names = [task.name for task in tasks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"several tasks are named {twice[0]!r}: names are unique across families")
    return tasks


def find_task(name: str) -> Task | None:
    """Returns the task of that name, or of that name and view, such as "babyai-go-to-local-pixels"; None if none is."""
    return _tasks_by_name().get(name)


def get_task(name: str) -> Task:
    """Returns the task that `find_task` finds.

    Raises:
        ValueError: there is none; names the nearest one.
    """
    task = find_task(name)
    if task is None:
        near = difflib.get_close_matches(name, _tasks_by_name(), n=1)
        hint = f", did you mean {near[0]!r}?" if near else ": list all with `gato tasks`"
        raise ValueError(f"no task is named {name!r}{hint}")
    return task


def select_tasks(patterns: Sequence[str] = (), families: Iterable[str] = ()) -> list[Task]:
    """The tasks that any pattern matches, or that belong to any of the families, in the catalogue's order.

    Args:
        patterns: names, or shell patterns such as "babyai-go-to-*", which match names without a view; a view is
            chosen by its full name.
        families: names of families.

    Raises:
        ValueError: a pattern or a family selects nothing.
    """
    chosen: dict[str, Task] = {}
    for family in families:
        found = [task for task in all_tasks() if task.family == family]
        if not found:
            known = ", ".join(dict.fromkeys(task.family for task in all_tasks()))
            raise ValueError(f"no family is named {family!r}, known are {known}")
        chosen |= {task.name: task for task in found}
    for pattern in patterns:
        if any(letter in pattern for letter in "*?["):
            found = [task for task in all_tasks() if fnmatch.fnmatchcase(task.name, pattern)]
            if not found:
                raise ValueError(f"no task matches {pattern!r}: list all with `gato tasks`")
        else:
            found = [get_task(pattern)]
        chosen |= {task.name: task for task in found}
    order = {name: number for number, name in enumerate(_tasks_by_name())}
    return sorted(chosen.values(), key=lambda task: order[task.name])


@functools.cache
def _tasks_by_name() -> dict[str, Task]:
    tasks: dict[str, Task] = {}
    for task in all_tasks():
        for seen in [task, *(task.seen_as(view) for view in list(task.views)[1:])]:
            if seen.name in tasks:
                raise ValueError(f"a view of a task has the name of another task: {seen.name!r}")
            tasks[seen.name] = seen
    return tasks


def _with_measurements(task: Task, scores: dict[str, Scores], noise: dict[str, dict[str, float]]) -> Task:
    fields: dict[str, Any] = dict(noise.get(task.name, {}))
    if measured := scores.get(task.name):
        fields["scores"] = dataclasses.replace(measured, human=task.human)
    return dataclasses.replace(task, **fields)
