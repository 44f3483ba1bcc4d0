"""Training steps of this checkout beside those of an older one: CPU time, the kernel's share, page faults, memory.

    python benchmarks/step_against_base.py ../base

Each side is a process of its own on one core, in the checkout's `.venv`, as `gato train` would run: this checkout
with what `gato.cli.memory` sets, an older one with whatever it sets. They take turns every few steps, A, B, A, B. Both
make the same steps on the same batches, which this checkout makes: rows of a benchmark task at the benchmark body's
size, and rows of the quickstart's first sources at the quickstart's, in the paper's layout and with AdamW, as older
checkouts know them. Linux only.

Ends with a line per figure, as `figures.py` writes them: CPU time and peak memory as base / ours, and the share of the
kernel in our CPU time, in percent.
"""

import argparse
import dataclasses
import importlib
import json
import os
import resource
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from figures import Figure

HERE = Path(__file__).resolve().parent
ONE_THREAD = {
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
QUICKSTART = "quickstart"
_QUICKSTART_BATCHES = 16


def make_batches(case: str, path: Path) -> None:
    """Writes the batches of a case as one .npz file; arrays are named by batch and field."""
    if case == QUICKSTART:
        batches = _quickstart_batches(path.parent / "data")
    else:
        import_of = importlib.import_module
        batches = [import_of("train_speed").make_training_batch(import_of("body").TASKS[case], 2)]
    fields = {
        f"{number}.{field.name}": getattr(batch, field.name)
        for number, batch in enumerate(batches)
        for field in dataclasses.fields(batch)
        if getattr(batch, field.name) is not None
    }
    np.savez(path, **fields)


def _quickstart_batches(data: Path) -> list[Any]:
    """A few real batches of the quickstart, from a fiftieth of its data."""
    from rich.console import Console

    from gato.data.mixture import build_mixture
    from gato.experiments.quickstart import with_data_folder
    from gato.experiments.quickstart_data import prepare
    from gato.experiments.run_configs import load_config
    from gato.experiments.training import text_tokenizer

    data.mkdir()
    config = with_data_folder(in_paper_layout(load_config(QUICKSTART)), data)
    prepare(data, share=0.02, seed=0, console=Console(stderr=True))
    text = text_tokenizer(config.data, config.tokenizer.text_vocab_size)
    num_rows = _QUICKSTART_BATCHES * config.data.batch_size
    mixture = iter(build_mixture(config.data, config.tokenizer, text, seed=0, num_rows=num_rows))
    return [next(mixture) for _ in range(_QUICKSTART_BATCHES)]


def in_paper_layout(config: Any) -> Any:
    """Returns a run of any checkout with a token per number, unpacked rows of the paper's scaling, and AdamW."""

    def with_known(record: Any, **settings: Any) -> Any:
        known = {field.name for field in dataclasses.fields(record)}
        return dataclasses.replace(record, **{name: value for name, value in settings.items() if name in known})

    tokenizer = config.tokenizer
    sources = tuple(
        with_known(source, scaling="mu-law", fields=(), learned_actions="executed") for source in config.data.sources
    )
    return dataclasses.replace(
        config,
        tokenizer=type(tokenizer)(text_vocab_size=tokenizer.text_vocab_size, num_discrete=tokenizer.num_discrete),
        data=with_known(config.data, sources=sources, batch_size=4, window_lengths="full", pack_windows=False),
        optimizer=with_known(config.optimizer, kind="adamw"),
    )


def work(case: str, path: Path, checkout: Path) -> None:
    """Makes as many steps as each line of the input says, and prints what they took per step as a line of JSON."""
    if (checkout / "gato" / "cli" / "memory.py").exists():
        importlib.import_module("gato.cli.memory").keep_freed_memory("train")
    import jax

    from gato.batch import Batch
    from gato.config import OptimizerConfig
    from gato.model.gato import init_parameters
    from gato.training.optimizer import make_optimizer, make_schedule
    from gato.training.step import empty_interval, init_state, make_train_step, model_loss

    with np.load(path) as arrays:
        numbers = sorted({int(name.partition(".")[0]) for name in arrays})
        fields = [field.name for field in dataclasses.fields(Batch)]
        batches = [
            Batch(**{name: arrays[f"{number}.{name}"] for name in fields if f"{number}.{name}" in arrays})
            for number in numbers
        ]
    if case == QUICKSTART:
        config = in_paper_layout(runpy.run_path(str(checkout / "configs" / "quickstart.py"))["get_config"]())
        model, tokenizer, optimizer = config.model, config.tokenizer, config.optimizer
    else:
        ours = importlib.import_module("ours")
        model, tokenizer, optimizer = ours.MODEL, ours.TOKENIZER, OptimizerConfig()
    num_sources = 1 + max(int(batch.source_ids.max()) for batch in batches)
    step = make_train_step(
        model_loss(model, tokenizer, num_sources), make_optimizer(optimizer), make_schedule(optimizer)
    )
    state = init_state(init_parameters(model, tokenizer, jax.random.key(0)), make_optimizer(optimizer))
    interval, key, made = empty_interval(num_sources), jax.random.key(1), 0
    for line in sys.stdin:
        before = resource.getrusage(resource.RUSAGE_SELF)
        for _ in range(int(line)):
            state, interval = step(state, interval, jax.device_put(batches[made % len(batches)]), key)
            jax.block_until_ready((state, interval))
            made += 1
        after = resource.getrusage(resource.RUSAGE_SELF)
        figures = {
            "user_ms": 1e3 * (after.ru_utime - before.ru_utime) / int(line),
            "system_ms": 1e3 * (after.ru_stime - before.ru_stime) / int(line),
            "faults": (after.ru_minflt - before.ru_minflt) / int(line),
            "peak_mib": after.ru_maxrss / 1024,
            "mean_loss": float(interval.losses.loss_sum.sum() / interval.losses.count.sum()),
        }
        print(json.dumps(figures), flush=True)


def start(checkout: Path, core: int, case: str, batches: Path) -> subprocess.Popen:
    """Starts the worker of one side."""
    source = [str(checkout), str(checkout / "benchmarks")]
    command = ["taskset", "-c", str(core), str(checkout / ".venv" / "bin" / "python"), str(Path(__file__).resolve())]
    return subprocess.Popen(
        [*command, str(checkout), "--work", case, "--batches", str(batches)],
        env={**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(source), "PYTHONSAFEPATH": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def ask(worker: subprocess.Popen, steps: int) -> dict[str, float]:
    """Has a worker make steps; returns its figures."""
    worker.stdin.write(f"{steps}\n")
    return json.loads(worker.stdout.readline())


def measure(case: str, base: Path, options: argparse.Namespace) -> "list[Figure]":
    """Prints what both sides took; returns the figures of the end."""
    from figures import Figure  # an older checkout's worker has no such module

    with tempfile.TemporaryDirectory() as folder:
        batches = Path(folder) / "batches.npz"
        make_batches(case, batches)
        workers = {
            side: start(checkout, options.core, case, batches)
            for side, checkout in (("base", base), ("ours", HERE.parent))
        }
        turns: dict[str, list[dict[str, float]]] = {side: [] for side in workers}
        steps = options.steps * (8 if case == QUICKSTART else 1)
        for worker in workers.values():
            ask(worker, 1)  # compiles
        for _ in range(options.rounds):
            for side, worker in workers.items():
                turns[side].append(ask(worker, steps))
        for worker in workers.values():
            worker.communicate()
    cpu = {side: [turn["user_ms"] + turn["system_ms"] for turn in turns[side]] for side in turns}
    for side in turns:
        print(
            f"{case}, {side}: {median(cpu[side]):,.1f} CPU-ms per step, of them "
            f"{median(turn['system_ms'] for turn in turns[side]):.1f} in the kernel; "
            f"{median(turn['faults'] for turn in turns[side]):,.0f} page faults per step; peak "
            f"{turns[side][-1]['peak_mib']:,.0f} MiB; mean loss so far {turns[side][-1]['mean_loss']:.6f}"
        )
    shares = [100 * turn["system_ms"] / total for turn, total in zip(turns["ours"], cpu["ours"], strict=True)]
    peak = turns["base"][-1]["peak_mib"] / turns["ours"][-1]["peak_mib"]
    return [
        Figure.from_ratios(
            f"{case}_step_cpu", [base / ours for base, ours in zip(cpu["base"], cpu["ours"], strict=True)]
        ),
        Figure.from_ratios(f"{case}_peak_memory", [peak]),
        Figure.from_ratios(f"{case}_system_percent", shares),
    ]


def main() -> None:
    """Measures every case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path, help="an older checkout, with its own .venv")
    parser.add_argument("--cases", nargs="+", default=[QUICKSTART, "halfcheetah-like"])
    parser.add_argument("--rounds", type=int, default=6, help="turns of each side")
    parser.add_argument("--steps", type=int, default=3, help="steps a turn, of the quickstart eight times as many")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--figures", type=Path, help="file to append the figure lines to")
    parser.add_argument("--work", help="internal: be the worker of this case")
    parser.add_argument("--batches", type=Path, help="internal: the worker's batches")
    options = parser.parse_args()
    if options.work:
        work(options.work, options.batches, options.base)
        return
    from figures import report

    base = options.base.resolve()
    report([figure for case in options.cases for figure in measure(case, base, options)], options.figures)


if __name__ == "__main__":
    main()
