"""What a person sees while training: one calm screen on a terminal, plain lines elsewhere."""

import functools
import time
from collections.abc import Callable, Mapping

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_WIDEST = 100  # columns; wider lines are harder to read
_REFRESHES_PER_SECOND = 2
_UNKNOWN = "–"
_LOSSES = {"loss": "", "loss_text": "text ", "loss_action": "action "}  # by the end of a metric's name


def line_printer(console: Console) -> Callable[[str], None]:
    """Returns a function that prints a line as it is: without markup, colors or breaks."""
    return functools.partial(console.print, markup=False, highlight=False, soft_wrap=True)


class ProgressDisplay:
    """A metric writer for people, which also shows steps, checkpoints and messages."""

    def __init__(self, console: Console, *, first_step: int, num_steps: int) -> None:
        self._console = console
        self._step, self._num_steps = first_step, num_steps
        self._timed_from: tuple[int, float] | None = None  # a step, and when it was started
        self._numbers: dict[str, float] = {}  # of the last interval
        self._evaluation: tuple[int, dict[str, float]] | None = None
        self._saved: tuple[int, float] | None = None  # a step, and when it was saved
        self._resumed_from = first_step
        self._live: Live | None = None
        if console.is_terminal and not console.quiet:
            self._live = Live(
                get_renderable=self._screen,
                console=console,
                refresh_per_second=_REFRESHES_PER_SECOND,
                vertical_overflow="visible",
            )
            self._live.start()

    def advance(self, step: int) -> None:
        """Notes that a step has been started."""
        if self._timed_from is None:
            self._timed_from = step, time.monotonic()  # after the first step's compilation
        self._step = step

    def saved(self, step: int) -> None:
        """Notes that the checkpoint of a step is complete."""
        self._saved = step, time.monotonic()

    def message(self, text: str) -> None:
        """Shows a line that stays."""
        line_printer(self._console)(text)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Shows the headline numbers of an interval, or of an evaluation."""
        if "loss" in values:
            self._numbers = dict(values)
        elif values:
            self._evaluation = step, dict(values)
        if self._live is None and (numbers := _headline(values)):
            if "tokens_per_second" in values:
                numbers.append(f"{self._time_left(step)} left")
            self.message("  ".join((f"step {step}/{self._num_steps}", *numbers)))

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()

    def _screen(self) -> RenderableType:
        width = min(_WIDEST, self._console.width)
        top = Table.grid(padding=(0, 2), expand=True)
        top.add_column(no_wrap=True)
        top.add_column(ratio=1)
        top.add_column(no_wrap=True, justify="right")
        done = f"{self._step}/{self._num_steps}"
        if self._timed_from is None:
            top.add_row(Text(done), ProgressBar(total=1, completed=0), Text("compiling the first step", style="dim"))
        else:
            bar = ProgressBar(total=max(self._num_steps, 1), completed=self._step)
            fraction = self._step / max(self._num_steps, 1)
            top.add_row(Text(done), bar, Text(f"{fraction:4.0%}   {self._time_left(self._step)} left"))
        rows = Table.grid(padding=(0, 3), pad_edge=False)
        rows.add_column(no_wrap=True, style="dim")
        rows.add_column(no_wrap=True, overflow="ellipsis")
        for name, text in self._rows():
            rows.add_row(name, Text(text))
        screen = Table.grid(expand=False)
        screen.add_column(width=width)
        screen.add_row(top)
        screen.add_row(rows)
        return screen

    def _rows(self) -> list[tuple[str, str]]:
        """Returns names and texts, always the same number, so that nothing jumps; only skipped steps add one."""
        numbers = self._numbers
        rows = [
            ("loss", "   ".join(_losses(numbers)) or _UNKNOWN),
            ("speed", "   ".join(_speed(numbers)) or _UNKNOWN),
            ("held out", self._evaluation_text()),
            ("saved", self._saved_text()),
        ]
        if numbers.get("skipped"):
            rows.append(("skipped", f"{numbers['skipped']:,.0f} steps whose loss or gradient was not finite"))
        return rows

    def _evaluation_text(self) -> str:
        if self._evaluation is None:
            return _UNKNOWN
        step, values = self._evaluation
        held_out = {name: value for name, value in values.items() if name.startswith("held_out/")}
        parts = _losses({name.removeprefix("held_out/"): value for name, value in held_out.items()})
        parts += [f"{name} {value:.4g}" for name, value in values.items() if name not in held_out]
        return "   ".join((*parts, f"step {step:,}"))

    def _saved_text(self) -> str:
        if self._saved is not None:
            step, when_s = self._saved
            return f"step {step:,}, {_ago(time.monotonic() - when_s)}"
        return f"step {self._resumed_from:,}, resumed from" if self._resumed_from else _UNKNOWN

    def _time_left(self, step: int) -> str:
        if self._timed_from is None:
            return _UNKNOWN
        first, since_s = self._timed_from
        if step >= self._num_steps:
            seconds_left = 0.0
        elif step == first:
            return _UNKNOWN
        else:
            seconds_left = (time.monotonic() - since_s) / (step - first) * (self._num_steps - step)
        minutes, seconds = divmod(round(seconds_left), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02d}:{seconds:02d}"


def _headline(values: Mapping[str, float]) -> list[str]:
    """Returns the parts of a plain line; metrics of single sources are in the files only."""
    parts = [f"{name} {value:.4f}" for name, value in values.items() if name.rpartition("/")[2] in _LOSSES]
    parts += _speed(values)
    if values.get("skipped"):
        parts.append(f"{values['skipped']:.0f} skipped")
    return parts


def _losses(values: Mapping[str, float]) -> list[str]:
    return [f"{label}{values[name]:.4f}" for name, label in _LOSSES.items() if name in values]


def _speed(values: Mapping[str, float]) -> list[str]:
    parts = []
    if "tokens_per_second" in values:
        parts.append(f"{values['tokens_per_second']:,.0f} tokens/s")
    if "mfu" in values:
        parts.append(f"MFU {values['mfu']:.1%}")
    return parts


def _ago(seconds: float) -> str:
    if seconds < 60:
        return "just now"
    minutes = int(seconds // 60)
    return f"{minutes} min ago" if minutes < 120 else f"{minutes // 60} h ago"
