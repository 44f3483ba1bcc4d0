"""A run that takes milliseconds: learns which token follows which. Also a script, so that a test can kill it.

python toy_run.py RUN_FOLDER NUM_STEPS SECONDS_A_BATCH
"""

import io
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from gato.batch import Batch
from gato.config import OptimizerConfig, RunConfig, TrainingConfig
from gato.model.loss import LossSums
from gato.training.loop import TrainResult, train

NUM_TOKENS = 8
SOURCES = ("first", "second")


class ToyBatches:
    """Token t is followed by 3 t + 1 (mod 8), except for noise; batch i depends on i only."""

    source_names = SOURCES

    def __init__(self, *, poisoned: frozenset[int] = frozenset(), at_batch: Any = None, delay_s: float = 0) -> None:
        """Poisoned batches give a NaN loss; `at_batch` is called with each index before its batch is made."""
        self.index = 0
        self._poisoned = poisoned
        self._at_batch = at_batch
        self._delay_s = delay_s

    def __next__(self) -> Batch:
        index = self.index
        self.index += 1
        if self._at_batch is not None:
            self._at_batch(index)
        time.sleep(self._delay_s)
        rng = np.random.default_rng(index)
        rows, length = 4, 6
        tokens = np.empty((rows, length), np.int32)
        tokens[:, 0] = rng.integers(NUM_TOKENS, size=rows)
        for place in range(1, length):
            tokens[:, place] = (3 * tokens[:, place - 1] + 1) % NUM_TOKENS
        weight = np.nan if index in self._poisoned else 1.0
        return Batch(
            tokens=tokens,
            local_positions=np.zeros_like(tokens),
            loss_mask=np.ones(tokens.shape, bool),
            changed_mask=np.zeros(tokens.shape, bool),
            row_weights=np.full(rows, weight, np.float32),
            source_ids=np.array([0, 0, 0, 1], np.int32),
            lengths=np.full(rows, length, np.int32),
            patches=np.zeros((rows, 0, 16, 16, 3), np.uint8),
            patch_indices=np.zeros((rows, 0), np.int32),
            patch_intervals=np.zeros((rows, 0, 4), np.int32),
        )

    def get_state(self) -> dict[str, Any]:
        return {"index": self.index}

    def set_state(self, state: dict[str, Any]) -> None:
        self.index = state["index"]


def toy_loss(params: dict, batch: Batch, key: jax.Array | None) -> tuple[jax.Array, LossSums]:
    """A table of next-token scores, with noise in training so that keys matter. All targets count as actions."""
    scores_BLV = params["table"][batch.tokens[:, :-1]] * params["scale"][None, None]
    if key is not None:
        scores_BLV = scores_BLV + 0.1 * jax.random.uniform(key, scores_BLV.shape)
    targets_BL = batch.tokens[:, 1:]
    nll_BL = -jnp.take_along_axis(jax.nn.log_softmax(scores_BLV), targets_BL[..., None], axis=2)[..., 0]
    correct_BL = scores_BLV.argmax(axis=2) == targets_BL

    def by_source(values_BL: jax.Array) -> jax.Array:
        sums = jnp.zeros(len(SOURCES)).at[batch.source_ids].add(values_BL.astype(jnp.float32).sum(axis=1))
        return jnp.stack([jnp.zeros_like(sums), sums], axis=1)

    zeros = jnp.zeros((len(SOURCES), 2))
    sums = LossSums(
        loss_sum=by_source(nll_BL),
        count=by_source(jnp.ones_like(nll_BL)),
        correct=by_source(correct_BL),
        changed_count=zeros,
        changed_correct=zeros,
    )
    return (batch.row_weights[:, None] * nll_BL).mean(), sums


def toy_params() -> dict[str, jax.Array]:
    return {"table": jnp.zeros((NUM_TOKENS, NUM_TOKENS)), "scale": jnp.ones(NUM_TOKENS)}


def toy_config(**training: Any) -> RunConfig:
    settings = {"num_steps": 20, "log_every": 3, "checkpoint_every": 5, "evaluate_every": 0, "max_skipped": 3}
    return RunConfig(
        optimizer=OptimizerConfig(peak_lr=0.1, warmup_steps=2, decay_steps=100),
        training=TrainingConfig(**{**settings, **training}),
    )


def toy_train(run_folder: Path, config: RunConfig, batches: ToyBatches | None = None, **options: Any) -> TrainResult:
    """Trains in silence unless given a console."""
    return train(
        config,
        run_folder=run_folder,
        params=toy_params(),
        loss_function=toy_loss,
        batches=batches or ToyBatches(),
        key=jax.random.key(7),
        **{"console": Console(file=io.StringIO()), **options},
    )


if __name__ == "__main__":
    toy_train(
        Path(sys.argv[1]),
        toy_config(num_steps=int(sys.argv[2])),
        ToyBatches(delay_s=float(sys.argv[3])),
        resume=True,
    )
