"""Scores of single tasks: joins the catalogue of tasks with the evaluation room."""

from collections.abc import Callable, Container

import gymnasium as gym

from gato.config import EvaluationConfig
from gato.envs import Task
from gato.evaluation.evaluate import PromptStudy, play_cells, score_records, study_prompts
from gato.evaluation.journal import key_of
from gato.evaluation.rollout import Rollout
from gato.evaluation.scores import ScoreRecord
from gato.experiments.session import Match
from gato.inference.agent import Agent


def score_task(
    agent: Agent,
    task: Task,
    config: EvaluationConfig,
    *,
    prompted: bool,
    make: Callable[..., gym.Env] | None = None,
    keep_frames: Container[int] = (),
) -> tuple[ScoreRecord, list[Rollout]]:
    """The score of one task and its episodes, each after a demonstration of its own variant where `prompted`.

    Args:
        make: in place of the task's own, such as one that renders.
        keep_frames: episodes (counted from 0) whose rendered frames are kept.

    Raises:
        ValueError: the agent cannot play the task so; says why.
    """
    match = Match(
        agent,
        [task],
        agent.policy.prompt,
        kind="right" if prompted else "none",
        make=lambda name: task.make() if make is None else make(),
    )
    cells = match.plan(config).cells
    tasks = match.played()
    frames = {cell for cell in cells if cell.episode in keep_frames}
    actor = match.actor(cells, config.num_envs)
    done = dict(play_cells(cells, tasks, actor, num_envs=config.num_envs, keep_frames=frames))
    results = {key_of(cell): tasks[task.name].result(cell, played) for cell, played in done.items()}
    (record,) = score_records(cells, results, tasks)
    return record, [done[cell] for cell in cells]


def study_task(agent: Agent, task: Task, config: EvaluationConfig) -> PromptStudy:
    """A context task under a right, a wrong and no demonstration, on trained and held-out variants.

    Raises:
        ValueError: the task is not one whose variants look alike.
    """
    check_context_task(task)
    match = Match(agent, [task], agent.policy.prompt)
    cells = match.plan(config, study=True).cells
    actor = match.actor(cells, config.num_envs)
    return study_prompts(match.played()[task.name], cells, actor, num_envs=config.num_envs)


def check_context_task(task: Task) -> None:
    """Refuses a task that cannot say whether an episode did what a variant asks for."""
    if task.follows is None:
        raise ValueError(f"task {task.name!r} is no context task: choose one with the tag 'context'")
