"""Talks in which the agent knows itself and its tasks and says what it cannot know, with an exam in unseen wordings."""

from .dialogues import talks
from .exam import ExamQuestion, exam

__all__ = ["ExamQuestion", "exam", "talks"]
