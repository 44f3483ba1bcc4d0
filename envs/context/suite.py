"""All groups of the context suite; the seven kinds and their sources are those of the modules beside this one."""

from ..task import Task
from . import dark_room

TASKS: tuple[Task, ...] = (*dark_room.TASKS,)
