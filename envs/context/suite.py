"""All groups of the context suite, each from a module beside this one."""

from ..task import Task
from . import cart_position, dark_room, hidden_goals, metaworld_groups, pendulum_mode, remapped_moves, shown_object

TASKS: tuple[Task, ...] = (
    *dark_room.TASKS,
    *shown_object.TASKS,
    *cart_position.TASKS,
    *pendulum_mode.TASKS,
    *hidden_goals.TASKS,
    *metaworld_groups.TASKS,
    *remapped_moves.TASKS,
)
