"""Measures Gato and GPT-2 side by side on one core, and prints a table: `make bench`.

The two sides take turns, A, B, A, B, each in a process of its own, so that whatever else the machine does falls on
both. Every figure is a median of CPU time; a ratio is the median of the ratios of neighbouring runs. Ends with a line
per ratio, as `figures.py` writes them.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import body
from figures import Figure, report

HERE = Path(__file__).parent
OURS, PEER = "gato", "gpt2"
ONE_THREAD = {
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # Both sides get the allocator settings that `gato train` gives itself, so that engines are compared.
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
}
PAIRED = [name for name in body.TASKS if name != "robot-like"]  # that one is for accelerators, see GPU.md
_KEYS = ("measure", "task", "num_envs", "visible", "variant")

Cell = dict[str, Any]  # one measurement, as a worker printed it
Runs = dict[tuple[Any, ...], list[Cell]]  # the same cell, round by round


def command(side: str, measure: str, task: str, options: argparse.Namespace) -> list[str]:
    """The worker that measures one task."""
    repeats = options.train_repeats if measure == "train" else options.act_repeats
    arguments = ["--task", task, "--repeats", str(repeats)]
    if side == OURS:
        return [sys.executable, str(HERE / f"{measure}_speed.py"), *arguments]
    return [options.peer_python, str(HERE / "peer_gpt2.py"), "--measure", measure, *arguments]


def run(side: str, measure: str, task: str, options: argparse.Namespace) -> dict[str, Any]:
    """What one worker hands over, measured on one core."""
    pinned = ["taskset", "-c", str(options.core), *command(side, measure, task, options)]
    output = subprocess.run(pinned, check=True, env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, text=True)
    return json.loads(output.stdout.splitlines()[-1])


def machine() -> dict[str, Any]:
    """What the figures depend on beside the code."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {"cpu": model, "cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}


def pair_up(runs: dict[str, Runs]) -> list[Cell]:
    """Each of our cells beside each variant of the peer's that measures the same."""
    pairs = []
    for key, ours in runs[OURS].items():
        for peer_key, peer in runs[PEER].items():
            if key[:-1] == peer_key[:-1]:
                ratios = [theirs["cpu_ms"] / mine["cpu_ms"] for mine, theirs in zip(ours, peer, strict=True)]
                pairs.append(
                    {
                        **dict(zip(_KEYS, key, strict=True)),
                        "peer_variant": peer_key[-1],
                        "tokens": ours[0].get("tokens"),
                        "cpu_ms": median(cell["cpu_ms"] for cell in ours),
                        "peer_cpu_ms": median(cell["cpu_ms"] for cell in peer),
                        "wall_ms_best": min(cell["wall_ms_best"] for cell in ours),
                        "peer_wall_ms_best": min(cell["wall_ms_best"] for cell in peer),
                        "floor_ms": ours[0].get("floor_ms"),
                        "ratio": median(ratios),
                        "ratio_low": min(ratios),
                        "ratio_high": max(ratios),
                    }
                )
    return pairs


def figure(pair: Cell) -> Figure:
    """The ratio of a pair, named by what tells pairs apart."""
    setting = {"act": f"{pair['num_envs']} envs", "curve": f"{pair['visible']} visible"}.get(pair["measure"], "")
    parts = (f"gpt2_{pair['measure']}_cpu", pair["task"], pair["variant"], setting, pair["peer_variant"])
    return Figure("/".join(part for part in parts if part), pair["ratio"], pair["ratio_low"], pair["ratio_high"])


def table(pairs: list[Cell], measure: str) -> str:
    """One measure as Markdown; CPU-ms, and for training tokens a CPU-second."""
    columns = ["task", "environments", "visible", "floor", "Gato", "GPT-2"]
    if measure == "train":
        columns = ["task", "Gato", "GPT-2", "Gato, elements/CPU-s", "GPT-2, elements/CPU-s"]
    columns.append("GPT-2 / Gato (lowest to highest)")
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for pair in (pair for pair in pairs if pair["measure"] == measure):
        names = pair["task"] + (f", {pair['variant']}" if pair["variant"] else "")
        ratio = f"{pair['ratio']:.2f} ({pair['ratio_low']:.2f} to {pair['ratio_high']:.2f})"
        peer = f"{pair['peer_cpu_ms']:.1f} ({pair['peer_variant']})"
        if measure == "train":
            speeds = [f"{1e3 * pair['tokens'] / pair[key]:,.0f}" for key in ("cpu_ms", "peer_cpu_ms")]
            cells = [names, f"{pair['cpu_ms']:,.0f}", peer, *speeds, ratio]
        else:
            floor = "" if pair["floor_ms"] is None else f"{pair['floor_ms']:.1f}"
            cells = [names, str(pair["num_envs"]), str(pair["visible"]), floor, f"{pair['cpu_ms']:.1f}", peer, ratio]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measures, prints tables, and keeps every figure in benchmarks/results/."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-python", required=True, help="interpreter with PyTorch and transformers")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--train-repeats", type=int, default=7, help="steps a turn")
    parser.add_argument("--act-repeats", type=int, default=60, help="environment steps a turn")
    parser.add_argument("--measures", nargs="+", choices=["train", "act"], default=["train", "act"])
    parser.add_argument("--tasks", nargs="+", choices=body.TASKS, default=PAIRED)
    parser.add_argument("--core", type=int, default=0, help="the core that all of it runs on")
    parser.add_argument("--out", type=Path, help="results file; benchmarks/results/<date>.json if not given")
    parser.add_argument("--figures", type=Path, help="file to append the figure lines to")
    options = parser.parse_args()

    runs: dict[str, Runs] = {OURS: defaultdict(list), PEER: defaultdict(list)}
    about: dict[str, Any] = {"date": datetime.date.today().isoformat(), "machine": machine(), "rounds": options.rounds}
    for number in range(1, options.rounds + 1):
        for measure in options.measures:
            for task in options.tasks:
                for side in (OURS, PEER):
                    print(f"round {number} of {options.rounds}: {measure}, {task}, {side}", file=sys.stderr)
                    handed = run(side, measure, task, options)
                    about[side] = {"parameters": handed["parameters"], "versions": handed["versions"]}
                    for cell in handed["results"]:
                        runs[side][tuple(cell.get(key) for key in _KEYS)].append(cell)
    pairs = pair_up(runs)
    path = options.out or HERE / "results" / f"{about['date']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    every_cell = {side: [cell for cells in runs[side].values() for cell in cells] for side in runs}
    path.write_text(json.dumps({**about, "pairs": pairs, "cells": every_cell}, indent=1) + "\n")
    print(f"{about['date']}, {about['machine']}\n")
    for side in (OURS, PEER):
        print(f"{side}: {about[side]['parameters']} {about[side]['versions']}")
    for measure in sorted({pair["measure"] for pair in pairs}):
        print(f"\n{measure}, CPU-ms\n\n{table(pairs, measure)}")
    print(f"\nall figures: {path}")
    report([figure(pair) for pair in pairs], options.figures)


if __name__ == "__main__":
    main()
