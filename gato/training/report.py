"""Turns interval sums into metrics without making the device wait: they are read after the next step was started."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import jax

from gato.training.metrics import interval_metrics
from gato.training.progress import ProgressDisplay
from gato.training.step import IntervalSums
from gato.training.writers import MetricWriter


class Report:
    """Holds one interval at a time, measures speed, and writes to every writer; a context that closes them."""

    def __init__(self, writers: Sequence[MetricWriter], progress: ProgressDisplay, source_names: Sequence[str]) -> None:
        self._writers = [*writers, progress]
        self._progress = progress
        self._source_names = source_names
        self._held: tuple[int, IntervalSums, int] | None = None  # step, sums, tokens
        self._tokens = 0  # since the last interval was held
        self._mark_s: float | None = None  # when the last interval was read

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for writer in self._writers:
            writer.close()

    def advance(self, step: int, num_tokens: int) -> None:
        """A step with so many tokens has been started."""
        if self._mark_s is None:
            self._mark_s = time.monotonic()  # the first start includes compilation
        self._tokens += num_tokens
        self._progress.advance(step)

    def hold(self, step: int, interval: IntervalSums) -> None:
        """Keeps the sums of the interval that ends with this step, still on the device, until `flush`."""
        self._held = step, interval, self._tokens
        self._tokens = 0

    def flush(self) -> int:
        """Reads and writes the interval held, if any, and returns its longest run of non-finite steps.

        Waits for the last step of the interval.
        """
        if self._held is None:
            return 0
        step, interval, num_tokens = self._held
        self._held = None
        host_interval = jax.device_get(interval)
        values = interval_metrics(host_interval, self._source_names)
        now_s = time.monotonic()
        if self._mark_s is not None:
            values["tokens_per_second"] = num_tokens / (now_s - self._mark_s)
        self._mark_s = now_s
        self.write(step, values)
        return int(host_interval.longest_skip)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Writes numbers that are at hand."""
        for writer in self._writers:
            writer.write(step, values)

    def message(self, text: str) -> None:
        """Tells the person who watches."""
        self._progress.message(text)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """A stretch of time that does not count as training."""
        start_s = time.monotonic()
        yield
        if self._mark_s is not None:
            self._mark_s += time.monotonic() - start_s
