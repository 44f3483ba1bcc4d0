"""Host-side bookkeeping of one environment's context: which tokens are visible, and where each is cached.

The paper acts with a context of fixed length whose front is the demonstration (section 2.3). Here the prompt keeps
the first cache slots for good and the slots behind it form a ring. When the context is full the oldest timesteps
leave, always whole.
"""

from collections import deque

import numpy as np


class Context:
    """Positions that only grow, cache slots that are used again, for one sequence of timesteps.

    Args:
        context_length: cache slots, which is also the largest number of visible tokens.
        prompt_length: tokens at positions [0, prompt_length), which never leave.
    """

    def __init__(self, context_length: int, prompt_length: int = 0) -> None:
        if not 0 <= prompt_length <= context_length:
            raise ValueError(
                f"the prompt has {prompt_length} tokens, the context {context_length}: shorten the demonstration"
            )
        self.context_length = context_length
        self.prompt_length = prompt_length
        self.next_position = prompt_length
        self._starts: deque[int] = deque()  # first positions of the timesteps that are still visible

    @property
    def window_start(self) -> int:
        """Tokens behind the prompt and before this position have left."""
        return self._starts[0] if self._starts else self.next_position

    @property
    def num_evicted(self) -> int:
        """Tokens between the prompt and the window: how far the prompt would fall behind if it stayed in place."""
        return self.window_start - self.prompt_length

    @property
    def num_visible(self) -> int:
        return self.prompt_length + self.next_position - self.window_start

    def check(self, num_tokens: int) -> None:
        """Refuses a timestep that cannot fit beside the prompt, however much else leaves.

        Raises:
            ValueError: with the three sizes.
        """
        if num_tokens > self.context_length - self.prompt_length:
            raise ValueError(
                f"one timestep takes {num_tokens} tokens, but a context of {self.context_length} leaves "
                f"{self.context_length - self.prompt_length} beside a prompt of {self.prompt_length}: "
                "use a longer context_length or a shorter demonstration"
            )

    def begin_timestep(self, num_tokens: int) -> int:
        """Reserves the next timestep, observation to last action token; as many old ones leave as must.

        Returns:
            The position of its first token.

        Raises:
            ValueError: it cannot fit beside the prompt; the context is then unchanged.
        """
        self.check(num_tokens)
        while self._starts and self.num_visible + num_tokens > self.context_length:
            self._starts.popleft()
        start = self.next_position
        self._starts.append(start)
        self.next_position += num_tokens
        return start

    def slots(self, positions: np.ndarray) -> np.ndarray:
        """The cache slots of tokens: their own for the prompt, the ring behind it for all others.

        Args:
            positions: int array of any shape, positions that are or were visible.

        Returns:
            int32 array of the same shape, in [0, context_length).
        """
        ring_length = max(self.context_length - self.prompt_length, 1)
        ring = self.prompt_length + (positions - self.prompt_length) % ring_length
        return np.where(positions < self.prompt_length, positions, ring).astype(np.int32)
