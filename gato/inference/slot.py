"""One environment of a batch on the host: its episode so far, and what the next step has to write for it."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gato.config import PolicyConfig
from gato.inference.agent import Agent
from gato.inference.chunks import ChunkRow
from gato.inference.kv_cache_window import KVCacheWindow
from gato.tokenizer.sequence import TokenSequence
from gato.tokenizer.spaces import TimestepTokenizer


@dataclass(frozen=True, kw_only=True)
class StepRow:
    """What one environment brings to a step of the batch; its action has A tokens."""

    refreshed: ChunkRow | None  # the window that has to be encoded anew before; None where it stays as it is
    chunk_row: ChunkRow  # what is new: the observation, and whatever else is not cached yet
    query_indices: np.ndarray  # (1,), or (A,) where actions are parallel: tokens of the chunk that predict the action
    action_positions: np.ndarray  # (A,) where its tokens are made one by one, else (0,)
    num_evicted: int
    seed: int
    step: int


class Slot:
    """One episode under way. A timestep is `begin`, a call of the device for all slots, and `end`."""

    def __init__(
        self,
        agent: Agent,
        config: PolicyConfig,
        timesteps: TimestepTokenizer,
        *,
        seed: int,
        prompt: TokenSequence | None = None,
        pinned: bool = True,
    ) -> None:
        """Starts an episode; a prompt has to be in the slot's row of the KV cache before the first step.

        Args:
            agent: what it acts with.
            config: how to act.
            timesteps: tokenizer of the environment.
            seed: of the episode.
            prompt: the demonstration before the episode.
            pinned: the prompt is never evicted; else it is evicted as the oldest timesteps are.
        """
        self.timesteps, self.seed, self.prompt, self.pinned = timesteps, seed, prompt, pinned
        self.step = 0  # timesteps since the episode began
        self._tokenizer, self._refresh_every = agent.tokenizer, config.refresh_every
        self._window = KVCacheWindow(config.context_length, len(prompt) if prompt is not None and pinned else 0)
        self._observation: TokenSequence | None = None  # of the timestep that has begun
        self._pending: TokenSequence | None = None  # the last action token, which is not cached yet
        self._clear_cache = prompt is None  # the row of the cache has to be emptied, but for a pinned prompt
        self._history: deque[TokenSequence] = deque()  # timesteps that may still be visible; empty without refreshing
        if prompt is not None and not pinned:
            # They are at the positions where a pinned prompt would be, and are evicted before the episode's own.
            for index in range(prompt.num_timesteps):
                timestep = prompt.timesteps(index, index + 1)
                self._window.begin_timestep(len(timestep))
                if self._refresh_every:
                    self._history.append(timestep)

    def check(self, observation: TokenSequence) -> None:
        """Refuses an encoded observation that does not fit the context.

        Raises:
            ValueError: with the sizes.
        """
        self._window.check(len(observation) + self.timesteps.num_own_action_tokens)

    def begin(self, observation: TokenSequence) -> StepRow:
        """Takes an encoded observation, reserves its timestep in the KV cache, and returns what has to be written."""
        timesteps = self.timesteps
        num_tokens = len(observation) + timesteps.num_own_action_tokens
        refreshed = self._refresh(num_tokens) if self._refresh_is_due(num_tokens) else None
        position = self._window.begin_timestep(num_tokens)
        sequence, query_indices = observation, np.array([len(observation) - 1])  # the separator
        num_decoded = timesteps.num_action_tokens if self._tokenizer.action_tokens == "sequential" else 0
        if self._tokenizer.action_tokens == "parallel":
            unknown = np.full(timesteps.num_action_tokens, self._tokenizer.padding_id)
            sequence = observation.extend(timesteps.action_sequence(unknown))
            query_indices = query_indices + np.arange(timesteps.num_action_tokens)
        num_pending = 0
        if self._pending is not None and self._window.window_start < position:  # what is evicted need not be cached
            sequence, num_pending = TokenSequence.concatenate([self._pending, sequence]), len(self._pending)
        row = ChunkRow(
            sequence=sequence, position=position - num_pending, window=self._window, clear_cache=self._clear_cache
        )
        self._observation, self._clear_cache = observation, False
        return StepRow(
            refreshed=refreshed,
            chunk_row=row,
            query_indices=query_indices + num_pending,
            action_positions=position + len(observation) + np.arange(num_decoded),
            num_evicted=self._window.num_evicted,
            seed=self.seed,
            step=self.step,
        )

    def end(self, tokens: np.ndarray) -> Any:
        """Takes the action's tokens, perhaps followed by others, and returns the action."""
        assert self._observation is not None
        tokens = tokens[: len(self.timesteps.action_ranges)]
        fed = self.timesteps.action_sequence(tokens) if self.timesteps.num_own_action_tokens else None
        self._pending = None
        if fed is not None and self._tokenizer.action_tokens != "parallel":
            self._pending = fed.slice(len(fed) - 1, len(fed))
        self.step += 1
        if self._refresh_every:
            self._history.append(self._observation if fed is None else self._observation.extend(fed))
        self._observation = None
        return self.timesteps.decode_action(tokens)

    def _refresh_is_due(self, num_tokens: int) -> bool:
        """Returns whether the window is to be encoded anew before a timestep of so many tokens.

        It is every `refresh_every` timesteps, unless nothing was evicted that the cache has seen and nothing has to be
        evicted now.
        """
        every, window = self._refresh_every, self._window
        evicts = window.num_evicted > 0 or window.num_visible + num_tokens > window.context_length
        return every > 0 and self.step % every == 0 and evicts

    def _refresh(self, num_tokens: int) -> ChunkRow | None:
        """Begins the window anew with what stays visible beside a timestep of so many tokens.

        Returns:
            What has to be cached behind the prompt; None if that is nothing.
        """
        window = self._window = KVCacheWindow(self._window.context_length, self._window.prompt_length)
        room = window.context_length - window.prompt_length - num_tokens
        while self._history and sum(map(len, self._history)) > room:
            self._history.popleft()
        self._pending = None
        self._clear_cache = not self._history
        if not self._history:
            return None
        for timestep in self._history:
            window.begin_timestep(len(timestep))
        return ChunkRow(
            sequence=TokenSequence.concatenate(list(self._history)),
            position=window.prompt_length,
            window=window,
            clear_cache=True,
        )


def encode_observations(slots: Sequence[Slot], observations: Sequence[Any]) -> list[TokenSequence | None]:
    """Encodes one observation of each slot, those of one tokenizer at once; None where a slot has none.

    Raises:
        TypeError, ValueError: one does not fit the space or the context; the message names its environment.
    """
    encoded: list[TokenSequence | None] = [None] * len(slots)
    alike: dict[int, list[int]] = {}
    for index, observation in enumerate(observations):
        if observation is not None:
            alike.setdefault(id(slots[index].timesteps), []).append(index)
    for indices in alike.values():
        timesteps = slots[indices[0]].timesteps
        try:
            together = timesteps.encode_observations([observations[index] for index in indices])
            for place, index in enumerate(indices):
                encoded[index] = sequence = together.timesteps(place, place + 1)
                slots[index].check(sequence)
        except (TypeError, ValueError):
            if len(slots) == 1:
                raise
            for index in indices:  # alone, the one at fault is found
                encoded[index] = _encode_alone(slots[index], index, observations[index])
    return encoded


def _encode_alone(slot: Slot, index: int, observation: Any) -> TokenSequence:
    try:
        sequence = slot.timesteps.encode_observation(observation)
        slot.check(sequence)
    except (TypeError, ValueError) as error:
        raise type(error)(f"environment {index}: {error}") from error
    return sequence
