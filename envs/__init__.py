"""The simulators and their scripted experts, imported as `gato.envs`.

Each family imports its simulator when a task is made.
"""

if __name__ != "gato.envs":
    raise ImportError(
        f"this package is imported as 'gato.envs', not {__name__!r}: install the project (pip install -e .)"
    )

from .catalog import QUICK, all_tasks, find_task, get_task, select_tasks
from .paper_domains import PAPER_DOMAINS, PaperDomain
from .task import Expert, Score, Scores, Task

__all__ = [
    "PAPER_DOMAINS",
    "QUICK",
    "Expert",
    "PaperDomain",
    "Score",
    "Scores",
    "Task",
    "all_tasks",
    "find_task",
    "get_task",
    "select_tasks",
]
