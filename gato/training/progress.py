"""What a person sees while training: a bar on a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


class ProgressDisplay:
    """A metric writer for people; also told of every step, and of what else happens."""

    def __init__(self, console: Console, *, first_step: int, num_steps: int) -> None:
        self._console = console
        self._first_step = first_step
        self._num_steps = num_steps
        self._start_s: float | None = None
        self._bar: Progress | None = None
        if console.is_terminal:
            columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[numbers]}"))
            self._bar = Progress(*columns, console=console, refresh_per_second=4)
            self._task = self._bar.add_task("training", total=num_steps, completed=first_step, numbers="")
            self._bar.start()

    def advance(self, step: int) -> None:
        """The given step has been started."""
        if self._start_s is None:
            self._start_s = time.monotonic()  # after the first step's compilation
        if self._bar is not None:
            self._bar.update(self._task, completed=step)

    def message(self, text: str) -> None:
        """Shows a line that stays."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Shows the headline numbers of a step."""
        numbers = _headline(values)
        if "tokens_per_second" in values:
            numbers += f"  {self._time_left(step)} left"
        if self._bar is not None and "loss" in values:
            self._bar.update(self._task, numbers=numbers)
        elif numbers:
            self.message(f"step {step}/{self._num_steps}  {numbers}")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()

    def _time_left(self, step: int) -> str:
        elapsed_s = time.monotonic() - self._start_s if self._start_s is not None else 0.0
        seconds_left = elapsed_s / max(step - self._first_step, 1) * (self._num_steps - step)
        minutes, seconds = divmod(round(seconds_left), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02d}:{seconds:02d}"


def _headline(values: Mapping[str, float]) -> str:
    parts = [f"{name} {value:.4f}" for name, value in values.items() if name.rpartition("/")[2] == "loss"]
    if "tokens_per_second" in values:
        parts.append(f"{values['tokens_per_second']:,.0f} tokens/s")
    if values.get("skipped"):
        parts.append(f"{values['skipped']} skipped")
    return "  ".join(parts)
