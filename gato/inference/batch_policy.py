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
from gato.inference.agent import Agent
from gato.inference.chunks import Row, assemble, bucket_size, pieces
from gato.inference.context import Context
from gato.inference.prompt import cut_demonstration
from gato.inference.sampling import legal_rows
from gato.inference.step import ActionLayout, StepInput, act, place, prefill
from gato.inference.vector import entry, stack
from gato.model.cache import Cache
from gato.tokenizer.elements import Elements
from gato.tokenizer.rules import Modality
from gato.tokenizer.spaces import TimestepTokenizer

_PROMPT_PIECE = 128  # elements of a prompt prefilled at a time
_NUM_SEEDS = 2**32


class _Slot:
    """What the host remembers of one environment."""

    def __init__(self, seed: int, prompt: Elements | None, context_length: int) -> None:
        self.seed = seed
        self.prompt = prompt
        self.context = Context(context_length, 0 if prompt is None else len(prompt))
        self.step = 0  # timesteps since the episode began
        self.carried: int | None = None  # the last action token, which is not cached yet


class BatchPolicy:
    """Acts in `num_envs` environments of the same spaces at once; each keeps its own context.

    An action depends on its environment's prompt, history, seed and step, and on nothing else in the batch.
    """

    def __init__(
        self,
        agent: Agent,
        observation_space: Space,
        action_space: Space,
        *,
        num_envs: int = 1,
        config: PolicyConfig | None = None,
        modalities: Mapping[str, Modality] | None = None,
    ) -> None:
        """Starts every slot with its index as seed and without a prompt.

        Args:
            agent: weights and tokenizers.
            observation_space: of each environment.
            action_space: of each environment.
            num_envs: slots.
            config: how to act; None takes the agent's.
            modalities: as the training data were encoded with, see `TimestepTokenizer`.

        Raises:
            ValueError: a space cannot be represented, or `num_envs` is below 1.
        """
        if num_envs < 1:
            raise ValueError(f"num_envs is {num_envs}, needs 1 or more")
        self.observation_space, self.action_space = observation_space, action_space
        self.num_envs = num_envs
        self.config = agent.policy if config is None else config
        self._agent = agent
        self._timesteps = TimestepTokenizer(
            observation_space, action_space, agent.tokenizer, agent.text, modalities=modalities
        )
        self._layout = ActionLayout(
            model=agent.model,
            tokenizer=agent.tokenizer,
            ranges=tuple((int(low), int(high)) for low, high in self._timesteps.action_ranges),
            temperature=self.config.temperature,
        )
        rows, _ = legal_rows(self._layout.ranges)
        dtype = jnp.dtype(agent.model.compute_dtype)
        self._head_RD = jnp.asarray(agent.params["embedding"]["tokens"][rows], dtype)
        self._cache = self._empty_cache(num_envs)
        self._prompt_keys: tuple[jax.Array, ...] | None = None
        self._prefilled: tuple[Elements, Cache] | None = None  # the prompt of the last reset that had one
        self._slots = [_Slot(seed, None, self.config.context_length) for seed in range(num_envs)]

    @classmethod
    def load(
        cls,
        checkpoint: Path,
        observation_space: Space,
        action_space: Space,
        *,
        num_envs: int = 1,
        config: PolicyConfig | None = None,
        modalities: Mapping[str, Modality] | None = None,
    ) -> Self:
        """The policy of a checkpoint folder; the other arguments are the constructor's."""
        return cls(
            Agent.load(checkpoint),
            observation_space,
            action_space,
            num_envs=num_envs,
            config=config,
            modalities=modalities,
        )

    def encode_demonstration(self, observations: Any, actions: Any) -> Elements:
        """A prompt for `reset`: whole timesteps of an episode, as many as `prompt_tokens` allows.

        Args:
            observations: batched over time in Minari's form, as `TimestepTokenizer.encode_episode` takes it: one more
                than actions, or as many unless the config asks for the terminal observation.
            actions: likewise.

        Raises:
            ValueError: a value does not fit its space, or one timestep alone is too long.
        """
        elements = self._timesteps.encode_episode(
            observations, actions, terminal_observation=self.config.terminal_observation
        )
        return cut_demonstration(elements, self.config.prompt_tokens, self.config.prompt_part)

    def reset(
        self, indices: Sequence[int] | None = None, *, seeds: Sequence[int], prompt: Elements | None = None
    ) -> None:
        """Begins new episodes in some slots; the others are not disturbed.

        Args:
            indices: slots, each at most once; None means all.
            seeds: one for each of them, in [0, 2 ** 32): with the same seed and observations an episode repeats.
            prompt: the demonstration that all of them start with; giving the same object again costs next to nothing.

        Raises:
            ValueError: indices or seeds are wrong, or the prompt is too long or holds unknown tokens.
        """
        indices = range(self.num_envs) if indices is None else indices
        self._check_reset(indices, seeds, prompt)
        if prompt is not None and len(indices):
            self._place_prompt(prompt, indices)
        for index, seed in zip(indices, seeds, strict=True):
            self._slots[index] = _Slot(int(seed), prompt, self.config.context_length)

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
        """
        if state is not None:
            raise ValueError(f"state is {type(state).__name__}, expected None: the policy keeps its own context")
        for index in np.flatnonzero(() if episode_start is None else episode_start).tolist():
            slot = self._slots[index]
            if slot.step > 0:
                self.reset([index], seeds=[(slot.seed + self.num_envs) % _NUM_SEEDS], prompt=slot.prompt)
        actions = self.act([entry(observation, index) for index in range(self.num_envs)], deterministic=deterministic)
        return stack(actions), None

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
        if all(elements is None for elements in encoded):
            return [None] * self.num_envs
        step = self._step_input(encoded)
        layout = dataclasses.replace(self._layout, temperature=0.0) if deterministic else self._layout
        tokens, self._cache = act(layout, self._agent.weights, self._head_RD, step, self._cache, self._prompt_keys)
        host_tokens = jax.device_get(tokens)
        actions: list[Any] = [None] * self.num_envs
        for index, (elements, slot) in enumerate(zip(encoded, self._slots, strict=True)):
            if elements is not None:
                actions[index] = self._timesteps.decode_action(host_tokens[index])
                slot.carried = int(host_tokens[index, -1])
                slot.step += 1
        return actions

    def _empty_cache(self, num_rows: int) -> Cache:
        model = self._agent.model
        shape = (num_rows, model.num_heads, self.config.context_length, model.head_dim)
        return Cache.empty(model.num_layers, shape, jnp.dtype(model.compute_dtype))

    def _check_reset(self, indices: Sequence[int], seeds: Sequence[int], prompt: Elements | None) -> None:
        if len(set(indices)) != len(indices) or not set(indices) <= set(range(self.num_envs)):
            raise ValueError(f"indices are {list(indices)}, expected different ones in [0, {self.num_envs})")
        if len(seeds) != len(indices) or not all(0 <= seed < _NUM_SEEDS for seed in seeds):
            raise ValueError(f"seeds are {list(seeds)}, expected {len(indices)} integers in [0, 2 ** 32)")
        if prompt is None:
            return
        if not isinstance(prompt, Elements):
            raise TypeError(f"the prompt is {type(prompt).__name__}, expected Elements: see encode_demonstration")
        longest = min(self.config.prompt_tokens, self.config.context_length)
        if not 0 < len(prompt) <= longest:
            raise ValueError(
                f"the prompt has {len(prompt)} elements, expected 1 to {longest} "
                f"(prompt_tokens {self.config.prompt_tokens}, context_length {self.config.context_length}): "
                "encode_demonstration cuts it to size"
            )
        vocab_size = self._agent.tokenizer.vocab_size
        if prompt.tokens.min() < 0 or prompt.tokens.max() >= vocab_size:
            raise ValueError(
                f"the prompt's tokens span [{prompt.tokens.min()}, {prompt.tokens.max()}], expected [0, {vocab_size}): "
                "was it made with another tokenizer config?"
            )

    def _place_prompt(self, prompt: Elements, indices: Sequence[int]) -> None:
        if self._prefilled is None or self._prefilled[0] is not prompt:
            self._prefilled = prompt, self._prefill(prompt)
        if self._prompt_keys is None:
            num_slots = min(self.config.prompt_tokens, self.config.context_length)
            self._prompt_keys = tuple(jnp.zeros_like(layer[:, :, :num_slots]) for layer in self._cache.keys)
        row_mask = np.isin(np.arange(self.num_envs), list(indices))
        self._cache, self._prompt_keys = place(self._cache, self._prompt_keys, self._prefilled[1], row_mask)

    def _prefill(self, prompt: Elements) -> Cache:
        """The cache of a single row that holds the prompt."""
        context = Context(self.config.context_length, len(prompt))
        parts = list(pieces(prompt, _PROMPT_PIECE))
        num_patches = bucket_size(max(len(part.patches) for part in parts))
        cache, position = self._empty_cache(1), 0
        for part in parts:
            row = Row(elements=part, position=position, context=context)
            chunk = assemble([row], self._agent.tokenizer, size=_PROMPT_PIECE, num_patches=num_patches)
            cache = prefill(self._agent.model, self._agent.tokenizer, self._agent.weights, chunk, cache)
            position += len(part)
        return cache

    def _encode(self, index: int, observation: Any) -> Elements:
        try:
            elements = self._timesteps.encode_observation(observation)
            self._slots[index].context.check(len(elements) + self._timesteps.num_action_tokens)
        except (TypeError, ValueError) as error:
            if self.num_envs == 1:
                raise
            raise type(error)(f"environment {index}: {error}") from error
        return elements

    def _step_input(self, encoded: Sequence[Elements | None]) -> StepInput:
        num_action_tokens = self._timesteps.num_action_tokens
        rows: list[Row | None] = []
        last_indices, gaps, steps = np.zeros((3, self.num_envs), np.int32)
        seeds = np.zeros(self.num_envs, np.uint32)
        action_positions = np.full((self.num_envs, num_action_tokens), -1, np.int32)
        action_slots = np.full((self.num_envs, num_action_tokens), self.config.context_length, np.int32)
        for index, (elements, slot) in enumerate(zip(encoded, self._slots, strict=True)):
            if elements is None:
                rows.append(None)
                continue
            position = slot.context.begin_timestep(len(elements) + num_action_tokens)
            still_visible = slot.context.window_start < position
            row = Row(
                elements=elements,
                position=position,
                context=slot.context,
                carried=slot.carried if still_visible else None,
                reset=slot.step == 0 and slot.prompt is None,
            )
            rows.append(row)
            last_indices[index] = row.num_elements - 1
            action_positions[index] = position + len(elements) + np.arange(num_action_tokens)
            action_slots[index] = slot.context.slots(action_positions[index])
            gaps[index], seeds[index], steps[index] = slot.context.num_evicted, slot.seed, slot.step
        arrays: dict[str, Any] = {  # numpy, where the device side declares its own array type
            "last_indices": last_indices,
            "action_positions": action_positions,
            "action_slots": action_slots,
            "gaps": gaps,
            "seeds": seeds,
            "steps": steps,
        }
        return StepInput(chunk=assemble(rows, self._agent.tokenizer), **arrays)
