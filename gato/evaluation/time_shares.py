"""Where the wall time of an evaluation goes."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator
from contextvars import ContextVar, Token
from typing import Self


class TimeShares:
    """Seconds since this was made, by what they were spent on: a context manager, within which `time_spent_on` books.

    Outside of one `time_spent_on` books nothing, so that code can be timed without being handed a clock.
    """

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self._seconds: dict[str, float] = defaultdict(float)
        self._inner = [0.0]  # seconds that blocks inside each open block have taken
        self._tokens: list[Token[TimeShares | None]] = []

    def __enter__(self) -> Self:
        self._tokens.append(_current.set(self))
        return self

    def __exit__(self, *raised: object) -> None:
        _current.reset(self._tokens.pop())

    @contextlib.contextmanager
    def book(self, name: str) -> Iterator[None]:
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
        """Returns what was booked, in the order of first booking, then what is left, as "elsewhere"."""
        total = time.perf_counter() - self._begun
        return {**self._seconds, "elsewhere": max(total - sum(self._seconds.values()), 0.0)}

    def __str__(self) -> str:
        seconds = self.seconds()
        total = sum(seconds.values())
        return ", ".join(f"{name} {spent:.1f} s ({spent / total:.0%})" for name, spent in seconds.items())


_current: ContextVar[TimeShares | None] = ContextVar("time_shares", default=None)


def time_spent_on(name: str) -> contextlib.AbstractContextManager[None]:
    """Books the time of the block in the `TimeShares` whose block surrounds it, if there is one."""
    shares = _current.get()
    return contextlib.nullcontext() if shares is None else shares.book(name)
