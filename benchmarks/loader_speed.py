"""Rows a CPU-second of the loader for control from states, beside a plain numpy loop and PyTorch's DataLoader.

All measure rows of 1,024 tokens out of the same self-made episodes, take turns, and are pinned to one core. The numpy
loop does nothing but cut windows out of encoded episodes in memory: what is above it is the price of the rest.
A second table is the share of a CPU training step that is spent on getting its batch. Ends with a line per ratio, as
`figures.py` writes them: PyTorch's DataLoader to ours, and training steps without the loader to those with it.
"""

import argparse
import dataclasses
import datetime
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import bench
import body
import jax
import numpy as np
import ours
from figures import Figure, report
from gymnasium.spaces import Box
from timing import time_call, time_calls

from gato.config import DataConfig, PromptConfig, SourceConfig
from gato.configs import quickstart
from gato.data.encoded import EncodedRecords, SequenceCache, encoding_of
from gato.data.episode import Episode
from gato.data.mixture import Mixture, open_rows
from gato.data.opened import open_encoded
from gato.data.prepared import write_prepared
from gato.data.sources.minari_writer import write_minari
from gato.model.gato import init_parameters
from gato.training.optimizer import make_optimizer, make_schedule
from gato.training.step import empty_interval, init_state, make_train_step, model_loss

HERE = Path(__file__).parent
TASK = body.TASKS["halfcheetah-like"]
NUM_EPISODES, NUM_STEPS = 100, 1000
BATCH_SIZE = 16
CACHE_BYTES = 1 << 30
SPACES = (
    Box(-np.inf, np.inf, (TASK.observation_tokens,), np.float64),
    Box(-1, 1, (TASK.action_tokens,), np.float32),
)
PEER = "PyTorch DataLoader, 0 workers"
NEVER = PromptConfig(probability=0.0)

Cell = dict[str, Any]  # one measurement: rows, cpu_s, wall_s


def write_data(folder: Path) -> None:
    """The same random episodes as a Minari dataset, prepared, and as the plain arrays that the peer reads."""
    rng = np.random.default_rng(0)
    observations = rng.normal(scale=3.0, size=(NUM_EPISODES, NUM_STEPS + 1, TASK.observation_tokens))
    actions = rng.uniform(-1, 1, (NUM_EPISODES, NUM_STEPS, TASK.action_tokens)).astype(np.float32)
    np.savez(folder / "arrays.npz", observations=observations, actions=actions)
    episodes = (
        Episode(observations=seen, actions=acted, rewards=np.ones(NUM_STEPS), terminated=False, truncated=True)
        for seen, acted in zip(observations, actions, strict=True)
    )
    write_minari(folder / "control", episodes, *SPACES, dataset_id="bench/states-v0")
    encoded, facts = open_encoded(
        source(folder), DataConfig(), ours.TOKENIZER, None, SequenceCache(0), with_returns=False
    )
    encoding = encoding_of(DataConfig(), ours.TOKENIZER, None, terminal_observation=False)
    write_prepared(folder / "prepared", encoded, facts, encoding)


def source(folder: Path, kind: str = "control", prompt: PromptConfig = NEVER) -> SourceConfig:
    """The episodes of the folder, read on the fly or prepared."""
    minari = SourceConfig(name="states", kind="minari", path=str(folder / "control"), prompt=prompt)
    return minari if kind == "control" else dataclasses.replace(minari, kind="prepared", path=str(folder / "prepared"))


def make_mixture(chosen: SourceConfig, cache_bytes: int, max_patches: int = 0) -> Mixture:
    """Our loader, as training uses it."""
    data = DataConfig(
        sources=(chosen,), batch_size=BATCH_SIZE, context_length=body.CONTEXT_LENGTH, max_patches=max_patches
    )
    rows = open_rows(data, 0, ours.TOKENIZER, None, SequenceCache(cache_bytes), 0, False)
    return Mixture([rows], data, ours.TOKENIZER, 0)


def plain_batches(encoded: EncodedRecords) -> Iterator[dict[str, np.ndarray]]:
    """Windows cut out of arrays in memory, and nothing else."""
    fields = {"tokens": ours.TOKENIZER.padding_id, "local_positions": ours.TOKENIZER.no_position}
    filling = {**fields, "loss_mask": False, "changed_mask": False}
    episodes = [{name: getattr(encoded[index], name) for name in filling} for index in range(len(encoded))]
    length = TASK.timesteps_a_row * TASK.tokens
    rng = np.random.default_rng(0)
    while True:
        batch = {
            name: np.full((BATCH_SIZE, body.CONTEXT_LENGTH), value, episodes[0][name].dtype)
            for name, value in filling.items()
        }
        for row in range(BATCH_SIZE):
            episode = episodes[rng.integers(len(episodes))]
            start = TASK.tokens * int(rng.integers(NUM_STEPS - TASK.timesteps_a_row + 1))
            for name, values in episode.items():
                batch[name][row, :length] = values[start : start + length]
        yield batch


def settle() -> None:
    """Waits until threads that read ahead have filled their buffers."""
    before = -1.0
    while time.process_time() - before > 2e-3:
        before = time.process_time()
        time.sleep(0.05)


def time_batches(batches: Iterator[Any], num_batches: int) -> Cell:
    """The time of so many batches, without the first ones."""
    for _ in range(4):
        next(batches)
    settle()
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(num_batches):
        next(batches)
    wall_s = time.perf_counter() - wall
    settle()  # so that as much was read ahead at the end as at the start
    return {"rows": num_batches * BATCH_SIZE, "cpu_s": time.process_time() - cpu, "wall_s": wall_s}


def time_peer(folder: Path, num_rows: int, workers: int, options: argparse.Namespace) -> Cell:
    """As the other side measures itself."""
    command = [options.peer_python, str(HERE / "peer_loader.py"), "--data", str(folder / "arrays.npz")]
    command += ["--rows", str(num_rows), "--batch-size", str(BATCH_SIZE), "--workers", str(workers)]
    # On one core, PyTorch warns of any worker.
    environment = {**os.environ, **bench.ONE_THREAD, "PYTHONWARNINGS": "ignore"}
    output = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True)
    return json.loads(output.stdout.splitlines()[-1])


def measure_rows(folder: Path, options: argparse.Namespace) -> dict[str, list[Cell]]:
    """Every loader in turn, round by round."""
    fly, prepared = source(folder), source(folder, "prepared")
    encoded, _ = open_encoded(
        prepared, DataConfig(), ours.TOKENIZER, None, SequenceCache(CACHE_BYTES), with_returns=False
    )
    digest = hashlib.sha256(encoded[0].tokens.astype("<i4").tobytes()).hexdigest()
    few, many = options.rows // 4, options.rows
    streams: dict[str, tuple[Iterator[Any], int]] = {
        "numpy loop over encoded arrays": (plain_batches(encoded), many),
        "on the fly, every episode new": (make_mixture(fly, 0), few),
        "on the fly, episodes seen before": (make_mixture(fly, CACHE_BYTES), many),
        "prepared, every episode new": (make_mixture(prepared, 0), few),
        "prepared, episodes seen before": (make_mixture(prepared, CACHE_BYTES), many),
        "the same, a quarter of rows prompted": (
            make_mixture(source(folder, "prepared", PromptConfig()), CACHE_BYTES),
            many,
        ),
        "the same, and room for 1,024 patches": (
            make_mixture(source(folder, "prepared", PromptConfig()), CACHE_BYTES, max_patches=1024),
            many,
        ),
    }
    for name in ("on the fly, episodes seen before", "prepared, episodes seen before"):
        time_batches(streams[name][0], 8 * NUM_EPISODES // BATCH_SIZE)
    cells: dict[str, list[Cell]] = defaultdict(list)
    for number in range(1, options.rounds + 1):
        print(f"round {number} of {options.rounds}", file=sys.stderr)
        for name, (stream, num_rows) in streams.items():
            cells[name].append(time_batches(stream, num_rows // BATCH_SIZE))
        for workers in (0, 2) if options.peer_python else ():
            cell = time_peer(folder, many, workers, options)
            if cell["digest"] != digest:
                raise ValueError("the two sides tokenize an episode differently: they do not do the same work")
            cells[f"PyTorch DataLoader, {workers} workers"].append(cell)
    return cells


def measure_stall(folder: Path, num_steps: int) -> Cell:
    """Steps of the quickstart's network on one batch over and over, and on batches from the loader, in turn.

    The CPU time of making a batch and of putting it on the device, as a share of that of a step, is the most that a
    step could wait, were it not made while the step before it runs. Episodes have all been seen before, as they have
    but for a run's beginning.
    """
    config = quickstart.get_config()
    data = dataclasses.replace(config.data, sources=(source(folder, prompt=PromptConfig(max_tokens=128)),))
    rows = open_rows(data, 0, config.tokenizer, None, SequenceCache(CACHE_BYTES), 0, False)
    mixture = Mixture([rows], data, config.tokenizer, 0)
    optimizer = make_optimizer(config.optimizer)
    step = make_train_step(model_loss(config.model, config.tokenizer, 1), optimizer, make_schedule(config.optimizer))
    state = init_state(init_parameters(config.model, config.tokenizer, jax.random.key(0)), optimizer)
    interval, key, one = empty_interval(1), jax.random.key(1), next(mixture)
    repeated = jax.device_put(one)

    def call(fetch: bool) -> None:
        nonlocal state
        state, output = step(state, interval, jax.device_put(next(mixture)) if fetch else repeated, key)
        jax.block_until_ready((state, output))

    time_batches(mixture, 16 * NUM_EPISODES // data.batch_size)  # every episode has been seen
    for fetch in (False, True):
        time_calls(partial(call, fetch), warmup=2, repeats=1)
    pairs = [(time_call(partial(call, False)), time_call(partial(call, True))) for _ in range(num_steps)]
    put = time_calls(lambda: jax.block_until_ready(jax.device_put(one)), warmup=5, repeats=100)
    made = time_batches(mixture, 400)
    batch_ms = 1e3 * made["cpu_s"] / 400 + median(timing.cpu_ms for timing in put)
    step_ms = median(alone.cpu_ms for alone, _ in pairs)
    ratios = sorted(loaded.cpu_ms / alone.cpu_ms for alone, loaded in pairs)
    return {
        "step_ms": step_ms,
        "batch_ms": batch_ms,
        "share": batch_ms / step_ms,
        "ratio": median(ratios),
        "ratio_low": ratios[0],
        "ratio_high": ratios[-1],
        "steps": num_steps,
    }


def table(cells: dict[str, list[Cell]]) -> str:
    """Markdown; rows a second, and CPU time beside the numpy loop's of the same round."""
    lines = ["| loader | rows/CPU-s | rows/s | CPU time / numpy loop's (lowest to highest) |", "|---|---|---|---|"]
    floor = [cell["cpu_s"] / cell["rows"] for cell in next(iter(cells.values()))]
    for name, runs in cells.items():
        cpu, wall = (median(cell["rows"] / cell[clock] for cell in runs) for clock in ("cpu_s", "wall_s"))
        ratios = [cell["cpu_s"] / cell["rows"] / least for cell, least in zip(runs, floor, strict=True)]
        ratio = f"{median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
        lines.append(f"| {name} | {cpu:,.0f} | {wall:,.0f} | {ratio} |")
    return "\n".join(lines)


def figures(cells: dict[str, list[Cell]], stall: Cell) -> list[Figure]:
    """PyTorch without workers beside our loader, where both have seen the episodes before, and the training step."""
    per_row = {name: [cell["cpu_s"] / cell["rows"] for cell in runs] for name, runs in cells.items()}
    found = []
    for kind in ("on the fly", "prepared") if PEER in per_row else ():
        mine = per_row[f"{kind}, episodes seen before"]
        ratios = [theirs / own for theirs, own in zip(per_row[PEER], mine, strict=True)]
        found.append(Figure.from_ratios(f"loader_cpu/{kind}", ratios))
    inverse = {end: 1 / stall[f"ratio{end}"] for end in ("", "_low", "_high")}
    return [*found, Figure("loader_step_cpu/quickstart", inverse[""], inverse["_high"], inverse["_low"])]


def main() -> None:
    """Measures, prints two tables, and keeps every figure in benchmarks/results/."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-python", help="interpreter with PyTorch; without it, that side is left out")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each loader")
    parser.add_argument("--rows", type=int, default=4096, help="rows a turn; a quarter where episodes are read anew")
    parser.add_argument("--steps", type=int, default=60, help="training steps with the loader, and as many without")
    parser.add_argument("--core", type=int, default=0, help="the core that all of it runs on")
    parser.add_argument("--out", type=Path, help="results file; benchmarks/results/loader-<date>.json if not given")
    parser.add_argument("--figures", type=Path, help="file to append the figure lines to")
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.core})
    date = datetime.date.today().isoformat()
    with tempfile.TemporaryDirectory() as name:
        write_data(Path(name))
        cells = measure_rows(Path(name), options)
        stall = measure_stall(Path(name), options.steps)
    path = options.out or HERE / "results" / f"loader-{date}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"date": date, "machine": bench.machine(), "versions": ours.versions()}
    path.write_text(json.dumps({**about, "cells": cells, "stall": stall}, indent=1) + "\n")
    print(f"{date}, {about['machine']}\n\n{table(cells)}\n")
    print("| CPU-ms of a step of the quickstart's network | of its batch | share | step with / without loader |")
    print("|---|---|---|---|")
    cost = f"{stall['batch_ms']:.2f} | {stall['share']:.2%} | {stall['ratio']:.3f}"
    print(f"| {stall['step_ms']:.0f} | {cost} |\n\nall figures: {path}")
    report(figures(cells, stall), options.figures)


if __name__ == "__main__":
    main()
