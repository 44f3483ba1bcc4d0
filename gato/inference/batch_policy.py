"""Observations to actions for several environments side by side, in one device call an environment step.

What the model is fed is what a training row holds: the demonstration, then timesteps of observation, separator and
action (Gato, section 2.3).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.spaces import Space

from gato.config import PolicyConfig
from gato.inference.action_table import ActionTable
from gato.inference.agent import Agent
from gato.inference.chunks import Row, assemble, bucket_size, pieces
from gato.inference.context import Context
from gato.inference.slot import Slot
from gato.inference.step import ActionLayout, StepInput, act, place, prefill, turn_back
from gato.inference.vector import split, stack
from gato.model.cache import Cache
from gato.tokenizer.demonstration import cut_demonstration
from gato.tokenizer.rules import Modality
from gato.tokenizer.sequence import TokenSequence
from gato.tokenizer.spaces import TimestepTokenizer

_PROMPT_PIECE = 128  # tokens of a prompt prefilled at a time
_NUM_SEEDS = 2**32


class BatchPolicy:
    """Acts in `num_envs` environments at once; each keeps its own context, and may be of another task.

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
            num_envs: slots.
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
        self._prompt_keys: tuple[jax.Array, ...] | None = None
        self._prefilled: tuple[TokenSequence, Cache] | None = None  # the prompt of the last reset that had one
        self._table: ActionTable | None = None
        timesteps = self._tokenizer(observation_space, action_space, source, modalities)
        self._cache = self._empty_cache(num_envs)
        self._slots = [self._slot(timesteps, seed, None) for seed in range(num_envs)]
        self._fit_table()

    @classmethod
    def load(
        cls,
        checkpoint: Path,
        observation_space: Space,
        action_space: Space,
        *,
        num_envs: int = 1,
        source: str | None = None,
        config: PolicyConfig | None = None,
        modalities: Mapping[str, Modality] | None = None,
    ) -> Self:
        """The policy of a checkpoint folder; the other arguments are the constructor's."""
        return cls(
            Agent.load(checkpoint),
            observation_space,
            action_space,
            num_envs=num_envs,
            source=source,
            config=config,
            modalities=modalities,
        )

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
            self._slots[index] = self._slot(timesteps, index, None)
        self._fit_table()

    def encode_demonstration(self, observations: Any, actions: Any, *, slot: int = 0) -> TokenSequence:
        """A prompt for `reset`: whole timesteps of an episode, as many as the config's prompt allows.

        Args:
            observations: batched over time in Minari's form, as `TimestepTokenizer.encode_episode` takes it: one more
                than actions, or as many unless the config asks for the terminal observation.
            actions: likewise.
            slot: whose spaces they are of.

        Raises:
            ValueError: a value does not fit its space, one timestep alone is too long, or there is no such slot.
        """
        self._check_indices([slot])
        sequence = self._slots[slot].timesteps.encode_episode(
            observations, actions, terminal_observation=self.config.prompt.terminal_observation
        )
        prompt = self.config.prompt
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
            indices: slots, each at most once; None means all.
            seeds: one for each of them, in [0, 2 ** 32): with the same seed and observations an episode repeats.
            prompt: the demonstration that all of them start with; giving the same object again costs next to nothing.
            pinned: the prompt stays at the front of the context; if not, it leaves as the oldest timesteps do.

        Raises:
            ValueError: indices or seeds are wrong, or the prompt is too long or holds unknown tokens.
        """
        indices = range(self.num_envs) if indices is None else indices
        self._check_reset(indices, seeds, prompt)
        if prompt is not None and len(indices):
            self._place_prompt(prompt, indices)
        for index, seed in zip(indices, seeds, strict=True):
            self._slots[index] = self._slot(self._slots[index].timesteps, int(seed), prompt, pinned)

    def predict(
        self,
        observation: Any,
        state: None = None,
        episode_start: Sequence[bool] | np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[Any, None]:
        """`act` in the form of stable-baselines3, for a vector environment.

        Args:
            observation: batched: arrays with `num_envs` as first axis, nested like the observation space.
            state: always None; what the policy remembers stays in it.
            episode_start: (num_envs,); where True, the slot starts over with its prompt and a seed of its own.
            deterministic: takes the most likely actions.

        Returns:
            The actions, batched likewise, and None.

        Raises:
            TypeError, ValueError: an argument does not fit; nothing has changed then.
        """
        if state is not None:
            raise ValueError(f"state is {type(state).__name__}, expected None: the policy keeps its own context")
        started = np.zeros(self.num_envs, bool) if episode_start is None else np.atleast_1d(episode_start)
        if started.shape != (self.num_envs,):
            raise ValueError(f"episode_start has shape {started.shape}, expected ({self.num_envs},)")
        observations = split(self.observation_space, observation, self.num_envs)
        encoded = [self._encode(index, member) for index, member in enumerate(observations)]
        for index in np.flatnonzero(started).tolist():
            slot = self._slots[index]
            if slot.step > 0:
                seed = (slot.seed + self.num_envs) % _NUM_SEEDS
                self.reset([index], seeds=[seed], prompt=slot.prompt, pinned=slot.pinned)
        return stack(self._act(encoded, deterministic)), None

    def act(self, observations: Sequence[Any], *, deterministic: bool = False) -> list[Any]:
        """One action for each slot that has an observation.

        Args:
            observations: `num_envs` members of the observation space; None where a slot idles.
            deterministic: takes the most likely actions, whatever the config's temperature.

        Returns:
            Members of the action space, and None where a slot idles.

        Raises:
            TypeError, ValueError: an observation does not fit the space or the context; nothing has changed then.
        """
        if len(observations) != self.num_envs:
            raise ValueError(
                f"{len(observations)} observations came for {self.num_envs} environments: give None to idle"
            )
        encoded = [
            None if observation is None else self._encode(index, observation)
            for index, observation in enumerate(observations)
        ]
        return self._act(encoded, deterministic)

    def _act(self, encoded: Sequence[TokenSequence | None], deterministic: bool) -> list[Any]:
        if all(sequence is None for sequence in encoded):
            return [None] * self.num_envs
        assert self._table is not None
        self._refresh(encoded)
        layout = ActionLayout(
            model=self._agent.model,
            tokenizer=self._agent.tokenizer,
            first_row=self._table.rows.start,
            sampled=self._table.is_sampled and not deterministic,
            mixed=self._table.is_mixed,
        )
        step = self._step_input(encoded, self._table)
        tokens, self._cache = act(layout, self._agent.weights, self._head_RD, step, self._cache, self._prompt_keys)
        host_tokens = jax.device_get(tokens)
        return [
            None if sequence is None else self._finish_timestep(slot, sequence, host_tokens[index])
            for index, (sequence, slot) in enumerate(zip(encoded, self._slots, strict=True))
        ]

    def _finish_timestep(self, slot: Slot, observed: TokenSequence, tokens: np.ndarray) -> Any:
        tokens = tokens[: slot.num_action_tokens]
        position = self._agent.tokenizer.action_position
        slot.remember(observed, tokens, position, carries=not self._agent.model.parallel_actions)
        return slot.timesteps.decode_action(tokens)

    def _tokenizer(
        self,
        observation_space: Space,
        action_space: Space,
        source: str | None,
        modalities: Mapping[str, Modality] | None,
    ) -> TimestepTokenizer:
        return TimestepTokenizer(
            observation_space,
            action_space,
            self._agent.tokenizer,
            self._agent.text,
            modalities=modalities,
            fields=self._agent.fields_of(source),
        )

    def _slot(self, timesteps: TimestepTokenizer, seed: int, prompt: TokenSequence | None, pinned: bool = True) -> Slot:
        config = self.config
        return Slot(timesteps, seed, prompt, config.context_length, pinned=pinned, refresh_every=config.refresh_every)

    def _fit_table(self) -> None:
        """Takes up the action spaces of all slots. Vocabulary rows once needed stay, since other rows compile anew."""
        agent, before = self._agent, self._table
        ranges = [slot.timesteps.action_ranges for slot in self._slots]
        table = ActionTable.of(ranges, self.config, agent.tokenizer, None if before is None else before.rows)
        if before is None or table.rows != before.rows:
            tokens = agent.params["embedding"]["tokens"][table.rows]
            self._head_RD = jnp.asarray(tokens, jnp.dtype(agent.model.compute_dtype))
        self._table = table

    def _empty_cache(self, num_rows: int) -> Cache:
        model = self._agent.model
        shape = (num_rows, model.num_heads, self.config.context_length, model.head_dim)
        return Cache.empty(model.num_layers, shape, jnp.dtype(model.compute_dtype))

    def _check_indices(self, indices: Sequence[int]) -> None:
        if len(set(indices)) != len(indices) or not set(indices) <= set(range(self.num_envs)):
            raise ValueError(f"indices are {list(indices)}, expected different ones in [0, {self.num_envs})")

    def _check_reset(self, indices: Sequence[int], seeds: Sequence[int], prompt: TokenSequence | None) -> None:
        self._check_indices(indices)
        whole = all(isinstance(seed, int | np.integer) and 0 <= seed < _NUM_SEEDS for seed in seeds)
        if len(seeds) != len(indices) or not whole:
            raise ValueError(f"seeds are {list(seeds)}, expected {len(indices)} integers in [0, 2 ** 32)")
        if prompt is None:
            return
        if not isinstance(prompt, TokenSequence):
            raise TypeError(f"the prompt is {type(prompt).__name__}, expected TokenSequence: see encode_demonstration")
        longest = min(self.config.prompt.max_tokens, self.config.context_length)
        if not 0 < len(prompt) <= longest:
            raise ValueError(
                f"the prompt has {len(prompt)} tokens, expected 1 to {longest} "
                f"(prompt.max_tokens {self.config.prompt.max_tokens}, context_length {self.config.context_length}): "
                "encode_demonstration cuts it to size"
            )
        config = self._agent.tokenizer
        vocab_size, patch_shape = config.vocab_size, (config.patch_size, config.patch_size, 3)
        if prompt.tokens.min() < 0 or prompt.tokens.max() >= vocab_size:
            raise ValueError(
                f"the prompt's tokens span [{prompt.tokens.min()}, {prompt.tokens.max()}], expected [0, {vocab_size}): "
                "was it made with another tokenizer config?"
            )
        if prompt.patches.shape[1:] != patch_shape or prompt.local_positions.max() > config.no_position:
            raise ValueError(
                f"the prompt has patches of shape {prompt.patches.shape[1:]} and local positions up to "
                f"{prompt.local_positions.max()}, expected {patch_shape} and at most {config.no_position}: "
                "was it made with another tokenizer config?"
            )

    def _place_prompt(self, prompt: TokenSequence, indices: Sequence[int]) -> None:
        if self._prefilled is None or self._prefilled[0] is not prompt:
            self._prefilled = prompt, self._prefill(prompt)
        if self._prompt_keys is None:
            num_slots = min(self.config.prompt.max_tokens, self.config.context_length)
            self._prompt_keys = tuple(jnp.zeros_like(layer[:, :, :num_slots]) for layer in self._cache.keys)
        row_mask = np.isin(np.arange(self.num_envs), list(indices))
        self._cache, self._prompt_keys = place(self._cache, self._prompt_keys, self._prefilled[1], row_mask)

    def _prefill(self, prompt: TokenSequence) -> Cache:
        """The cache of a single row that holds the prompt."""
        context = Context(self.config.context_length, len(prompt))
        return self._extend(self._empty_cache(1), [prompt], [Row(sequence=prompt, position=0, context=context)])

    def _extend(self, cache: Cache, texts: Sequence[TokenSequence | None], rows: Sequence[Row | None]) -> Cache:
        """The cache with long pieces of sequence written to its rows, some tokens of each at a time."""
        parts = [[] if text is None else list(pieces(text, _PROMPT_PIECE)) for text in texts]
        num_patches = bucket_size(max(len(part.patches) for row_parts in parts for part in row_parts))
        for number in range(max(map(len, parts))):
            chunk_rows = [
                None
                if row is None or number >= len(row_parts)
                else dataclasses.replace(
                    row,
                    sequence=row_parts[number],
                    position=row.position + number * _PROMPT_PIECE,
                    reset=row.reset and number == 0,
                )
                for row, row_parts in zip(rows, parts, strict=True)
            ]
            chunk = assemble(chunk_rows, self._agent.tokenizer, size=_PROMPT_PIECE, num_patches=num_patches)
            cache = prefill(self._agent.model, self._agent.tokenizer, self._agent.weights, chunk, cache)
        return cache

    def _refresh(self, encoded: Sequence[TokenSequence | None]) -> None:
        """Encodes the windows that are due anew, so that nothing cached has seen what has left."""
        windows: list[TokenSequence | None] = [None] * self.num_envs
        rows: list[Row | None] = [None] * self.num_envs
        returning = np.zeros(self.num_envs, np.int32)  # lengths of the prompts whose window begins anew behind them
        for index, (sequence, slot) in enumerate(zip(encoded, self._slots, strict=True)):
            if sequence is None:
                continue
            num_tokens = len(sequence) + slot.num_action_tokens
            if not slot.refresh_is_due(num_tokens):
                continue
            window = slot.start_window(num_tokens)
            context = slot.context
            returning[index] = context.prompt_length
            if window is not None:
                rows[index] = Row(
                    sequence=window, position=context.prompt_length, context=context, reset=slot.must_clear
                )
                windows[index], slot.must_clear = window, False
        if returning.any():
            assert self._prompt_keys is not None
            self._cache = turn_back(self._cache, self._prompt_keys, returning, self._agent.model.rotary_base)
        if any(window is not None for window in windows):
            self._cache = self._extend(self._cache, windows, rows)

    def _encode(self, index: int, observation: Any) -> TokenSequence:
        slot = self._slots[index]
        try:
            sequence = slot.timesteps.encode_observation(observation)
            slot.context.check(len(sequence) + slot.num_action_tokens)
        except (TypeError, ValueError) as error:
            if self.num_envs == 1:
                raise
            raise type(error)(f"environment {index}: {error}") from error
        return sequence

    def _step_input(self, encoded: Sequence[TokenSequence | None], table: ActionTable) -> StepInput:
        config, model = self._agent.tokenizer, self._agent.model
        num_action_tokens = table.num_tokens
        rows: list[Row | None] = []
        wanted = np.zeros((self.num_envs, num_action_tokens if model.parallel_actions else 1), np.int32)
        gaps, steps = np.zeros((2, self.num_envs), np.int32)
        seeds = np.zeros(self.num_envs, np.uint32)
        action_positions = np.full((self.num_envs, num_action_tokens), -1, np.int32)
        action_slots = np.full((self.num_envs, num_action_tokens), self.config.context_length, np.int32)
        for index, (sequence, slot) in enumerate(zip(encoded, self._slots, strict=True)):
            if sequence is None:
                rows.append(None)
                continue
            count = slot.num_action_tokens
            position = slot.context.begin_timestep(len(sequence) + count)
            still_visible = slot.context.window_start < position
            carried = slot.carried if still_visible else None
            separator = len(sequence) - 1 + (carried is not None)
            action_positions[index, :count] = position + len(sequence) + np.arange(count)
            action_slots[index, :count] = slot.context.slots(action_positions[index, :count])
            if model.parallel_actions:
                sequence = sequence.extend(np.full(count, config.padding_id), config.action_position)
                wanted[index] = np.minimum(separator + np.arange(num_action_tokens), len(sequence) - 1)
            else:
                wanted[index] = separator
            rows.append(
                Row(
                    sequence=sequence,
                    position=position,
                    context=slot.context,
                    carried=carried,
                    reset=slot.must_clear,
                )
            )
            slot.must_clear = False
            gaps[index], seeds[index], steps[index] = slot.context.num_evicted, slot.seed, slot.step
        arrays: dict[str, Any] = {  # numpy, where the device side declares its own array type
            "wanted": wanted,
            "action_positions": action_positions,
            "action_slots": action_slots,
            "low": table.low,
            "high": table.high,
            "first_rows": table.first_rows,
            "temperatures": table.temperatures,
            "gaps": gaps,
            "seeds": seeds,
            "steps": steps,
        }
        return StepInput(chunk=assemble(rows, config), **arrays)
