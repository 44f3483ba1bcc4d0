"""Measures the random policy and the expert of each task: `python -m gato.envs.measure [task ...]`."""

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from .catalog import all_tasks, get_task
from .reference import SCORES_PATH, reference_scores
from .task import Scores, Task

FIRST_SEED = 3_000_000  # apart from the seeds of collection and evaluation
_DISTRIBUTIONS = {"babyai": ("minigrid",), "box2d": ("box2d",)}  # beside gymnasium and numpy


def measure(task: Task, episodes: int) -> Scores:
    """Plays `episodes` episodes at random and as many by the expert, on the same seeds and variants.

    Raises:
        ValueError: the task has no expert.
    """
    if task.make_expert is None:
        raise ValueError(f"task {task.name!r} has no expert: its scores cannot be measured")
    env = task.make()
    env.action_space.seed(FIRST_SEED)
    random_returns = _returns(task, env, episodes, lambda: None, lambda observation: env.action_space.sample())
    expert = task.make_expert(env, np.random.default_rng(FIRST_SEED))
    expert_returns = _returns(task, env, episodes, expert.reset, expert.act)
    env.close()
    packages = ("gymnasium", "numpy", *_DISTRIBUTIONS.get(task.family, ()))
    return Scores(
        random_mean=round(float(np.mean(random_returns)), 4),
        random_std=round(float(np.std(random_returns, ddof=1)), 4),
        random_episodes=episodes,
        expert_mean=round(float(np.mean(expert_returns)), 4),
        expert_std=round(float(np.std(expert_returns, ddof=1)), 4),
        expert_episodes=episodes,
        date=datetime.date.today().isoformat(),
        versions=", ".join(f"{package} {importlib.metadata.version(package)}" for package in packages),
        source=f"python -m gato.envs.measure: uniform actions and the task's expert, seeds from {FIRST_SEED}",
    )


def _returns(
    task: Task,
    env: gymnasium.Env[Any, Any],
    episodes: int,
    reset: Callable[[], None],
    act: Callable[[Any], Any],
) -> list[float]:
    """Undiscounted returns, the task's variants in turn."""
    returns = []
    for episode in range(episodes):
        options = dict(task.variants[episode % len(task.variants)])
        observation, _ = env.reset(seed=FIRST_SEED + episode, options=options)
        reset()
        episode_return, ended = 0.0, False
        while not ended:
            observation, reward, terminated, truncated, _ = env.step(act(observation))
            episode_return += float(reward)
            ended = terminated or truncated
        returns.append(episode_return)
    return returns


def main() -> None:
    """Writes the scores of the named tasks, or of all, into the reference file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", help="task names; all that have an expert where none is given")
    parser.add_argument("--episodes", type=int, default=200, help="of each policy on each task")
    arguments = parser.parse_args()
    tasks = [get_task(name) for name in arguments.tasks] or [task for task in all_tasks() if task.make_expert]
    scores = reference_scores()
    for task in tasks:
        scores[task.name] = measure(task, arguments.episodes)
        random, expert = scores[task.name].random_mean, scores[task.name].expert_mean
        print(f"{task.name}: random {random}, expert {expert}", flush=True)
    fields = {name: dataclasses.asdict(scores[name]) for name in sorted(scores)}
    SCORES_PATH.write_text(json.dumps(fields, indent=2) + "\n")


if __name__ == "__main__":
    main()
