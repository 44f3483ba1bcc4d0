"""The context suite: groups of tasks that look alike at the start, so that only a demonstration tells what to do.

Each task is one such group; its variants are what a demonstration may ask for.
"""

from .suite import TASKS

__all__ = ["TASKS"]
