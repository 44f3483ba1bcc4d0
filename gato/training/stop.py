"""Ctrl-C and SIGTERM ask a run to finish its step; a second one ends it at once."""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STDERR = 2  # file descriptor


class StopRequest:
    """A context within which the first signal sets `signal_name` instead of ending the process."""

    def __init__(self) -> None:
        self.signal_name: str | None = None  # of the signal that came
        self._previous: dict[signal.Signals, Any] = {}  # Any: what the signal module calls a handler

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python lets only the main thread set handlers
            self._previous = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.signal_name = signal.Signals(number).name
        # The system's own reaction to a second signal needs no Python, which may be waiting for the device.
        for other in _SIGNALS:
            signal.signal(other, signal.SIG_DFL)
        # Not through the console, which may be in the middle of a line.
        os.write(_STDERR, f"\n{self.signal_name}: ends after this step, at once if repeated\n".encode())
