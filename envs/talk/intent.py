"""Intents: what a user may want to know, and the wordings that ask for it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Intent:
    """One thing to ask for, as data; names in braces, such as {task}, stand for what is filled in."""

    name: str
    wordings: tuple[str, ...]  # of training
    held_out: tuple[str, ...]  # of the exam alone
    answers: tuple[str, ...] = ()  # each is right; empty where they depend on the tasks
    alone: bool = False  # is never introduced by a greeting, nor followed by "please"
