"""Measures on one accelerator what is worth knowing first, in at most eight minutes. One command, resumable.

    PYTHONPATH=. python3 benchmarks/gpu_first.py --out gpu_first.jsonl
    PYTHONPATH=. python3 benchmarks/gpu_first.py --out /tmp/rehearsal.jsonl --tiny      # on a CPU, about a minute

Needs JAX, flax with what it depends on, optax and numpy, no install and no network. The most valuable parts come first:
what the device can do, training of 364M in the paper's layout and with short timesteps, the time of an action, and
whether host work for the next batch hides behind a step. Each part is a process of its own with a time limit. Every
result is appended to the file at once. When the time is over nothing new starts and the part under way is stopped; the
same command with the same file goes on with what is missing.

Training and its batches are those of `gpu_sweep.py`, which measures more settings. Where cuDNN attention does not run,
a part is measured with XLA's, and says so. Acting is the compiled step of `gato.inference.step` on hand-made
observations: all but turning an observation into tokens, which needs Gymnasium (`act_speed.py` has it in).
"""

import argparse
import dataclasses
import functools
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gpu_sweep
import jax
import jax.numpy as jnp
import numpy as np
from gpu_sweep import ACTED, Cell
from timing import summary, time_call

from gato.config import ModelConfig, PolicyConfig, TokenizerConfig
from gato.inference.action_table import ActionTable
from gato.inference.chunks import ChunkRow, assemble
from gato.inference.kv_cache_window import KVCacheWindow
from gato.inference.step import ActionLayout, StepInput, act
from gato.inference.weights import Weights
from gato.model.cache import Cache
from gato.model.cost.size import cache_bytes, parameter_counts
from gato.model.gato import init_parameters, unembedding
from gato.tokenizer.sequence import TokenSequence

MAX_ACTIONS, MAX_ACTING_S = 500, 5.0  # timed per part of acting, whichever comes first
MIN_PART_S = 15.0  # nothing starts with less time left: a process imports and compiles first


@dataclass(frozen=True, kw_only=True)
class Part:
    """Something to measure, and the seconds after which it is stopped."""

    name: str
    measure: Callable[[], dict[str, Any]]
    limit_s: float


def parts(tiny: bool) -> Iterator[Part]:
    """Yields all parts, most valuable first."""
    cell = Cell(size="364m", rows=32, remat="dots")
    if tiny:  # with the attention that a CPU does not have, so that the way out is rehearsed too
        cell = Cell(size="tiny", rows=2, length=128)
    text, scalar, grouped = (dataclasses.replace(cell, content=content) for content in ("text", "control", "grouped"))
    yield Part(name="limits", measure=lambda: gpu_sweep.measure_floor(tiny), limit_s=60)
    for each in (text, grouped, scalar):
        yield training_part("train", gpu_sweep.measure, each)
    yield from acting_parts(cell, num_envs=1)
    yield training_part("overlap", measure_overlap, grouped)
    if not tiny:
        yield from acting_parts(dataclasses.replace(cell, size="79m"), num_envs=1)
    yield training_part("overlap", measure_overlap, scalar)
    yield from acting_parts(cell, num_envs=4 if tiny else 64)
    yield training_part("train", gpu_sweep.measure, dataclasses.replace(text, attention="xla"))


def training_part(name: str, measure: Callable[[Cell], dict[str, Any]], cell: Cell) -> Part:
    """Returns a part that compiles a training step."""
    return Part(
        name=f"{name} {cell.size} {cell.content} {cell.attention}",
        measure=functools.partial(with_any_attention, measure, cell),
        limit_s=120,
    )


def acting_parts(cell: Cell, num_envs: int) -> Iterator[Part]:
    """Yields both layouts, with a context as long as the cell's rows; the attention is that of the KV cache."""
    contents: tuple[gpu_sweep.Content, ...] = ("control", "grouped")
    for content in contents:
        measure = functools.partial(
            measure_acting, dataclasses.replace(cell, content=content, attention="xla"), num_envs
        )
        yield Part(name=f"act {cell.size} {content} envs-{num_envs}", measure=measure, limit_s=75)


def with_any_attention(measure: Callable[[Cell], dict[str, Any]], cell: Cell) -> dict[str, Any]:
    """Measures with the cell's attention, and with XLA's where that fails; the result says which it was."""
    try:
        return {"attention": cell.attention, **measure(cell)}
    except Exception as error:  # of any kind: compilers raise their own
        if cell.attention == "xla":
            raise
        failure = f"{type(error).__name__}: {error}"[:300]
    return {"attention": "xla", "failed": failure, **measure(dataclasses.replace(cell, attention="xla"))}


def measure_overlap(cell: Cell) -> dict[str, Any]:
    """Times a step on a batch that is there, making a batch alone, and both as a run does them.

    The host work is to cut rows out of encoded episodes, to join them and to send them; not reading, nor encoding.
    """
    episode, rng = gpu_sweep.random_episode(cell.tokenizer, 4 * cell.length), np.random.default_rng(0)

    def load() -> Any:
        return jax.device_put(gpu_sweep.window_batch(cell, episode, rng))

    ready = load()
    training = gpu_sweep.Training(cell, gpu_sweep.synthetic_batch(cell))
    pending: Any = None

    def both() -> Any:
        nonlocal ready, pending
        sums = training.step(ready)
        ready = load()
        jax.block_until_ready(pending)  # no more than two steps are under way, as in a run
        pending = sums
        return sums

    calls: dict[str, Callable[[], Any]] = {"step_s": lambda: training.step(ready), "load_s": load, "both_s": both}
    seconds = {name: gpu_sweep.seconds_a_call(call, cell.seconds)[0] for name, call in calls.items()}
    training.check()
    return {**seconds, "both_over_step": seconds["both_s"] / seconds["step_s"], "compile_s": training.compile_s}


def measure_acting(cell: Cell, num_envs: int) -> dict[str, Any]:
    """Times environment steps of a policy whose context is full, each until the host has its actions."""
    model, tokenizer = gpu_sweep.model_config(cell), cell.tokenizer
    call = acting_call(model, tokenizer, num_envs, cell.length)
    start = time.perf_counter()
    call()
    compile_s = time.perf_counter() - start
    episode = gpu_sweep.random_episode(tokenizer, 1)
    for _ in range(cell.length // len(episode) + 8):
        call()
    deadline = time.perf_counter() + (gpu_sweep.TINY_SECONDS if cell.size == "tiny" else MAX_ACTING_S)
    timings = []
    while len(timings) < MAX_ACTIONS and (len(timings) < 10 or time.perf_counter() < deadline):
        timings.append(time_call(call))
    counts = parameter_counts(model, tokenizer)
    itemsize = jnp.dtype(model.compute_dtype).itemsize
    num_passes = 1 if tokenizer.has_action_groups else ACTED
    read = itemsize * (counts["attention"] + counts["mlp"]) + cache_bytes(model, num_envs, cell.length)
    return {**summary(timings), "compile_s": compile_s, "passes": num_passes, "gb_read": num_passes * read / 1e9}


def acting_call(model: ModelConfig, tokenizer: TokenizerConfig, num_envs: int, context: int) -> Callable[[], Any]:
    """Returns a call that makes the next environment step of environments that run in step, and returns its actions."""
    params = jax.jit(init_parameters, static_argnums=(0, 1))(model, tokenizer, jax.random.key(0))
    weights = Weights.of(params, model)
    bins = tokenizer.continuous_ids
    ranges = np.tile(np.array([bins.start, bins.stop], np.int32), (ACTED, 1))
    table = ActionTable.of([ranges] * num_envs, PolicyConfig(), tokenizer)
    head_RD = unembedding(params, model, table.token_ids)
    layout = ActionLayout(
        model=model,
        tokenizer=tokenizer,
        first_id=table.token_ids.start,
        sampling=table.sampling,
        mixed=table.is_mixed,
    )
    cache, window = Cache.empty(model, num_envs, context), KVCacheWindow(context)
    episode = gpu_sweep.random_episode(tokenizer, 64)
    num_fed = 0 if tokenizer.own_actions == "hidden" else ACTED
    steps = itertools.count()

    def call() -> Any:
        nonlocal cache
        step = next(steps)
        timestep = episode.timesteps(step % 64, step % 64 + 1)
        num_observed = len(timestep) - num_fed
        sequence, position = timestep.slice(0, num_observed), window.begin_timestep(len(timestep))
        action_positions = np.full((num_envs, ACTED), -1, np.int32)
        action_cache_slots = np.full((num_envs, ACTED), context, np.int32)
        if num_fed:
            action_positions[:] = position + num_observed + np.arange(ACTED)
            action_cache_slots[:] = window.cache_slots(action_positions)
        if num_fed and step:  # the last action token is written with the next observation
            sequence = TokenSequence.concatenate([timestep.slice(len(timestep) - 1, len(timestep)), sequence])
        begin = position + num_observed - len(sequence)
        row = ChunkRow(sequence=sequence, position=begin, window=window, clear_cache=step == 0)
        entered = StepInput(
            chunk=assemble([row] * num_envs, tokenizer),
            query_indices=np.full((num_envs, 1), len(sequence) - 1, np.int32),
            action_positions=action_positions,
            action_cache_slots=action_cache_slots,
            low=table.low,
            high=table.high,
            first_ids=table.first_ids,
            temperatures=table.temperatures,
            num_evicted=np.full(num_envs, window.num_evicted, np.int32),
            seeds=np.arange(num_envs, dtype=np.uint32),
            steps=np.full(num_envs, step, np.int32),
        )
        actions, cache = act(layout, weights, head_RD, entered, cache, None)
        return jax.device_get(actions)

    return call


def main() -> None:
    """Measures the parts that the file does not hold yet, until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu_first.jsonl"), help="results, one JSON object per line")
    parser.add_argument("--minutes", type=float, default=8, help="of this call, all parts together")
    parser.add_argument("--tiny", action="store_true", help="rehearse with a small model")
    parser.add_argument("--only", default="", help="parts whose name holds this text")
    parser.add_argument("--part", help="measure this one part here and print it (how the script calls itself)")
    options = parser.parse_args()
    if options.part:
        chosen = next(part for part in parts(options.tiny) if part.name == options.part)
        print(json.dumps(chosen.measure()))
        return
    deadline = time.monotonic() + 60 * options.minutes
    # Parts that compile the same step share it.
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(tempfile.gettempdir()) / "gato_gpu_first"))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    finished = gpu_sweep.read_results(options.out)
    for part in parts(options.tiny):
        if options.only not in part.name:
            continue
        left_s = deadline - time.monotonic()
        if part.name not in finished:
            if left_s < MIN_PART_S:
                print(f"{part.name:48} not started: the time is over; the same command goes on", flush=True)
                continue
            arguments = [__file__, "--part", part.name, *(["--tiny"] if options.tiny else [])]
            start = time.monotonic()
            result = gpu_sweep.run_child(arguments, min(part.limit_s, left_s))
            took_s = time.monotonic() - start
            finished[part.name] = {"cell": part.name, **result, "took_s": round(took_s, 1)}
            if "error" not in result or took_s < left_s:  # what only lacked time is missing, not finished
                gpu_sweep.append_result(options.out, finished[part.name])
        gpu_sweep.show(part.name, finished[part.name])
        if "failed" in finished[part.name]:
            print(f"{'':48} with XLA's attention, since: {finished[part.name]['failed']}", flush=True)


if __name__ == "__main__":
    main()
