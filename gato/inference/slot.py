"""What the host remembers of one environment of a batch."""

from collections import deque

import numpy as np

from gato.inference.context import Context
from gato.tokenizer.sequence import TokenSequence
from gato.tokenizer.spaces import TimestepTokenizer


class Slot:
    """One episode under way: how its timesteps are encoded, and what its row of the cache holds."""

    def __init__(
        self,
        timesteps: TimestepTokenizer,
        seed: int,
        prompt: TokenSequence | None,
        context_length: int,
        *,
        pinned: bool = True,
        refresh_every: int = 0,
    ) -> None:
        self.timesteps = timesteps
        self.seed = seed
        self.prompt = prompt
        self.pinned = pinned
        self.context = Context(context_length, len(prompt) if prompt is not None and pinned else 0)
        self.step = 0  # timesteps since the episode began
        self.carried: int | None = None  # the last action token, which is not cached yet
        self.must_clear = prompt is None  # whether the row of the cache has to be emptied, but for a pinned prompt
        self._refresh_every = refresh_every
        self._history: deque[TokenSequence] = (
            deque()
        )  # timesteps that may still be visible, where they are needed again
        if prompt is not None and not pinned:
            # They stand at the positions where a pinned prompt would, but leave before the episode's own.
            for index in range(prompt.num_timesteps):
                timestep = prompt.timesteps(index, index + 1)
                self.context.begin_timestep(len(timestep))
                if refresh_every:
                    self._history.append(timestep)

    @property
    def num_action_tokens(self) -> int:
        return self.timesteps.num_action_tokens

    def refresh_is_due(self, num_tokens: int) -> bool:
        """Whether the window is to be encoded anew before a timestep of so many tokens.

        It is every so many timesteps, unless nothing has left that the cache has seen and nothing has to leave now.
        """
        every, context = self._refresh_every, self.context
        leaves = context.num_evicted > 0 or context.num_visible + num_tokens > context.context_length
        return every > 0 and self.step % every == 0 and leaves

    def remember(self, observed: TokenSequence, tokens: np.ndarray, position: int, *, carries: bool) -> None:
        """Notes a timestep that is over: what was observed, and the action's tokens, at their local position.

        Args:
            carries: whether the last token is not cached yet.
        """
        self.carried = int(tokens[-1]) if carries else None
        self.step += 1
        if self._refresh_every:
            self._history.append(observed.extend(tokens, position))

    def start_window(self, num_tokens: int) -> TokenSequence | None:
        """Begins the context anew with what stays visible beside a timestep of so many tokens.

        Returns:
            What has to be cached behind the prompt; None if that is nothing.
        """
        context = self.context = Context(self.context.context_length, self.context.prompt_length)
        room = context.context_length - context.prompt_length - num_tokens
        while self._history and sum(map(len, self._history)) > room:
            self._history.popleft()
        self.carried, self.must_clear = None, True
        for timestep in self._history:
            context.begin_timestep(len(timestep))
        return TokenSequence.concatenate(list(self._history)) if self._history else None
