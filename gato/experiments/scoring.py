"""Scores of single tasks: joins the catalogue of tasks with the evaluation room."""

from collections.abc import Callable, Container

import gymnasium as gym

from gato.config import EvaluationConfig, PolicyConfig
from gato.data.prompt import Part
from gato.envs import Task
from gato.evaluation.evaluate import PromptStudy, play_cells, score_records, study_prompts
from gato.evaluation.journal import key_of
from gato.evaluation.prompt_policy import PromptPolicy
from gato.evaluation.rollout import Rollout
from gato.evaluation.scores import Prompt, ScoreRecord
from gato.experiments.session import Match
from gato.inference.agent import Agent


def prompt_policy(
    policy: PolicyConfig,
    kind: Prompt = "right",
    *,
    part: Part | None = None,
    max_tokens: int | None = None,
    terminal_observation: bool | None = None,
    pinned: bool = True,
    demonstrations: int = 1,
) -> PromptPolicy:
    """The prompts that a run's config describes, with what is given in place of it."""
    return PromptPolicy(
        kind=kind,
        part=policy.prompt_part if part is None else part,
        max_tokens=policy.prompt_tokens if max_tokens is None else max_tokens,
        terminal_observation=policy.terminal_observation if terminal_observation is None else terminal_observation,
        pinned=pinned,
        demonstrations=demonstrations,
    )


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
        prompt_policy(agent.policy, "right" if prompted else "none"),
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
    match = Match(agent, [task], prompt_policy(agent.policy))
    cells = match.plan(config, study=True).cells
    actor = match.actor(cells, config.num_envs)
    return study_prompts(match.played()[task.name], cells, actor, num_envs=config.num_envs)


def check_context_task(task: Task) -> None:
    """Refuses a task that cannot say whether an episode did what a variant asks for."""
    if task.follows is None:
        raise ValueError(f"task {task.name!r} is no context task: choose one with the tag 'context'")
