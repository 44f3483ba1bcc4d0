"""Turns interval sums into metrics without making the device wait: they are read after the next step was started."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Self

import jax

from gato.training.events import EventLog
from gato.training.metrics import interval_metrics, speed_metrics
from gato.training.progress import ProgressDisplay
from gato.training.step import IntervalSums
from gato.training.writers import MetricWriter


class MetricsLogger:
    """Buffers one interval at a time, measures speed, and writes to every writer; a context that closes them."""

    def __init__(
        self,
        writers: Sequence[MetricWriter],
        progress: ProgressDisplay,
        source_names: Sequence[str],
        *,
        events: EventLog | None = None,
        peak_flops: float | None = None,
    ) -> None:
        """Starts now.

        Args:
            events: where saving and the end of the run are noted; closed with the writers.
            peak_flops: operations per second of all devices together; None = unknown, so no utilisation is logged.
        """
        self._writers = [*writers, progress]
        self._progress = progress
        self._source_names = source_names
        self._events, self._peak_flops = events, peak_flops
        self._buffered: tuple[int, IntervalSums, int, float] | None = None  # step, sums, tokens, operations
        self._tokens, self._flops = 0, 0.0  # since the last interval was buffered
        self._mark_s: float | None = None  # when the last interval was read

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        for writer in self._writers:
            writer.close()
        if self._events is not None:
            self._events.close()

    def advance(self, step: int, num_tokens: int, flops: float = 0.0) -> None:
        """Counts a step that has been started.

        Args:
            num_tokens: without padding, of all processes.
            flops: what the step has to compute, of all processes; see `gato.model.cost.size.training_flops`.
        """
        if self._mark_s is None:
            self._mark_s = time.monotonic()  # the first start includes compilation
        self._tokens += num_tokens
        self._flops += flops
        self._progress.advance(step)

    def buffer(self, step: int, interval: IntervalSums) -> None:
        """Keeps the sums of the interval that ends with this step, still on the device, until `flush`."""
        self._buffered = step, interval, self._tokens, self._flops
        self._tokens, self._flops = 0, 0.0

    def flush(self) -> int:
        """Reads and writes the buffered interval, if any, and returns its longest run of non-finite steps.

        Waits for the last step of the interval.
        """
        if self._buffered is None:
            return 0
        step, interval, num_tokens, flops = self._buffered
        self._buffered = None
        host_interval = jax.device_get(interval)
        values = interval_metrics(host_interval, self._source_names)
        now_s = time.monotonic()
        if self._mark_s is not None:
            values |= speed_metrics(num_tokens, flops, now_s - self._mark_s, self._peak_flops)
        self._mark_s = now_s
        self.write(step, values)
        return int(host_interval.longest_skip)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the numbers of a step at once."""
        for writer in self._writers:
            writer.write(step, values)

    def saved(self, step: int) -> None:
        """Notes that the checkpoint of a step is complete."""
        self._progress.saved(step)
        if self._events is not None:
            self._events.note("saved", step)

    def ended(self, step: int, *, stopped: bool) -> None:
        """Notes that the run has made its last step, or was stopped before it."""
        if self._events is not None:
            self._events.note("stopped" if stopped else "finished", step)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Excludes the time of the block from the speed of training."""
        start_s = time.monotonic()
        yield
        if self._mark_s is not None:
            self._mark_s += time.monotonic() - start_s
