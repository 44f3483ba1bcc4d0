"""Ctrl-C, SIGTERM and a closed terminal ask a run to finish its step; a second signal ends it at once."""

import contextlib
import os
import signal
import threading
from types import FrameType
from typing import Any, Self

import jax
from jax.experimental import multihost_utils

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STDERR = 2  # file descriptor


class StopRequest:
    """A context within which the first signal sets `signal_name` instead of ending the process.

    With several processes JAX watches for SIGTERM and tells all of them (its preemption service); other signals are
    passed on to it.
    """

    def __init__(self) -> None:
        self.signal_name: str | None = None  # of the signal that came
        self._previous: dict[signal.Signals, Any] = {}  # Any: what the signal module calls a handler

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python lets only the main thread set handlers
            # What is ignored stays so: nohup ignores SIGHUP, and a shell SIGINT of what it runs in the background.
            heeded = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
            if jax.process_count() > 1:
                heeded.remove(signal.SIGTERM)
            self._previous = {number: signal.signal(number, self._handle) for number in heeded}
        return self

    def __exit__(self, *raised: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def agreed(self, step: int) -> bool:
        """Returns whether the run ends after this step, the same on every process; each asks after each step."""
        if jax.process_count() == 1:
            return self.signal_name is not None
        reached = multihost_utils.reached_preemption_sync_point(step)
        if reached and self.signal_name is None:
            self.signal_name = signal.SIGTERM.name
        return reached

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signal_name = signal.Signals(number).name
        # The system's own reaction to a second signal needs no Python, which may be waiting for the device.
        # A closed terminal says so more than once, by the system and by its shell, and means one request.
        for other in self._previous:
            signal.signal(other, signal.SIG_IGN if other == signal.SIGHUP else signal.SIG_DFL)
        # Not through the console, which may be in the middle of a line, and whose terminal may be gone.
        with contextlib.suppress(OSError):
            os.write(_STDERR, f"\n{self.signal_name}: ends after this step, at once if repeated\n".encode())
        if jax.process_count() > 1:
            os.kill(os.getpid(), signal.SIGTERM)
