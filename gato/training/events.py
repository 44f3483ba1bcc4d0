"""The events of a run, beside its metrics: when it was started, resumed, saved and stopped, by the clock.

The metrics of a resumed run are those of one that never stopped. Interruptions are recorded here: one line of JSON per
event, and no line is ever removed.
"""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from gato.files import append_line, continue_lines, read_lines

Kind = Literal["started", "resumed", "saved", "stopped", "finished"]


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event."""

    time_s: float  # seconds since 1970
    step: int  # the last one that was made
    kind: Kind


class EventLog:
    """Appends to the events of a run."""

    def __init__(self, path: Path, *, first_step: int) -> None:
        """Opens the file and records that the run is resumed after `first_step`, or started if that is 0.

        Raises:
            OSError: there is no room, or the file cannot be written.
        """
        kept = [asdict(event) for event in read_events(path)] if first_step and path.exists() else []
        self._file = continue_lines(path, kept)
        self.note("resumed" if first_step else "started", first_step)

    def note(self, kind: Kind, step: int) -> None:
        """Records an event that happens now."""
        append_line(self._file, asdict(Event(time_s=time.time(), step=step, kind=kind)))

    def close(self) -> None:
        self._file.close()


def read_events(path: Path) -> list[Event]:
    """Reads the events of a file, in order; a last line that a crash cut short is left out.

    Raises:
        ValueError: a line is no event; the message names it.
    """
    events = []
    for number, line in enumerate(read_lines(path), start=1):
        if set(line) != {"time_s", "step", "kind"} or line["kind"] not in get_args(Kind):
            raise ValueError(
                f"{path}:{number} is no event of a run, but {line}: move the file away to go on without it"
            )
        events.append(Event(**line))
    return events
