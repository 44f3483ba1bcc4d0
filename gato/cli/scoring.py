"""Plays tasks with an agent: joins the catalogue of tasks with the evaluation room."""

import functools
from collections.abc import Callable, Container, Sequence
from typing import Any

from gato.config import EvaluationConfig
from gato.data.episode import Episode
from gato.envs import Task
from gato.evaluation.actors import ExpertActor
from gato.evaluation.evaluate import PromptStudy, Subject, evaluate_task, study_prompts
from gato.evaluation.policy_actor import PolicyActor
from gato.evaluation.rollout import Rollout, rollout
from gato.evaluation.scores import ScoreRecord
from gato.inference.agent import NO_SOURCE, Agent
from gato.inference.batch_policy import BatchPolicy
from gato.tokenizer.elements import Elements

NUM_DEMONSTRATIONS = 10  # different ones that the episodes of one task take turns with
DEMONSTRATION_SEED = 2_000_000  # first seed of demonstrations: away from those of collection and evaluation


def demonstrations(task: Task, seeds: Sequence[int], options: Sequence[dict[str, Any] | None]) -> list[Episode]:
    """Clean episodes of the task's expert.

    Raises:
        ValueError: the task has no expert.
    """
    if task.make_expert is None:
        raise ValueError(f"task {task.name!r} has no expert to demonstrate it: evaluate with --prompt none")
    played = rollout(task.make, ExpertActor(task.make_expert), seeds, options=options)
    return [done.episode for done in played]


def subject_of(task: Task) -> Subject:
    """What a score of the task is normalised with: chance, and its expert or else a human."""
    reference = None if task.scores is None else task.scores.reference
    if task.scores is None or reference is None:
        raise ValueError(f"task {task.name!r} has no reference scores to compare with")
    return Subject(task=task.name, family=task.family, random_mean=task.scores.random.mean, expert_mean=reference.mean)


def open_policy(agent: Agent, task: Task, num_envs: int) -> BatchPolicy:
    """A policy for so many copies of the task's environment, scaled as the source of the task's name."""
    env = task.make()
    source = task.name if task.name in agent.fields else NO_SOURCE
    policy = BatchPolicy(agent, env.observation_space, env.action_space, num_envs=num_envs, source=source)
    env.close()
    return policy


def score_task(
    agent: Agent,
    task: Task,
    config: EvaluationConfig,
    *,
    prompted: bool,
    make: Callable[..., Any] | None = None,
    keep_frames: Container[int] = (),
) -> tuple[ScoreRecord, list[Rollout]]:
    """The score of one task, each episode after a demonstration of its own variant where `prompted`."""
    policy = open_policy(agent, task, min(config.num_envs, config.episodes))
    options = [dict(task.variants[episode % len(task.variants)]) for episode in range(config.episodes)]
    prompts: list[Elements] | None = None
    if prompted:
        # As many demonstrations as there are variants to show, and at least a handful.
        count = min(config.episodes, max(NUM_DEMONSTRATIONS, len(task.variants)))
        seeds = range(DEMONSTRATION_SEED, DEMONSTRATION_SEED + count)
        shown = [
            policy.encode_demonstration(episode.observations, episode.actions)
            for episode in demonstrations(task, seeds, options[:count])
        ]
        prompts = [shown[episode % count] for episode in range(config.episodes)]
    return evaluate_task(
        PolicyActor(policy, prompts),
        make or task.make,
        config,
        subject=subject_of(task),
        prompt="right" if prompted else "none",
        options=options,
        succeeded=lambda done: task.success(done.episode.episode_return, done.info),
        keep_frames=keep_frames,
    )


def study_task(agent: Agent, task: Task, config: EvaluationConfig) -> PromptStudy:
    """A context task under a right, a wrong and no demonstration, on trained and held-out variants.

    Raises:
        ValueError: the task is not one whose variants look alike.
    """
    follows = task.follows
    if follows is None or not task.held_out_variants:
        raise ValueError(f"task {task.name!r} is no context task: choose one with the tag 'context'")
    policy = open_policy(agent, task, min(config.num_envs, config.episodes))
    variants = [*task.variants, *task.held_out_variants]

    @functools.cache
    def shown(index: int, turn: int) -> Elements:
        seed = DEMONSTRATION_SEED + len(variants) * turn + index
        episode = demonstrations(task, [seed], [dict(variants[index])])[0]
        return policy.encode_demonstration(episode.observations, episode.actions)

    return study_prompts(
        lambda prompts: PolicyActor(policy, prompts),
        task.make,
        config,
        subject=subject_of(task),
        variants={
            "trained": [dict(variant) for variant in task.variants],
            "held-out": [dict(variant) for variant in task.held_out_variants],
        },
        demonstrate=lambda options, episode: shown(variants.index(options), episode % NUM_DEMONSTRATIONS),
        follows=follows,
    )
