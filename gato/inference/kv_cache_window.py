"""Which tokens of one environment stay in the KV cache, and in which cache slot each one is.

The paper acts with a context of fixed length whose front is the demonstration (section 2.3). Here the prompt keeps
the first cache slots, and the cache slots behind it form a ring. When the context is full, the oldest timesteps are
evicted, always whole ones. The network hides evicted tokens by position (`gato.model.cache.Chunk`), so nothing on the
device has to be erased.
"""

from collections import deque

import numpy as np


class KVCacheWindow:
    """The visible timesteps of one sequence: their positions only grow, their cache slots are used again.

    Args:
        context_length: cache slots, which is also the largest number of visible tokens.
        prompt_length: tokens at positions [0, prompt_length), which are never evicted.
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
        """Returns the position of the oldest visible token behind the prompt."""
        return self._starts[0] if self._starts else self.next_position

    @property
    def num_evicted(self) -> int:
        """Counts the evicted tokens, all between the prompt and the window."""
        return self.window_start - self.prompt_length

    @property
    def num_visible(self) -> int:
        return self.prompt_length + self.next_position - self.window_start

    def check(self, num_tokens: int) -> None:
        """Refuses a timestep that cannot fit beside the prompt, however much else is evicted.

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
        """Reserves the next timestep, observation to last action token, and evicts as many old ones as it must.

        Returns:
            The position of its first token.

        Raises:
            ValueError: it cannot fit beside the prompt; the window is then unchanged.
        """
        self.check(num_tokens)
        self._evict_for(num_tokens)
        start = self.next_position
        self._starts.append(start)
        self.next_position += num_tokens
        return start

    def _evict_for(self, num_tokens: int) -> None:
        while self._starts and self.num_visible + num_tokens > self.context_length:
            self._starts.popleft()

    def cache_slots(self, positions: np.ndarray) -> np.ndarray:
        """Returns the cache slots of tokens: their own for the prompt, the ring behind it for all others.

        Args:
            positions: int array of any shape, positions that are or were visible.

        Returns:
            int32 array of the same shape, in [0, context_length).
        """
        ring_length = max(self.context_length - self.prompt_length, 1)
        ring = self.prompt_length + (positions - self.prompt_length) % ring_length
        return np.where(positions < self.prompt_length, positions, ring).astype(np.int32)
