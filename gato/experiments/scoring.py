"""Scores of single tasks of the catalogue."""

from collections.abc import Callable, Container

import gymnasium as gym

from gato.config import EvaluationConfig
from gato.envs import Task
from gato.evaluation.evaluate import PromptAblation, prompt_ablation, result_of, score_records
from gato.evaluation.rollout import Rollout
from gato.evaluation.scores import ScoreRecord
from gato.experiments.session import EvaluationSession
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
    """Scores one task and returns its episodes, each after a demonstration of its own variant where `prompted`.

    Args:
        make: in place of the task's own, such as one that renders.
        keep_frames: episodes (counted from 0) whose rendered frames are kept.

    Raises:
        ValueError: the agent cannot play the task so; says why.
    """
    session = EvaluationSession(
        agent,
        [task],
        agent.policy.prompt,
        kind="right" if prompted else "none",
        make=lambda name: task.make() if make is None else make(),
    )
    specs = session.plan(config).specs
    frames = {spec for spec in specs if spec.episode in keep_frames}
    played = dict(session.play(specs, config.num_envs, keep_frames=frames))
    results = {spec.key: result_of(spec, session.tasks[task.name], done) for spec, done in played.items()}
    (record,) = score_records(specs, results, session.tasks)
    return record, [played[spec] for spec in specs]


def ablate_prompts(agent: Agent, task: Task, config: EvaluationConfig) -> PromptAblation:
    """Plays a context task under a right, a wrong and no demonstration, on trained and held-out variants.

    Raises:
        ValueError: the task is not one whose variants look alike.
    """
    check_context_task(task)
    session = EvaluationSession(agent, [task], agent.policy.prompt)
    specs = session.plan(config, ablation=True).specs
    return prompt_ablation(specs, session.tasks[task.name], dict(session.play(specs, config.num_envs)))


def check_context_task(task: Task) -> None:
    """Refuses a task that cannot say whether an episode did what a variant asks for."""
    if task.follows is None:
        raise ValueError(f"task {task.name!r} is no context task: choose one with the tag 'context'")
