"""A limit on the CPU time of one call, for scripted experts whose planning may never end."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class TimeLimitExceededError(Exception):
    """The call took more CPU time than it was given."""


@contextlib.contextmanager
def cpu_time_limit(seconds: float) -> Iterator[None]:
    """Interrupts the block once the process has spent that much CPU time in it.

    CPU time and not wall time, so that what is interrupted does not depend on what else the machine does. A call into
    C is interrupted when it returns. Limits do not nest.

    Raises:
        TimeLimitExceededError: inside the block.
        RuntimeError: outside the main thread, or on a system without POSIX timers: there is no way to interrupt there.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        raise RuntimeError("a CPU time limit needs the main thread of a POSIX system: play without a limit elsewhere")

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeLimitExceededError(f"no answer within {seconds:g} CPU-seconds")

    previous = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)
