"""How a call is timed, and how a worker hands its results over: one JSON object on standard output."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Timing:
    """One call. CPU time counts all threads, and unlike wall time it barely moves when others use the machine."""

    cpu_ms: float
    wall_ms: float


def time_call(call: Callable[[], Any]) -> Timing:
    """Times one call, which must return when its work is done."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Timing(cpu_ms=1e3 * (time.process_time() - cpu), wall_ms=1e3 * (time.perf_counter() - wall))


def time_calls(call: Callable[[], Any], *, warmup: int, repeats: int) -> list[Timing]:
    """Times `repeats` calls after `warmup` untimed ones."""
    for _ in range(warmup):
        call()
    return [time_call(call) for _ in range(repeats)]


def summary(timings: Iterable[Timing]) -> dict[str, float]:
    """The figures that are reported of one cell, milliseconds."""
    timings = list(timings)
    wall = sorted(timing.wall_ms for timing in timings)
    return {
        "cpu_ms": median(timing.cpu_ms for timing in timings),
        "wall_ms_best": wall[0],
        "wall_ms_p50": median(wall),
        "wall_ms_p99": wall[round(0.99 * (len(wall) - 1))],
        "repeats": len(wall),
    }


def hand_over(parameters: dict[str, int], versions: dict[str, str], results: list[dict[str, Any]]) -> None:
    """Prints parameter counts, package versions and the measured cells."""
    print(json.dumps({"parameters": parameters, "versions": versions, "results": results}))
