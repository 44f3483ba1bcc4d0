"""Scores of captions and answers: exact match with the reference, per kind of question."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gato.evaluation.statistics import Interval, wilson_interval


@dataclass(frozen=True, kw_only=True)
class LanguageExample:
    """An image to be described, or asked about, and the text that is right."""

    image: np.ndarray  # (height, width[, channels]) uint8
    reference: str
    question: str | None = None


@dataclass(frozen=True, kw_only=True)
class LanguageTrial:
    """One image, what was asked about it and what the agent said."""

    example: LanguageExample
    kind: str  # such as "caption" or "colour"; scores are reported by it
    answer: str

    @property
    def correct(self) -> bool:
        """Equal to the reference, letter by letter, but for surrounding white space."""
        return self.answer.strip() == self.example.reference.strip()


@dataclass(frozen=True, kw_only=True)
class LanguageScore:
    """The share of exact matches among the trials of one kind."""

    kind: str
    num_trials: int
    accuracy: Interval


def evaluate_language(
    examples: Sequence[LanguageExample],
    kinds: Sequence[str],
    answer: Callable[[Sequence[LanguageExample]], Sequence[str]],
    *,
    batch_size: int = 32,
) -> list[LanguageTrial]:
    """Has the agent describe each image, or answer the question about it.

    Args:
        kinds: one name per example.
        answer: a batch of examples -> what the agent says to each, without looking at their reference texts.
    """
    if len(kinds) != len(examples):
        raise ValueError(f"{len(kinds)} kinds came for {len(examples)} examples: give one each")
    answers: list[str] = []
    for start in range(0, len(examples), batch_size):
        batch = examples[start : start + batch_size]
        given = answer(batch)
        if len(given) != len(batch):
            raise ValueError(f"{len(given)} answers came for {len(batch)} examples: expected one each")
        answers += given
    return [
        LanguageTrial(example=example, kind=kind, answer=text)
        for example, kind, text in zip(examples, kinds, answers, strict=True)
    ]


def score_language(trials: Sequence[LanguageTrial]) -> list[LanguageScore]:
    """Computes the accuracy of each kind with its Wilson interval, in the order in which the kinds first appear."""
    by_kind: dict[str, list[bool]] = {}
    for trial in trials:
        by_kind.setdefault(trial.kind, []).append(trial.correct)
    return [
        LanguageScore(kind=kind, num_trials=len(hits), accuracy=wilson_interval(sum(hits), len(hits)))
        for kind, hits in by_kind.items()
    ]
