"""Sweeps training settings on one accelerator: tokens a second and MFU of the published sizes. One command, resumable.

    PYTHONPATH=. python3 benchmarks/gpu_sweep.py --out results.jsonl
    PYTHONPATH=. python3 benchmarks/gpu_sweep.py --out /tmp/rehearsal.jsonl --tiny      # on a CPU

The first cells measure what the device can do at all, and whether cuDNN attention computes what XLA's does. Then come
the settings, most valuable first, each in a process of its own: one that runs out of memory, crashes or hangs costs
its cell only. Every result is appended to the file at once, and cells that the file holds are skipped, so a sweep that
was cut off goes on where it stopped. Batches are synthetic.

Model FLOPs are those of `gato.model.cost.size.training_flops`. MFU is their share of the device's peak in
`gato.model.cost.chips`, and null for a device that is not in that table, such as a CPU.
"""

import argparse
import dataclasses
import json
import math
import os
import runpy
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from gato.batch import Batch
from gato.config import DataConfig, ModelConfig, OptimizerConfig, TokenizerConfig
from gato.data.collate import Row, make_batch
from gato.model.cost.size import model_flops_utilization, training_flops
from gato.model.gato import init_parameters
from gato.tokenizer.sequence import GroupedNumbers, TokenSequence
from gato.training.optimizer import make_optimizer, make_schedule
from gato.training.step import IntervalSums, empty_interval, init_state, make_train_step, model_loss
from gato.training.throughput import batch_cost, peak_of

CONFIGS = Path(__file__).parents[1] / "configs"
SIZES = {"79m": "gato_79m.py", "79m-wide-heads": "gato_79m.py", "364m": "gato_364m.py", "1.2b": "gato_1_2b.py"}
MIN_SECONDS, NUM_BLOCKS = 6.0, 5  # measured of every cell, after compiling
TINY_SECONDS = 0.3  # the same in a rehearsal
OBSERVED, ACTED = 17, 6  # numbers of a timestep of control

Content = Literal["text", "control", "grouped", "pictures"]
GROUPED = TokenizerConfig(values_per_token=50, action_tokens="grouped", separator="mark", own_actions="hidden")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One setting."""

    size: str
    attention: Literal["xla", "cudnn"] = "cudnn"
    scan: bool = False
    remat: Literal["none", "dots", "full"] = "none"
    rows: int  # in one step
    length: int = 1024  # tokens a row
    content: Content = "text"

    @property
    def tokenizer(self) -> TokenizerConfig:
        return GROUPED if self.content == "grouped" else TokenizerConfig()

    @property
    def seconds(self) -> float:
        return TINY_SECONDS if self.size == "tiny" else MIN_SECONDS

    @property
    def name(self) -> str:
        layers = "scan" if self.scan else "unroll"
        return f"{self.size} {self.attention} {layers} remat-{self.remat} rows-{self.rows} {self.content}"


def cells() -> Iterator[Cell]:
    """Most valuable first: one likely setting a size, then what each choice is worth, then the rest of the grid."""
    likely = (
        Cell(size="364m", rows=32, remat="dots"),
        Cell(size="1.2b", rows=16, remat="dots"),
        Cell(size="79m", rows=64),
    )
    yield from likely
    yield Cell(size="79m-wide-heads", rows=64)
    for cell in likely:
        yield dataclasses.replace(cell, attention="xla")
    for cell in likely:
        yield dataclasses.replace(cell, scan=True)
    for cell in likely:
        yield dataclasses.replace(cell, content="control")
    for cell in likely:
        yield dataclasses.replace(cell, content="grouped")
    for factor in (2, 0.5, 4):
        for cell in likely:
            yield dataclasses.replace(cell, rows=int(cell.rows * factor))
    for cell in likely:
        for remat in ("none", "dots", "full"):
            for rows in (cell.rows, 2 * cell.rows):
                yield dataclasses.replace(cell, remat=remat, rows=rows)
    for cell in likely:
        yield dataclasses.replace(cell, content="pictures")
        yield dataclasses.replace(cell, attention="xla", scan=True)
        yield dataclasses.replace(cell, scan=True, remat="full", rows=4 * cell.rows)


def tiny_cells() -> Iterator[Cell]:
    """A rehearsal for a CPU."""
    for content in ("text", "control", "grouped", "pictures"):
        yield Cell(size="tiny", attention="xla", rows=2, length=128, content=content)
    yield Cell(size="tiny", attention="xla", rows=2, length=128, scan=True, remat="full")
    yield Cell(size="tiny", attention="cudnn", rows=2, length=128)  # fails without an NVIDIA GPU, and the sweep goes on


def model_config(cell: Cell) -> ModelConfig:
    """The published size with the cell's settings, in bfloat16."""
    if cell.size == "tiny":
        model = ModelConfig(width=64, num_layers=2, num_heads=2, mlp_width=128)
    else:
        model = runpy.run_path(str(CONFIGS / SIZES[cell.size]))["get_config"]().model
    if cell.size.endswith("wide-heads"):  # as many dimensions in fewer heads: attention kernels like 64 better than 32
        model = dataclasses.replace(model, num_heads=model.num_heads // 2, head_dim=model.head_dim * 2)
    return dataclasses.replace(
        model, compute_dtype="bfloat16", attention=cell.attention, scan_layers=cell.scan, remat=cell.remat
    )


def random_episode(tokenizer: TokenizerConfig, num_timesteps: int) -> TokenSequence:
    """Returns timesteps of control: 24 tokens each in the paper's layout, one in that of `GROUPED`."""
    bins = tokenizer.continuous_ids
    ids = np.random.default_rng(0).integers(
        bins.start, bins.stop, size=(num_timesteps, OBSERVED + ACTED), dtype=np.int32
    )
    numbers = None
    if tokenizer.has_groups:
        tokens = np.full((num_timesteps, 1), tokenizer.padding_id, np.int32)
        positions = [tokenizer.separator_position]
        numbers = GroupedNumbers(
            values=ids[:, :OBSERVED],
            action_values=ids[:, OBSERVED:],
            action_mask=np.ones(num_timesteps, bool),
            action_ranges=np.tile(np.array([bins.start, bins.stop], np.int32), (ACTED, 1)),
        )
    else:
        tokens = np.insert(ids, OBSERVED, tokenizer.separator_id, axis=1)
        positions = [*range(OBSERVED), tokenizer.separator_position, *[tokenizer.action_position] * ACTED]
    size = tokens.shape[1]
    local_positions = np.tile(np.array(positions, np.int32), num_timesteps)
    is_action = local_positions == tokenizer.action_position
    side = tokenizer.patch_size
    return TokenSequence(
        tokens=tokens.ravel(),
        local_positions=local_positions,
        loss_mask=is_action,
        changed_mask=np.ones_like(is_action) if tokenizer.has_groups else is_action,
        patches=np.zeros((0, side, side, 3), np.uint8),
        patch_indices=np.zeros(0, np.int32),
        patch_intervals=np.zeros((0, 4), np.int32),
        starts=size * np.arange(num_timesteps + 1),
        numbers=numbers,
    )


def window_batch(cell: Cell, episode: TokenSequence, rng: np.random.Generator) -> Batch:
    """Returns rows that each hold as many timesteps of an episode as fit, from anywhere in it."""
    count = episode.num_fitting(0, cell.length)
    firsts = rng.integers(episode.num_timesteps - count + 1, size=cell.rows)
    rows = [Row(sequence=episode.timesteps(first, first + count), source_id=0) for first in firsts]
    data = DataConfig(batch_size=cell.rows, context_length=cell.length, max_patches=0)
    return make_batch(rows, data, cell.tokenizer)


def synthetic_batch(cell: Cell) -> Batch:
    """Full rows: documents, timesteps of control in either layout, or pictures of 36 patches with an action."""
    rng, tokenizer = np.random.default_rng(0), cell.tokenizer
    B, L = cell.rows, cell.length
    if cell.content in ("control", "grouped"):
        return window_batch(cell, random_episode(tokenizer, 4 * L), rng)
    tokens = rng.integers(tokenizer.text_vocab_size, size=(B, L), dtype=np.int32)
    local_positions = np.full((B, L), tokenizer.no_position, np.int32)
    loss_mask = np.ones((B, L), bool)
    num_patches = 0
    if cell.content == "pictures":
        observed = 36
        step = np.arange(L) % (observed + 2)
        local_positions[:] = np.where(step < observed, step, tokenizer.action_position)
        local_positions[:, step == observed] = tokenizer.separator_position
        loss_mask[:] = step > observed
        tokens[:, step < observed] = tokenizer.padding_id
        num_patches = int((step < observed).sum())
    patch_indices = np.flatnonzero(step < observed) if num_patches else np.zeros(0)
    loss_mask[:, 0] = False
    side = tokenizer.patch_size
    return Batch(
        tokens=tokens,
        local_positions=local_positions,
        loss_mask=loss_mask,
        changed_mask=loss_mask,
        row_weights=np.ones(B, np.float32),
        source_ids=np.zeros(B, np.int32),
        lengths=np.full(B, L, np.int32),
        patches=rng.integers(256, size=(B, num_patches, side, side, 3), dtype=np.uint8),
        patch_indices=np.tile(patch_indices.astype(np.int32), (B, 1)),
        patch_intervals=np.tile(np.array([0, 21, 0, 21], np.int32), (B, num_patches, 1)),
    )


def seconds_a_call(call: Callable[[], Any], seconds: float = MIN_SECONDS) -> tuple[float, int]:
    """Median of blocks of calls that do not wait for one another, and the number of calls."""
    jax.block_until_ready(call())
    start = time.perf_counter()
    jax.block_until_ready(call())
    size = math.ceil(seconds / NUM_BLOCKS / (time.perf_counter() - start))
    blocks = []
    for _ in range(NUM_BLOCKS):
        start = time.perf_counter()
        for _ in range(size):
            result = call()
        jax.block_until_ready(result)
        blocks.append((time.perf_counter() - start) / size)
    return median(blocks), NUM_BLOCKS * size


def measure_floor(tiny: bool) -> dict[str, Any]:
    """What the device reaches at best: one large matrix product, and one copy."""
    side, size_bytes, measured_s = (512, 2**24, TINY_SECONDS) if tiny else (8192, 2**32, MIN_SECONDS)
    matrix = jax.random.normal(jax.random.key(0), (side, side), jnp.bfloat16)
    product = jax.jit(jnp.matmul)
    seconds, _ = seconds_a_call(lambda: product(matrix, matrix), measured_s)
    data = jnp.zeros(size_bytes // 4, jnp.float32)
    copy = jax.jit(lambda array: array + 1)
    copy_seconds, _ = seconds_a_call(lambda: copy(data), measured_s)
    return {
        "matmul_tflops": 2 * side**3 / seconds / 1e12,
        "copy_tb_per_s": 2 * size_bytes / copy_seconds / 1e12,
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def measure_agreement(tiny: bool) -> dict[str, Any]:
    """Whether cuDNN attention is the function that the tested XLA path is.

    Gradients of the loss, against those in float32: the cuDNN path should be no further off than XLA's in bfloat16.
    """
    cell = Cell(size="tiny" if tiny else "79m", attention="xla", rows=2, length=128 if tiny else 1024)
    tokenizer, base = TokenizerConfig(), dataclasses.replace(model_config(cell), num_layers=2, stochastic_depth=0.0)
    params = init_parameters(base, tokenizer, jax.random.key(0))
    batch = jax.device_put(synthetic_batch(cell))

    def gradients(**settings: Any) -> jax.Array:
        function = model_loss(dataclasses.replace(base, **settings), tokenizer, 1)
        grads, _ = jax.jit(jax.grad(function, has_aux=True), static_argnums=2)(params, batch, None)
        return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(grads)])

    with jax.default_matmul_precision("highest"):
        exact = gradients(compute_dtype="float32")
    differences = {name: gradients(attention=name) - exact for name in ("xla", "cudnn")}
    size = jnp.linalg.norm(exact)
    return {f"{name}_error": float(jnp.linalg.norm(error) / size) for name, error in differences.items()}


class Training:
    """The compiled step of a setting, and the state that it moves on."""

    def __init__(self, cell: Cell, batch: Batch) -> None:
        """Compiles the step for batches of this one's shapes."""
        tokenizer, optimizer, config = cell.tokenizer, OptimizerConfig(), model_config(cell)
        params = jax.jit(init_parameters, static_argnums=(0, 1))(config, tokenizer, jax.random.key(0))
        self.state = init_state(params, make_optimizer(optimizer))
        self._interval, self._key = empty_interval(1), jax.random.key(1)
        step = make_train_step(model_loss(config, tokenizer, 1), make_optimizer(optimizer), make_schedule(optimizer))
        start = time.perf_counter()
        self._compiled = step.lower(self.state, self._interval, jax.device_put(batch), self._key).compile()
        self.compile_s = time.perf_counter() - start

    def step(self, on_device: Batch) -> IntervalSums:
        """Starts a step, and returns what it will have summed."""
        self.state, sums = self._compiled(self.state, self._interval, on_device, self._key)
        return sums

    def check(self) -> None:
        """Raises where a step was not finite."""
        if int(self.state.skipped):
            raise FloatingPointError(f"{int(self.state.skipped)} of {int(self.state.step)} steps were not finite")


def measure(cell: Cell) -> dict[str, Any]:
    """Compiles and times one setting in this process."""
    tokenizer, config, batch = cell.tokenizer, model_config(cell), synthetic_batch(cell)
    training, on_device = Training(cell, batch), jax.device_put(batch)
    seconds, num_steps = seconds_a_call(lambda: training.step(on_device), cell.seconds)
    training.check()
    flops, peak = training_flops(config, tokenizer, batch_cost(batch, tokenizer.padding_id)), peak_of(jax.devices()[:1])
    memory = jax.devices()[0].memory_stats() or {}
    return {
        "tokens_per_s": float(batch.lengths.sum()) / seconds,
        "timesteps_per_s": float((batch.local_positions == tokenizer.separator_position).sum()) / seconds,
        "mfu": None if peak is None else model_flops_utilization(flops, seconds, peak),
        "step_s": seconds,
        "model_tflop": flops / 1e12,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(training.state.params)),
        "compile_s": training.compile_s,
        "peak_gb": memory.get("peak_bytes_in_use", 0) / 1e9,
        "steps": num_steps,
    }


def run_child(arguments: list[str], timeout_s: float) -> dict[str, Any]:
    """Runs a script that measures in a process of its own; what went wrong is a result too."""
    environment = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.93", **os.environ}
    try:
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, timeout=timeout_s, env=environment
        )
    except subprocess.TimeoutExpired:
        return {"error": f"not finished after {timeout_s:.0f} s"}
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    message = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
    if any(mark in done.stderr for mark in ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory")):
        return {"error": "out of memory"}
    return {"error": next((line for line in reversed(message) if "Error" in line), message[-1])[:500]}


def read_results(path: Path) -> dict[str, dict[str, Any]]:
    """Finished cells by name; a line that was cut off while it was written counts as not there."""
    finished = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        finished[entry["cell"]] = entry
    return finished


def append_result(path: Path, entry: dict[str, Any]) -> None:
    """Writes one finished cell."""
    with path.open("a") as file:
        file.write("\n" + json.dumps(entry))  # so that a line cut off before stays alone


def show(name: str, result: dict[str, Any]) -> None:
    """One line a cell."""
    if "error" in result:
        print(f"{name:48} {result['error']}", flush=True)
    elif "mfu" in result:
        mfu = "      –" if result["mfu"] is None else f"{result['mfu']:7.1%}"
        speed = f"{result['tokens_per_s']:>12,.0f} tokens/s {mfu} MFU {result['step_s']:8.3f} s a step"
        if result.get("timesteps_per_s"):
            speed += f", {result['timesteps_per_s']:,.0f} timesteps/s"
        print(f"{name:48} {speed} {result['peak_gb']:6.1f} GB, compiled in {result['compile_s']:.0f} s", flush=True)
    else:
        shown = {key: value for key, value in result.items() if key not in ("cell", "failed")}
        values = [
            f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in shown.items()
        ]
        print(f"{name:48} {', '.join(values)}", flush=True)


def main() -> None:
    """Runs the cells that the results file does not hold yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu_sweep.jsonl"), help="results, one JSON object a line")
    parser.add_argument("--tiny", action="store_true", help="rehearse with a small model")
    parser.add_argument("--only", default="", help="cells whose name holds this text")
    parser.add_argument("--cell-timeout-s", type=float, default=300)
    parser.add_argument("--cell", help="measure this one cell here and print it (how the sweep calls itself)")
    options = parser.parse_args()
    settings = {cell.name: cell for cell in (tiny_cells() if options.tiny else cells())}
    if options.cell:
        special = {"floor": measure_floor, "agreement": measure_agreement}
        made = special[options.cell](options.tiny) if options.cell in special else measure(settings[options.cell])
        print(json.dumps(made))
        return
    options.out.parent.mkdir(parents=True, exist_ok=True)
    finished = read_results(options.out)
    for name in ["floor", "agreement", *settings]:
        if options.only not in name:
            continue
        if name not in finished:
            arguments = [__file__, "--cell", name, *(["--tiny"] if options.tiny else [])]
            finished[name] = {"cell": name, **run_child(arguments, options.cell_timeout_s)}
            append_result(options.out, finished[name])
        show(name, finished[name])


if __name__ == "__main__":
    main()
