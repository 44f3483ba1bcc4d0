"""Measures how the random policy and the experts score: the reference file behind every normalised score."""

import datetime
import importlib.metadata
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gato.envs import Score, Scores, Task, get_task
from gato.envs.reference import reference_scores, write_reference_scores
from gato.evaluation.actors import ExpertActor, RandomActor
from gato.evaluation.rollout import rollout
from gato.experiments.recording import CALL_LIMIT
from gato.experiments.workers import work
from gato.seeds import MEASUREMENT_SEED

Player = Literal["random", "expert"]

SLOW_SECONDS = 5.0  # an episode that takes longer is played less often
_PART = 10  # episodes of one job


@dataclass(frozen=True, kw_only=True)
class _Job:
    task: str
    player: Player
    first: int  # episode


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    episode_return: float
    steps: int
    success: bool
    seconds: float


def _play(job: _Job) -> list[_Outcome]:
    task = get_task(job.task)
    seeds = range(MEASUREMENT_SEED + job.first, MEASUREMENT_SEED + job.first + _PART)
    options = [task.variants[seed % len(task.variants)] for seed in seeds]
    actor: ExpertActor | RandomActor
    if job.player == "expert":
        assert task.make_expert is not None
        actor = ExpertActor(task.make_expert, cpu_seconds=CALL_LIMIT)
    else:
        env = task.make()
        actor = RandomActor(env.action_space)
        env.close()
    outcomes = []
    begun = time.perf_counter()
    for done in rollout(task.make, actor, seeds, options=options):
        episode = done.episode
        outcomes.append(
            _Outcome(
                episode_return=episode.episode_return,
                steps=len(episode),
                success=task.success(episode.episode_return, done.info),
                seconds=time.perf_counter() - begun,
            )
        )
        begun = time.perf_counter()
    return outcomes


def _score(task: Task, player: Player, outcomes: list[_Outcome]) -> Score:
    returns = [outcome.episode_return for outcome in outcomes]
    packages = ("gymnasium", "numpy", *task.packages)
    return Score(
        mean=round(float(np.mean(returns)), 4),
        std=round(float(np.std(returns, ddof=1)), 4),
        episodes=len(returns),
        steps=round(float(np.mean([outcome.steps for outcome in outcomes])), 1),
        success=round(float(np.mean([outcome.success for outcome in outcomes])), 3),
        date=datetime.date.today().isoformat(),
        versions=", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages),
        source=f"gato measure: {'the expert' if player == 'expert' else 'uniform actions'}, "
        f"seeds from {MEASUREMENT_SEED}",
    )


def _in_parts(counts: Iterable[int]) -> int:
    """Counts the episodes when each count is played in whole parts."""
    return sum(math.ceil(count / _PART) * _PART for count in counts)


def measure_references(
    tasks: Sequence[Task],
    out: Path,
    *,
    episodes: int,
    slow_episodes: int,
    again: bool,
    num_workers: int,
    console: Console,
) -> None:
    """Measures the random policy and the expert of each task, and writes the file after each measurement.

    Args:
        tasks: to measure; scores of other tasks stay in the file.
        out: the reference file.
        episodes: of each player on each task, in tens.
        slow_episodes: the same where an episode takes longer than `SLOW_SECONDS`.
        again: measure what the file has already.
        num_workers: processes.
        console: where progress is shown.

    Raises:
        ValueError: measurements failed; raised after the others are done.
    """
    scores = reference_scores(out) if out.exists() else {}
    measured: dict[str, dict[str, Score]] = {task.name: {} for task in tasks}
    if not again:
        for name in measured.keys() & scores.keys():
            known = {"random": scores[name].random, "expert": scores[name].expert}
            measured[name] = {player: score for player, score in known.items() if score is not None}
    wanted: dict[tuple[str, Player], int] = {}
    for task in tasks:
        players: tuple[Player, ...] = ("random", "expert") if task.make_expert else ("random",)
        wanted |= {(task.name, player): episodes for player in players if player not in measured[task.name]}
    outcomes: dict[tuple[str, Player], dict[int, list[_Outcome]]] = defaultdict(dict)
    under_way: dict[tuple[str, Player], int] = defaultdict(int)
    failures: dict[str, Exception] = {}

    def next_job() -> _Job | None:
        for (task, player), count in wanted.items():
            first = under_way[task, player]
            if first < count:
                under_way[task, player] += _PART
                return _Job(task=task, player=player, first=first)
        return None

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task("episodes", total=_in_parts(wanted.values()))
        for job, result in work(next_job, _play, num_workers):
            key = (job.task, job.player)
            if isinstance(result, Exception):
                failures.setdefault(f"{job.task}, {job.player}", result)
                wanted.pop(key, None)
                continue
            if key not in wanted:
                continue
            outcomes[key][job.first] = result
            if np.mean([outcome.seconds for outcome in result]) > SLOW_SECONDS:
                wanted[key] = min(wanted[key], slow_episodes)
            done = sum(map(len, outcomes[key].values()))
            if done >= wanted[key] and done == under_way[key]:
                played = [outcome for first in sorted(outcomes[key]) for outcome in outcomes[key][first]]
                score = _score(get_task(job.task), job.player, played)
                measured[job.task][job.player] = score
                if "random" in measured[job.task]:
                    scores[job.task] = Scores(**measured[job.task])
                    write_reference_scores(scores, out)
                console.print(
                    f"  {job.task}, {job.player}: {score.mean:.4g} ± {score.standard_error:.2g}, "
                    f"success {score.success:.2f}, {sum(outcome.seconds for outcome in played):.0f} s",
                    soft_wrap=True,
                )
            num_played = sum(len(part) for parts in outcomes.values() for part in parts.values())
            progress.update(bar, total=_in_parts(wanted.values()), completed=num_played)
    if failures:
        which, error = next(iter(failures.items()))
        raise ValueError(f"{len(failures)} of the measurements failed, the first is {which}: {error!r}")
