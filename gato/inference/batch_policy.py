"""Observations to actions for several environments side by side, in one device call per environment step.

What the model is fed is what a training row holds: the demonstration, then timesteps of observation, separator and
action (Gato, section 2.3).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypedDict, Unpack

import jax
import numpy as np
from gymnasium.spaces import Space

from gato.config import PolicyConfig
from gato.inference.action_table import ActionTable
from gato.inference.agent import Agent
from gato.inference.chunks import assemble
from gato.inference.prompt_cache import PromptCache, check_prompt
from gato.inference.sampling import GREEDY
from gato.inference.slot import Slot, StepRow, encode_observations
from gato.inference.step import ActionLayout, StepInput, act
from gato.inference.vector import split, stack
from gato.model.cache import Cache
from gato.model.gato import unembedding
from gato.tokenizer.demonstration import cut_demonstration
from gato.tokenizer.rules import Modality
from gato.tokenizer.sequence import TokenSequence
from gato.tokenizer.spaces import TimestepTokenizer

_NUM_SEEDS = 2**32


class PolicyOptions(TypedDict, total=False):
    """Keyword arguments of a `BatchPolicy` that one environment has too."""

    source: str | None
    config: PolicyConfig | None
    modalities: Mapping[str, Modality] | None


class BatchPolicy:
    """Acts in `num_envs` environments at once; each has a slot with its own context, and may be of another task.

    An action depends on its environment's prompt, history, seed and step, and on nothing else in the batch.
    """

    def __init__(
        self,
        agent: Agent,
        observation_space: Space,
        action_space: Space,
        *,
        num_envs: int = 1,
        source: str | None = None,
        config: PolicyConfig | None = None,
        modalities: Mapping[str, Modality] | None = None,
    ) -> None:
        """Starts every slot with its index as seed and without a prompt.

        Args:
            agent: weights and tokenizers.
            observation_space: of each environment; `assign` gives some another.
            action_space: likewise.
            num_envs: environments that act side by side.
            source: whose scaling the numbers of the environments have, see `Agent.fields_of`.
            config: how to act; None takes the agent's.
            modalities: as the training data were encoded with, see `TimestepTokenizer`.

        Raises:
            ValueError: a space cannot be represented or is not that of the source, the agent scales sources and none
                is named or one that it does not know, or `num_envs` is below 1.
        """
        if num_envs < 1:
            raise ValueError(f"num_envs is {num_envs}, needs 1 or more")
        self.observation_space, self.action_space = observation_space, action_space
        self.num_envs = num_envs
        self.config = agent.policy if config is None else config
        self._agent = agent
        self._cache = Cache.empty(agent.model, num_envs, self.config.context_length)
        self._prompts = PromptCache(agent, self.config)
        self._token_ids: slice | None = None  # that the head's rows are of
        timesteps = self._tokenizer(observation_space, action_space, source, modalities)
        self._slots = [Slot(agent, self.config, timesteps, seed=seed) for seed in range(num_envs)]
        self._fit_table()

    @classmethod
    def load(
        cls,
        checkpoint: Path,
        observation_space: Space,
        action_space: Space,
        *,
        num_envs: int = 1,
        **options: Unpack[PolicyOptions],
    ) -> Self:
        """Loads the policy of a run folder, checkpoint folder or released folder; the rest is the constructor's."""
        return cls(Agent.load(checkpoint), observation_space, action_space, num_envs=num_envs, **options)

    def assign(
        self,
        indices: Sequence[int],
        observation_space: Space,
        action_space: Space,
        *,
        source: str | None = None,
        modalities: Mapping[str, Modality] | None = None,
    ) -> None:
        """Gives some slots environments of other spaces; they begin an episode as after construction.

        The first step with a new combination of action sizes compiles; arguments and errors are the constructor's.
        """
        self._check_indices(indices)
        timesteps = self._tokenizer(observation_space, action_space, source, modalities)
        for index in indices:
            self._slots[index] = Slot(self._agent, self.config, timesteps, seed=index)
        self._fit_table()

    def encode_demonstration(self, observations: Any, actions: Any, *, env_index: int = 0) -> TokenSequence:
        """Makes a prompt for `reset`: whole timesteps of an episode, as many as the config's prompt allows.

        Args:
            observations: batched over time in Minari's form, as `TimestepTokenizer.encode_episode` takes it: one more
                than actions, or as many unless the config asks for the terminal observation.
            actions: likewise.
            env_index: of the environment whose spaces they are of.

        Raises:
            ValueError: a value does not fit its space, one timestep alone is too long, or there is no such index.
        """
        self._check_indices([env_index])
        prompt = self.config.prompt
        sequence = self._slots[env_index].timesteps.encode_episode(
            observations, actions, terminal_observation=prompt.terminal_observation
        )
        return cut_demonstration(sequence, prompt.part, prompt.max_tokens)

    def reset(
        self,
        indices: Sequence[int] | None = None,
        *,
        seeds: Sequence[int],
        prompt: TokenSequence | None = None,
        pinned: bool = True,
    ) -> None:
        """Begins new episodes in some slots; the others are not disturbed.

        Args:
            indices: environments, each at most once; None means all.
            seeds: one for each of them, in [0, 2 ** 32): with the same seed and observations an episode repeats.
            prompt: the demonstration that all of them start with. It is prefilled once: the same content as at the
                last reset with a prompt, in whatever object, costs next to nothing (`TokenSequence.key`).
            pinned: the prompt is never evicted; if not, it is evicted as the oldest timesteps are.

        Raises:
            TypeError, ValueError: indices or seeds are wrong, or the prompt is too long or holds unknown tokens.
        """
        indices = range(self.num_envs) if indices is None else indices
        self._check_indices(indices)
        whole = all(isinstance(seed, int | np.integer) and 0 <= seed < _NUM_SEEDS for seed in seeds)
        if len(seeds) != len(indices) or not whole:
            raise ValueError(f"seeds are {list(seeds)}, expected {len(indices)} integers in [0, 2 ** 32)")
        if prompt is not None:
            check_prompt(prompt, self.config, self._agent.tokenizer)
            if len(indices):
                self._cache = self._prompts.insert(self._cache, prompt, indices)
        for index, seed in zip(indices, seeds, strict=True):
            timesteps = self._slots[index].timesteps
            self._slots[index] = Slot(self._agent, self.config, timesteps, seed=int(seed), prompt=prompt, pinned=pinned)

    def predict(
        self,
        observation: Any,
        state: None = None,
        episode_start: Sequence[bool] | np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[Any, None]:
        """Acts in the form of stable-baselines3, for a vector environment.

        Args:
            observation: batched: arrays with `num_envs` as first axis, nested like the observation space.
            state: always None; what the policy remembers stays in it.
            episode_start: (num_envs,); where True, the slot starts over with its prompt and a seed of its own.
            deterministic: takes the most likely actions.

        Returns:
            The actions, batched as Gymnasium does it, and None.

        Raises:
            TypeError, ValueError: an argument does not fit; nothing has changed then.
        """
        if state is not None:
            raise ValueError(f"state is {type(state).__name__}, expected None: the policy keeps its own context")
        started = np.zeros(self.num_envs, bool) if episode_start is None else np.atleast_1d(episode_start)
        if started.shape != (self.num_envs,):
            raise ValueError(f"episode_start has shape {started.shape}, expected ({self.num_envs},)")
        observations = split(self.observation_space, observation, self.num_envs)
        encoded = encode_observations(self._slots, observations)
        for index in np.flatnonzero(started).tolist():
            slot = self._slots[index]
            if slot.step > 0:
                seed = (slot.seed + self.num_envs) % _NUM_SEEDS
                self.reset([index], seeds=[seed], prompt=slot.prompt, pinned=slot.pinned)
        return stack(self.action_space, self._act(encoded, deterministic)), None

    def act(self, observations: Sequence[Any], *, deterministic: bool = False) -> list[Any]:
        """Returns one action for each environment that has an observation.

        Args:
            observations: `num_envs` members of the observation space; None where an environment idles.
            deterministic: takes the most likely actions, whatever the config's temperature.

        Returns:
            Members of the action space, and None where an environment idles.

        Raises:
            TypeError, ValueError: an observation does not fit the space or the context; nothing has changed then.
        """
        if len(observations) != self.num_envs:
            raise ValueError(
                f"{len(observations)} observations came for {self.num_envs} environments: give None to idle"
            )
        return self._act(encode_observations(self._slots, observations), deterministic)

    def _act(self, encoded: Sequence[TokenSequence | None], deterministic: bool) -> list[Any]:
        if all(sequence is None for sequence in encoded):
            return [None] * self.num_envs
        rows = [
            None if sequence is None else slot.begin(sequence)
            for slot, sequence in zip(self._slots, encoded, strict=True)
        ]
        self._cache = self._prompts.encode_anew(self._cache, [None if row is None else row.refreshed for row in rows])
        layout = ActionLayout(
            model=self._agent.model,
            tokenizer=self._agent.tokenizer,
            first_id=self._table.token_ids.start,
            sampling=GREEDY if deterministic else self._table.sampling,
            mixed=self._table.is_mixed,
        )
        step = self._stack(rows)
        prompt_keys = self._prompts.prompt_keys
        tokens, self._cache = act(layout, self._agent.weights, self._head_RD, step, self._cache, prompt_keys)
        action_tokens = jax.device_get(tokens)
        return [
            None if row is None else slot.end(action_tokens[index])
            for index, (slot, row) in enumerate(zip(self._slots, rows, strict=True))
        ]

    def _stack(self, rows: Sequence[StepRow | None]) -> StepInput:
        """Returns the rows as padded arrays, beside the action table."""
        table, num_envs = self._table, self.num_envs
        num_queries = table.num_tokens if self._agent.tokenizer.action_tokens == "parallel" else 1
        query_indices = np.zeros((num_envs, num_queries), np.int32)
        action_positions = np.full((num_envs, table.num_tokens), -1, np.int32)
        action_cache_slots = np.full((num_envs, table.num_tokens), self.config.context_length, np.int32)
        num_evicted, steps = np.zeros((2, num_envs), np.int32)
        seeds = np.zeros(num_envs, np.uint32)
        for index, row in enumerate(rows):
            if row is None:
                continue
            query_indices[index, : len(row.query_indices)] = row.query_indices
            count = len(row.action_positions)
            action_positions[index, :count] = row.action_positions
            action_cache_slots[index, :count] = row.chunk_row.window.cache_slots(row.action_positions)
            num_evicted[index], seeds[index], steps[index] = row.num_evicted, row.seed, row.step
        return StepInput(
            chunk=assemble([None if row is None else row.chunk_row for row in rows], self._agent.tokenizer),
            query_indices=query_indices,
            action_positions=action_positions,
            action_cache_slots=action_cache_slots,
            low=table.low,
            high=table.high,
            first_ids=table.first_ids,
            temperatures=table.temperatures,
            num_evicted=num_evicted,
            seeds=seeds,
            steps=steps,
        )

    def _fit_table(self) -> None:
        """Takes up the action spaces of all slots. Ids once needed stay, since other ids compile anew."""
        agent, ranges = self._agent, [slot.timesteps.action_ranges for slot in self._slots]
        self._table = ActionTable.of(ranges, self.config, agent.tokenizer, self._token_ids)
        if self._table.token_ids != self._token_ids:
            self._token_ids = self._table.token_ids
            self._head_RD = unembedding(agent.params, agent.model, self._token_ids)

    def _tokenizer(
        self,
        observation_space: Space,
        action_space: Space,
        source: str | None,
        modalities: Mapping[str, Modality] | None,
    ) -> TimestepTokenizer:
        fields = self._agent.fields_of(source)
        spaces = observation_space, action_space
        return TimestepTokenizer(*spaces, self._agent.tokenizer, self._agent.text, modalities=modalities, fields=fields)

    def _check_indices(self, indices: Sequence[int]) -> None:
        if len(set(indices)) != len(indices) or not set(indices) <= set(range(self.num_envs)):
            raise ValueError(f"indices are {list(indices)}, expected different ones in [0, {self.num_envs})")
