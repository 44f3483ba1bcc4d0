"""Traces some steps of a run with jax.profiler, in files that TensorBoard and Perfetto open."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import jax


class Profiler:
    """A context that traces a range of steps and completes the trace however the run ends.

    A resumed run traces what is left of the range. Each trace gets a folder of its own, named by the time.
    """

    def __init__(self, folder: Path, steps: tuple[int, int] | None, report: Callable[[str], None]) -> None:
        """Traces nothing before the first step of the range starts.

        Args:
            folder: of all traces of the run.
            steps: first and last step; None traces nothing.
            report: gets a line when a trace is complete.
        """
        self._folder, self._report = folder, report
        self._first, self.last_step = steps or (0, 0)
        self._is_active = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._is_active:
            self._stop()

    def step(self, number: int) -> contextlib.AbstractContextManager[Any]:
        """Returns the context in which a step is started; starts the trace if the step belongs to it."""
        if not self._first <= number <= self.last_step:
            return contextlib.nullcontext()
        if not self._is_active:
            jax.profiler.start_trace(self._folder)
            self._is_active = True
        return jax.profiler.StepTraceAnnotation("train", step_num=number)

    def finish(self, outputs: Any) -> None:  # Any: a pytree of arrays
        """Completes the trace once the last step has computed its outputs."""
        jax.block_until_ready(outputs)
        self._stop()

    def _stop(self) -> None:
        self._is_active = False
        jax.profiler.stop_trace()
        self._report(f"trace of steps written to {self._folder}: see docs/scaling.md")
