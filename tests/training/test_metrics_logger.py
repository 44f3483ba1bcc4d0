import io

import numpy as np
import pytest
from rich.console import Console

from gato.training.events import EventLog, read_events
from gato.training.metrics_logger import MetricsLogger
from gato.training.progress import ProgressDisplay
from gato.training.step import empty_interval


class Written:
    """A writer that remembers."""

    def __init__(self):
        self.lines, self.closed = [], False

    def write(self, step, values):
        self.lines.append((step, dict(values)))

    def close(self):
        self.closed = True


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is told to move on."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


def logger_of(written, **options) -> MetricsLogger:
    progress = ProgressDisplay(Console(file=io.StringIO()), first_step=0, num_steps=10)
    return MetricsLogger([written], progress, ("one",), **options)


def test_speed_is_that_of_the_interval_and_pauses_do_not_count(written, clock):
    with logger_of(written, peak_flops=1000.0) as logger:
        logger.advance(1, 30, 400.0)  # starts the clock: the first step was compiled before
        clock(2)
        logger.advance(2, 50, 600.0)
        logger.buffer(2, empty_interval(1))
        logger.advance(3, 1000, 1e6)  # of the next interval
        with logger.paused():
            clock(100)
        clock(2)
        logger.flush()
    ((step, values),) = written.lines
    assert step == 2
    assert values["tokens_per_second"] == pytest.approx(80 / 4)
    assert values["mfu"] == pytest.approx(1000 / 4 / 1000)
    assert written.closed


def test_the_next_interval_begins_where_the_last_one_was_read(written, clock):
    with logger_of(written, peak_flops=1000.0) as logger:
        for step in (1, 2):
            logger.advance(step, 30, 300.0)
            clock(3)
            logger.buffer(step, empty_interval(1))
            logger.flush()
    assert [values["tokens_per_second"] for _, values in written.lines] == [10.0, 10.0]
    assert [values["mfu"] for _, values in written.lines] == pytest.approx([0.1, 0.1])


@pytest.mark.parametrize(("peak", "flops"), [(None, 100.0), (1000.0, 0.0)], ids=["unknown device", "not counted"])
def test_utilisation_is_left_out_where_a_side_of_it_is_unknown(written, clock, peak, flops):
    with logger_of(written, peak_flops=peak) as logger:
        logger.advance(1, 30, flops)
        clock(1)
        logger.buffer(1, empty_interval(1))
        logger.flush()
    assert "mfu" not in written.lines[0][1]
    assert written.lines[0][1]["tokens_per_second"] == 30


def test_what_is_saved_and_how_the_run_ended_goes_to_the_events(written, tmp_path):
    path = tmp_path / "events.jsonl"
    with logger_of(written, events=EventLog(path, first_step=4)) as logger:
        logger.saved(6)
        logger.ended(7, stopped=True)
    assert [(event.kind, event.step) for event in read_events(path)] == [("resumed", 4), ("saved", 6), ("stopped", 7)]


def test_nothing_is_written_where_nothing_is_held(written):
    with logger_of(written) as logger:
        assert logger.flush() == 0
    assert written.lines == []


def test_the_longest_run_of_skipped_steps_is_returned(written):
    interval = empty_interval(1)
    object.__setattr__(interval, "longest_skip", np.int32(3))
    with logger_of(written) as logger:
        logger.advance(1, 10)
        logger.buffer(1, interval)
        assert logger.flush() == 3
