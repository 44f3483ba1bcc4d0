"""What a study of prompts measures beside the agent's episodes: chance, and how first actions are predicted."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from gato.batch import Batch
from gato.evaluation.actors import RandomActor
from gato.evaluation.evaluate import PlayedTask, Yardsticks, cells_by_record, play_cells, share_of
from gato.evaluation.first_actions import first_action_nll
from gato.evaluation.plan import Cell
from gato.evaluation.scores import Prompt, Variants
from gato.experiments.session import Match
from gato.inference.agent import Agent
from gato.seeds import FIRST_ACTIONS_SEED
from gato.tokenizer.sequence import TokenSequence
from gato.training.held_out import LossMeter
from gato.training.step import model_loss

_RecordKey: TypeAlias = tuple[str, Prompt, Variants]


def yardsticks(
    match: Match, cells: Sequence[Cell], tasks: Mapping[str, PlayedTask], *, num_actions: int
) -> dict[_RecordKey, Yardsticks]:
    """Chance and likelihood for each record of a study.

    Args:
        match: of the agent and the tasks.
        cells: of the whole study.
        tasks: by name.
        num_actions: how many first actions of an expert's episode are predicted.
    """
    nll_of = row_nll(match.agent)
    infos: dict[tuple[str, int, int], Mapping] = {}
    episodes: dict[tuple[str, int, int], TokenSequence] = {}
    found = {}
    for key, group in cells_by_record(cells).items():
        # The episodes of all prompts are the same ones: those of the first serve the others.
        if any(_episode_key(cell) not in infos for cell in group):
            with match.shares.of("chance"):
                infos |= _random_infos(match, group, tasks)
            with match.shares.of("demonstrations"):
                episodes |= _expert_starts(match, group, num_actions)
        followed = [tasks[cell.task].has_followed(cell, infos[_episode_key(cell)]) for cell in group]
        prompts = [match.prompt_at(group, index) for index in range(len(group))]
        with match.shares.of("likelihood"):
            starts = [episodes[_episode_key(cell)] for cell in group]
            nll = first_action_nll(nll_of, prompts, starts, match.agent.tokenizer, num_actions=num_actions)
        found[key] = Yardsticks(followed_by_chance=share_of(followed), first_actions_nll=float(nll.mean()))
    return found


def row_nll(agent: Agent) -> Callable[[Batch], np.ndarray]:
    """(batch of B rows) -> (B,) nats over the targets of each row: the held-out loss, each row a source of its own."""
    meters: dict[int, LossMeter] = {}

    def nll_of(batch: Batch) -> np.ndarray:
        num_rows = len(batch.tokens)
        if num_rows not in meters:
            meters[num_rows] = LossMeter(model_loss(agent.model, agent.tokenizer, num_rows), num_rows)
        numbered = dataclasses.replace(batch, source_ids=np.arange(num_rows, dtype=np.int32))
        return np.asarray(meters[num_rows](agent.params, [numbered]).loss_sum).sum(axis=1)

    return nll_of


def _episode_key(cell: Cell) -> tuple[str, int, int]:
    return cell.task, cell.variant, cell.seed


def _random_infos(
    match: Match, cells: Sequence[Cell], tasks: Mapping[str, PlayedTask]
) -> dict[tuple[str, int, int], Mapping]:
    """How the cells' episodes end under random actions."""
    actor = RandomActor(match.met[cells[0].task].interface.action_space)
    return {_episode_key(cell): done.info for cell, done in play_cells(cells, tasks, actor, num_envs=1)}


def _expert_starts(match: Match, cells: Sequence[Cell], num_actions: int) -> dict[tuple[str, int, int], TokenSequence]:
    """The first timesteps of an expert's episode of each cell's variant."""
    met = match.met[cells[0].task]
    # As in demonstrations, no seed belongs to two variants.
    chosen = [(cell.variant, FIRST_ACTIONS_SEED + len(met.variants) * cell.episode + cell.variant) for cell in cells]
    played = match.expert_episodes(met.task.name, chosen, num_actions)
    return {
        _episode_key(cell): met.timesteps.encode_episode(episode.observations, episode.actions)
        for cell, episode in zip(cells, played, strict=True)
    }
