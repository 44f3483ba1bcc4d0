"""What the quickstart should reach, which of it a run missed, and which task the run plays well."""

from collections.abc import Sequence
from dataclasses import dataclass

from gato.evaluation.language_scores import LanguageTrial
from gato.evaluation.scores import ScoreRecord
from gato.evaluation.statistics import Interval, wilson_interval
from gato.reports.format import interval_text, minus
from gato.reports.table import Table

# Normalised scores of tasks, fractions of exact matches of pictures.
TARGET_SCORES = {
    "cartpole": 0.90,
    "acrobot": 0.90,
    "mountain-car-continuous": 0.95,
    "lunar-lander": 0.70,
    "pendulum": 0.60,
    "babyai-go-to-red-ball-grey-pixels": 0.60,
    "babyai-go-to-local-pixels": 0.40,
    "captions": 0.80,
    "questions": 0.80,
}
# Tasks with something to see, the most interesting one first.
TASKS_TO_WATCH = (
    "lunar-lander",
    "babyai-go-to-local-pixels",
    "babyai-go-to-red-ball-grey-pixels",
    "acrobot",
    "pendulum",
    "mountain-car-continuous",
    "cartpole",
)


@dataclass(frozen=True, kw_only=True)
class Reached:
    """What a run reached in one task or test, with its 95 % interval over episodes or pictures."""

    name: str  # of `TARGET_SCORES`
    score: Interval
    trials: str  # how many were played or shown, such as "20 episodes"

    @property
    def target(self) -> float:
        return TARGET_SCORES[self.name]

    @property
    def passed(self) -> bool:
        return self.score.value >= self.target

    @property
    def score_text(self) -> str:
        """The score in two digits, or in four where two would not tell it from a target that it misses."""
        text = f"{self.score.value:z.2f}"
        return minus(text if self.passed or text != f"{self.target:.2f}" else f"{self.score.value:.4f}")


def reached_by(records: Sequence[ScoreRecord], language: Sequence[LanguageTrial]) -> list[Reached]:
    """Lists what has a target, in the order of `TARGET_SCORES`.

    Args:
        records: at most one per task.
        language: captions of pictures, whose kind is "caption", and answers.
    """
    found = {
        record.task: Reached(name=record.task, score=record.interval, trials=f"{record.episodes} episodes")
        for record in records
        if record.interval is not None and record.task in TARGET_SCORES
    }
    for name in ("captions", "questions"):
        hits = [trial.correct for trial in language if (trial.kind == "caption") == (name == "captions")]
        found[name] = Reached(name=name, score=wilson_interval(sum(hits), len(hits)), trials=f"{len(hits)} pictures")
    return [found[name] for name in TARGET_SCORES if name in found]


def target_table(reached: Sequence[Reached]) -> Table:
    """Lists what was reached beside its targets."""
    rows = [(each.name, each.score_text, f"{each.target:.2f}", "yes" if each.passed else "no") for each in reached]
    return Table(headings=("what", "reached", "target", "passed"), rows=tuple(rows))


def missed_sentences(reached: Sequence[Reached], *, share: float) -> list[str]:
    """Returns a sentence for each missed target: the score, its interval, the target, and what helps.

    Args:
        share: fraction of the full amount of data that the run learned from.
    """
    return [
        f"{each.name} reached {each.score_text} ({interval_text(each.score)}), the target is {each.target:.2f}: "
        f"{_what_helps(each, share)}."
        for each in reached
        if not each.passed
    ]


def _what_helps(missed: Reached, share: float) -> str:
    if share < 1:
        return f"this run had {share:.0%} of the data, and the target is meant for all of it (--share 1)"
    if missed.score.high >= missed.target and missed.name in TASKS_TO_WATCH:
        return f"{missed.trials} leave it open, and `gato evaluate` with --episodes 100 tells more; runs differ too"
    return "runs differ, and one of another seed may reach it (--set seed=NUMBER --out FOLDER)"


def task_to_watch(reached: Sequence[Reached]) -> str:
    """Returns the task of `TASKS_TO_WATCH` that was played best among those that reached their target.

    Tasks at the expert's score or above are equal, as are those equal in two digits: the more interesting one is
    returned. If none reached its target, it is the task nearest to its target.

    Raises:
        ValueError: nothing of `TASKS_TO_WATCH` was played.
    """
    played = {each.name: each for each in reached}
    candidates = [played[name] for name in TASKS_TO_WATCH if name in played]
    if not candidates:
        raise ValueError(f"scores of {sorted(played)} came, expected one or more of {list(TASKS_TO_WATCH)}")
    if passed := [each for each in candidates if each.passed]:
        return max(passed, key=lambda each: round(min(each.score.value, 1.0), 2)).name  # the first of equal ones
    return max(candidates, key=lambda each: round(each.score.value - each.target, 2)).name
