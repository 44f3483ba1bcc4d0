"""Where the wall time of an evaluation goes."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator


class TimeShares:
    """Seconds by what they were spent on, out of those since this was made."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self._seconds: dict[str, float] = defaultdict(float)
        self._inner = [0.0]  # seconds that blocks inside each open block have taken

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Books the time of the block, also of one that fails; time of a block inside it is booked there alone."""
        begun = time.perf_counter()
        self._inner.append(0.0)
        try:
            yield
        finally:
            spent = time.perf_counter() - begun
            self._seconds[name] += spent - self._inner.pop()
            self._inner[-1] += spent

    def seconds(self) -> dict[str, float]:
        """What was booked, in the order of first booking, then what is left, as "elsewhere"."""
        total = time.perf_counter() - self._begun
        return {**self._seconds, "elsewhere": max(total - sum(self._seconds.values()), 0.0)}

    def __str__(self) -> str:
        seconds = self.seconds()
        total = sum(seconds.values())
        return ", ".join(f"{name} {spent:.1f} s ({spent / total:.0%})" for name, spent in seconds.items())
