"""A run of a tiny Gato, as a script: tests start it with other devices and processes than their own.

python parallel_run.py RUN_FOLDER NUM_STEPS data,fsdp,tensor [--resume] [--delay SECONDS]
    [--process INDEX COUNT PORT] [--compile] [--optimizer muon] [--layout decoded]
"""

import argparse
import dataclasses
import io
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from gato.batch import Batch
from gato.config import (
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    ParallelConfig,
    RunConfig,
    TokenizerConfig,
    TrainingConfig,
)
from gato.model.gato import init_parameters
from gato.training.held_out import HeldOutLoss
from gato.training.loop import TrainResult, train
from gato.training.optimizer import make_optimizer, make_schedule
from gato.training.parallel import MeshSharding
from gato.training.processes import join_processes
from gato.training.step import empty_interval, init_state, make_train_step, model_loss

INTERRUPTED = 75
ROWS, LENGTH, PATCHES = 8, 12, 2


class Batches:
    """Random batches that depend on their number only; of several processes each takes its block of rows."""

    source_names = ("first", "second")

    def __init__(self, tokenizer: TokenizerConfig, delay_s: float = 0, first: int = 0) -> None:
        """From a batch on; each takes a while."""
        self.index = first
        self._tokenizer, self._delay_s = tokenizer, delay_s

    def __next__(self) -> Batch:
        time.sleep(self._delay_s)
        rng = np.random.default_rng(self.index)
        self.index += 1
        lengths = rng.integers(4, LENGTH + 1, ROWS).astype(np.int32)
        mask = np.arange(LENGTH)[None] < lengths[:, None]
        patch_indices = np.full((ROWS, PATCHES), LENGTH, np.int32)
        patch_indices[::2, 0] = 1
        batch = Batch(
            tokens=np.where(mask, rng.integers(0, 200, (ROWS, LENGTH)), self._tokenizer.padding_id).astype(np.int32),
            local_positions=np.where(
                rng.random((ROWS, LENGTH)) < 0.5, self._tokenizer.action_position, self._tokenizer.no_position
            ).astype(np.int32),
            loss_mask=mask & (rng.random((ROWS, LENGTH)) < 0.6),
            changed_mask=np.zeros((ROWS, LENGTH), bool),
            row_weights=rng.uniform(0.5, 2, ROWS).astype(np.float32),
            source_ids=rng.integers(0, 2, ROWS).astype(np.int32),
            lengths=lengths,
            patches=rng.integers(0, 256, (ROWS, PATCHES, 16, 16, 3)).astype(np.uint8),
            patch_indices=patch_indices,
            patch_intervals=np.tile(np.array([0, 64, 64, 128], np.int32), (ROWS, PATCHES, 1)),
            **self._numbers(rng, mask),
        )
        share = ROWS // jax.process_count()
        start = share * jax.process_index()
        return jax.tree.map(lambda leaf: leaf[start : start + share], batch)

    def _numbers(self, rng: np.random.Generator, mask: np.ndarray) -> dict[str, np.ndarray]:
        """The fields of tokens of several numbers: of half of them, and of actions of one to three bins."""
        tokenizer = self._tokenizer
        if not tokenizer.has_groups:
            return {}
        shape = *mask.shape, tokenizer.values_per_token
        values, action_values = (rng.integers(*_ends(tokenizer), shape).astype(np.int32) for _ in range(2))
        counts = rng.integers(1, shape[-1] + 1, ROWS)
        is_action_value = np.arange(shape[-1])[None] < counts[:, None]
        return {
            "values": np.where(mask[..., None] & (rng.random(shape) < 0.5), values, np.int32(tokenizer.padding_id)),
            "action_values": np.where(is_action_value[:, None], action_values, np.int32(tokenizer.padding_id)),
            "action_mask": mask & (rng.random(mask.shape) < 0.4),
            "action_ranges": np.where(is_action_value[..., None], _ends(tokenizer), 0).astype(np.int32),
        }

    def get_state(self) -> dict[str, Any]:
        return {"index": self.index}

    def set_state(self, state: dict[str, Any]) -> None:
        self.index = state["index"]


def _ends(tokenizer: TokenizerConfig) -> tuple[int, int]:
    return tokenizer.continuous_ids.start, tokenizer.continuous_ids.stop


def make_config(
    num_steps: int, parallel: ParallelConfig, optimizer: Any = "adamw", layout: Any = "sequential", **training: Any
) -> RunConfig:
    """Two layers, whose sizes every mesh of eight devices divides; the layout is how actions become tokens."""
    return RunConfig(
        tokenizer=TokenizerConfig(
            text_vocab_size=260,
            num_bins=64,
            num_discrete=26,
            local_position_size=14,
            values_per_token=1 if layout == "sequential" else 3,
            action_tokens=layout,
        ),
        model=ModelConfig(
            width=32,
            num_layers=2,
            num_heads=4,
            head_dim=8,
            mlp_width=64,
            patch_stem="tiles",
            patch_channels=8,
            unit_rms_inputs=True,
            code_width=8,
            group_width=32,
        ),
        data=DataConfig(batch_size=ROWS, context_length=LENGTH, max_patches=PATCHES),
        optimizer=OptimizerConfig(kind=optimizer, peak_lr=1e-3, warmup_steps=2, decay_steps=100),
        training=TrainingConfig(
            **{"num_steps": num_steps, "log_every": 1, "checkpoint_every": 4, "evaluate_every": 3, **training}
        ),
        parallel=parallel,
    )


def run(folder: Path, config: RunConfig, *, resume: bool = False, delay_s: float = 0) -> TrainResult:
    """Trains on all devices there are."""
    sharding = MeshSharding(config.parallel)
    loss_function = model_loss(config.model, config.tokenizer, 2, sharding)
    held_out = HeldOutLoss(
        loss_function, lambda: Batches(config.tokenizer, first=1000), 2, Batches.source_names, put=sharding.put_rows
    )
    return train(
        config,
        run_folder=folder,
        params=sharding.make(lambda: init_parameters(config.model, config.tokenizer, jax.random.key(0))),
        loss_function=loss_function,
        batches=Batches(config.tokenizer, delay_s),
        key=jax.random.key(1),
        evaluators=[held_out],
        resume=resume,
        console=Console(file=io.StringIO()),
        sharding=sharding,
    )


def compiled_step(config: RunConfig) -> str:
    """The compiled text of a train step whose targets are scored in several chunks."""
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, loss_chunk=8))
    sharding, optimizer = MeshSharding(config.parallel), make_optimizer(config.optimizer, seed=config.seed)
    state = sharding.make(
        lambda: init_state(init_parameters(config.model, config.tokenizer, jax.random.key(0)), optimizer)
    )
    interval = sharding.put(empty_interval(2))
    step = make_train_step(
        model_loss(config.model, config.tokenizer, 2, sharding),
        optimizer,
        make_schedule(config.optimizer),
        max_norm_ratio=config.training.max_norm_ratio,
        out_shardings=(sharding.shardings(state), sharding.shardings(interval)),
    )
    batch = sharding.put_rows(next(Batches(config.tokenizer)))
    return step.lower(state, interval, batch, jax.random.key(1)).compile().as_text()


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("num_steps", type=int)
    parser.add_argument("meshes", nargs="+", help="data,fsdp,tensor; with several, each in a folder of its name")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--delay", type=float, default=0)
    parser.add_argument("--compile", action="store_true", help="write step.txt, the compiled step, and train nothing")
    parser.add_argument("--process", type=int, nargs=3)
    parser.add_argument("--optimizer", default="adamw")
    parser.add_argument("--layout", default="sequential")
    options = parser.parse_args()
    if options.process:
        index, count, port = options.process
        join_processes(f"127.0.0.1:{port}", count, index)
    for mesh in options.meshes:
        data, fsdp, tensor = map(int, mesh.split(","))
        parallel = ParallelConfig(data=data, fsdp=fsdp, tensor=tensor)
        config = make_config(options.num_steps, parallel, options.optimizer, options.layout)
        folder = options.folder / mesh if len(options.meshes) > 1 else options.folder
        if options.compile:
            (folder / "step.txt").write_text(compiled_step(config))
            continue
        result = run(folder, config, resume=options.resume, delay_s=options.delay)
        if result.interrupted:
            return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
