"""Standard output that may go away, with its terminal or its reader, without ending the program."""

import os
import select
from typing import Any, TextIO


class LastingOutput:
    """A text stream that discards what is written once the other side is gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            send_to_nowhere(self._stream)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            send_to_nowhere(self._stream)

    def __getattr__(self, name: str) -> Any:  # Any: whatever else the stream has
        return getattr(self._stream, name)


def nobody_reads(stream: TextIO) -> bool:
    """Returns whether a stream with a file descriptor is a pipe whose reader has gone."""
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLERR)
    return bool(poll.poll(0))


def send_to_nowhere(stream: TextIO) -> None:
    """Sends the rest to nowhere, also what the stream still holds: the interpreter flushes it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
