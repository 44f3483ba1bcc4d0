"""Runs jobs in worker processes, a few at a time, and yields results as they come."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import Any, TypeVar

Job = TypeVar("Job")


def work(
    next_job: Callable[[], Job | None], function: Callable[[Job], Any], num_workers: int
) -> Iterator[tuple[Job, Any | Exception]]:
    """Yields (job, result) in the order in which jobs end; an exception that a job raised is its result.

    Args:
        next_job: asked whenever a worker will soon be idle; None where there is nothing to do before another result.
        function: a module's function, since it runs in another process; so do its exceptions.
        num_workers: processes.

    Raises:
        RuntimeError: a worker process died.
    """
    if num_workers < 1:
        raise ValueError(f"num_workers is {num_workers}, needs 1 or more")
    running: dict[Future[Any], Job] = {}
    with ProcessPoolExecutor(num_workers, get_context("spawn"), _start_worker) as pool:
        try:
            while True:
                while len(running) <= num_workers and (job := next_job()) is not None:
                    running[pool.submit(function, job)] = job
                if not running:
                    return
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    job = running.pop(future)
                    error = future.exception()
                    if isinstance(error, BrokenProcessPool):
                        raise RuntimeError(f"a worker process died, perhaps for want of memory, near {job}") from error
                    yield job, future.result() if error is None else error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _start_worker() -> None:
    """Makes a worker end at once on Ctrl-C, which reaches all processes; the parent reports it.

    A worker also ends with its parent, however that ended: nobody would collect its results.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
