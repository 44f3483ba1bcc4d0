"""Measures an actor: the score of one task, and whether a demonstration alone decides what is done."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from gato.config import EvaluationConfig
from gato.evaluation.rollout import Actor, Rollout, rollout
from gato.evaluation.scores import Prompt, ScoreRecord, Variants
from gato.tokenizer.elements import Elements


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The task that is scored, and the two mean returns that its scores are normalised with."""

    task: str
    family: str
    random_mean: float
    expert_mean: float


def evaluate_task(
    actor: Actor,
    make_env: Callable[[], gym.Env],
    config: EvaluationConfig,
    *,
    subject: Subject,
    prompt: Prompt = "none",
    options: Sequence[Mapping[str, Any]] | None = None,
    succeeded: Callable[[Rollout], bool] | None = None,
    keep_frames: Container[int] = (),
) -> tuple[ScoreRecord, list[Rollout]]:
    """Plays `config.episodes` episodes from `config.seed` on; the record and the episodes themselves.

    Args:
        prompt: which prompt the actor carries; goes into the record.
        options: reset options, one an episode.
        succeeded: whether an episode solved the task, where that is more than its return says.
        keep_frames: episodes (counted from 0) whose rendered frames are kept.
    """
    seeds = range(config.seed, config.seed + config.episodes)
    rollouts = list(rollout(make_env, actor, seeds, options=options, num_envs=config.num_envs, keep_frames=keep_frames))
    record = ScoreRecord.from_returns(
        [done.episode.episode_return for done in rollouts],
        task=subject.task,
        family=subject.family,
        seed=config.seed,
        random_mean=subject.random_mean,
        expert_mean=subject.expert_mean,
        prompt=prompt,
        success=None if succeeded is None else float(np.mean([succeeded(done) for done in rollouts])),
    )
    return record, rollouts


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One episode of a prompt study: what was asked for, what the demonstration showed, what happened."""

    prompt: Prompt
    variants: Variants
    scored: Mapping[str, Any]  # reset options of the episode
    shown: Mapping[str, Any] | None  # reset options of the demonstration; None without one
    rollout: Rollout


@dataclass(frozen=True, kw_only=True)
class PromptStudy:
    """Right, wrong and no demonstration, on trained and held-out variants of one task."""

    records: tuple[ScoreRecord, ...]
    trials: tuple[Trial, ...]

    def context_effect(self, variants: Variants) -> float | None:
        """Normalised score with the right demonstration minus that with a wrong one: what the prompt is worth."""
        scores = {record.prompt: record.normalized for record in self.records if record.variants == variants}
        right, wrong = scores.get("right"), scores.get("wrong")
        return None if right is None or wrong is None else right - wrong


def study_prompts(
    make_actor: Callable[[Sequence[Elements | None]], Actor],
    make_env: Callable[[], gym.Env],
    config: EvaluationConfig,
    *,
    subject: Subject,
    variants: Mapping[Variants, Sequence[Mapping[str, Any]]],
    demonstrate: Callable[[Mapping[str, Any], int], Elements],
    follows: Callable[[Mapping[str, Any], Mapping[str, Any]], bool],
) -> PromptStudy:
    """Plays the same episodes under a right, a wrong and no demonstration.

    The variants of a task differ in their reset options and look alike at the start, so only the demonstration can
    tell which one is wanted. A wrong one comes from another variant of the same group, drawn at random.

    Args:
        make_actor: builds the actor for a list of prompts, one an episode.
        variants: reset options by group, such as "trained" and "held-out"; two or more in each.
        demonstrate: (reset options, episode index) -> a demonstration of that variant, recorded under another seed.
        follows: (reset options, last info of an episode) -> whether the episode did what that variant asks for.

    Raises:
        ValueError: a group has fewer than two variants.
    """
    records: list[ScoreRecord] = []
    trials: list[Trial] = []
    for group, choices in variants.items():
        if len(choices) < 2:
            raise ValueError(
                f"{group} variants of {subject.task!r}: {len(choices)} given, a wrong prompt needs 2 or more"
            )
        rng = np.random.default_rng(config.seed)
        scored_index = [episode % len(choices) for episode in range(config.episodes)]
        wrong_index = [(i + int(rng.integers(1, len(choices)))) % len(choices) for i in scored_index]
        scored = [choices[i] for i in scored_index]
        shown_by_prompt: dict[Prompt, list[Mapping[str, Any] | None]] = {
            "right": [*scored],
            "wrong": [choices[i] for i in wrong_index],
            "none": [None] * config.episodes,
        }
        for prompt, shown in shown_by_prompt.items():
            prompts = [None if goal is None else demonstrate(goal, episode) for episode, goal in enumerate(shown)]
            seeds = range(config.seed, config.seed + config.episodes)
            played = [
                Trial(prompt=prompt, variants=group, scored=asked, shown=goal, rollout=done)
                for asked, goal, done in zip(
                    scored,
                    shown,
                    rollout(make_env, make_actor(prompts), seeds, options=scored, num_envs=config.num_envs),
                    strict=True,
                )
            ]
            trials += played
            records.append(_study_record(played, subject, config.seed, follows))
    return PromptStudy(records=tuple(records), trials=tuple(trials))


def _study_record(
    played: Sequence[Trial],
    subject: Subject,
    seed: int,
    follows: Callable[[Mapping[str, Any], Mapping[str, Any]], bool],
) -> ScoreRecord:
    shown = [(trial.shown, trial.rollout.info) for trial in played if trial.shown is not None]
    return ScoreRecord.from_returns(
        [trial.rollout.episode.episode_return for trial in played],
        task=subject.task,
        family=subject.family,
        seed=seed,
        random_mean=subject.random_mean,
        expert_mean=subject.expert_mean,
        prompt=played[0].prompt,
        variants=played[0].variants,
        success=float(np.mean([follows(trial.scored, trial.rollout.info) for trial in played])),
        followed=float(np.mean([follows(goal, info) for goal, info in shown])) if shown else None,
    )
