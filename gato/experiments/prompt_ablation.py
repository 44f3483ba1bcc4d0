"""What a prompt ablation measures beside the agent's episodes: chance, and how first actions are predicted."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from gato.batch import Batch
from gato.evaluation.actors import RandomActor
from gato.evaluation.evaluate import (
    ReferenceMetrics,
    fraction_of,
    has_followed,
    play_specs,
    specs_by_record,
)
from gato.evaluation.evaluation_task import EvaluationTask
from gato.evaluation.first_actions import first_action_nll
from gato.evaluation.plan import EpisodeSpec, RecordKey
from gato.evaluation.time_shares import time_spent_on
from gato.experiments.session import EvaluationSession
from gato.inference.agent import Agent
from gato.seeds import FIRST_ACTIONS_SEED
from gato.tokenizer.sequence import TokenSequence
from gato.training.held_out import LossMeter
from gato.training.step import model_loss

_ScoredEpisode: TypeAlias = tuple[str, int, int]  # task, variant and seed, whatever is shown before it


def reference_metrics(
    session: EvaluationSession, specs: Sequence[EpisodeSpec], *, num_actions: int
) -> dict[RecordKey, ReferenceMetrics]:
    """Measures chance and likelihood for each record of a prompt ablation.

    Args:
        session: of the agent and the tasks.
        specs: of the whole prompt ablation.
        num_actions: how many first actions of an expert's episode are predicted.
    """
    nll_of = row_nll(session.agent)
    infos: dict[_ScoredEpisode, Mapping[str, Any]] = {}
    episodes: dict[_ScoredEpisode, TokenSequence] = {}
    found = {}
    for key, group in specs_by_record(specs).items():
        task = session.tasks[group[0].task]
        # The episodes of all prompts are the same ones: those of the first serve the others.
        if any(_scored_episode(spec) not in infos for spec in group):
            with time_spent_on("chance"):
                infos |= _random_infos(task, group)
            with time_spent_on("demonstrations"):
                episodes |= _expert_starts(session, task, group, num_actions)
        followed = [has_followed(spec, task, infos[_scored_episode(spec)]) for spec in group]
        prompts = [session.prompt_at(group, index) for index in range(len(group))]
        with time_spent_on("likelihood"):
            starts = [episodes[_scored_episode(spec)] for spec in group]
            nll = first_action_nll(nll_of, prompts, starts, session.agent.tokenizer, num_actions=num_actions)
        found[key] = ReferenceMetrics(followed_by_chance=fraction_of(followed), first_actions_nll=float(nll.mean()))
    return found


def row_nll(agent: Agent) -> Callable[[Batch], np.ndarray]:
    """Makes (batch of B rows) -> (B,) nats over the targets of each row: the held-out loss, each row its own source."""
    meters: dict[int, LossMeter] = {}

    def nll_of(batch: Batch) -> np.ndarray:
        num_rows = len(batch.tokens)
        if num_rows not in meters:
            meters[num_rows] = LossMeter(model_loss(agent.model, agent.tokenizer, num_rows), num_rows)
        numbered = dataclasses.replace(batch, source_ids=np.arange(num_rows, dtype=np.int32))
        return np.asarray(meters[num_rows](agent.params, [numbered]).loss_sum).sum(axis=1)

    return nll_of


def _scored_episode(spec: EpisodeSpec) -> _ScoredEpisode:
    return spec.task, spec.variant, spec.seed


def _random_infos(task: EvaluationTask, specs: Sequence[EpisodeSpec]) -> dict[_ScoredEpisode, Mapping[str, Any]]:
    """Plays the episodes with random actions and returns the info of their last step."""
    played = play_specs(specs, {task.name: task}, RandomActor(task.action_space), num_envs=1)
    return {_scored_episode(spec): done.info for spec, done in played}


def _expert_starts(
    session: EvaluationSession, task: EvaluationTask, specs: Sequence[EpisodeSpec], num_actions: int
) -> dict[_ScoredEpisode, TokenSequence]:
    """Encodes the first timesteps of an expert's episode of each spec's variant."""
    # As in demonstrations, no seed belongs to two variants.
    chosen = [(spec.variant, FIRST_ACTIONS_SEED + len(task.variants) * spec.episode + spec.variant) for spec in specs]
    played = session.expert_episodes(task.name, chosen, num_actions)
    return {
        _scored_episode(spec): task.timesteps.encode_episode(episode.observations, episode.actions)
        for spec, episode in zip(specs, played, strict=True)
    }
