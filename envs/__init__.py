"""The simulators and their scripted experts, imported as `gato.envs`.

Each family imports its simulator when a task is made.
"""

if __name__ != "gato.envs":
    raise ImportError(
        f"this package is imported as 'gato.envs', not {__name__!r}: install the project (pip install -e .)"
    )

from .catalog import all_tasks, get_task
from .task import Expert, Scores, Task

__all__ = ["Expert", "Scores", "Task", "all_tasks", "get_task"]
