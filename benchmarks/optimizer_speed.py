"""Measures what Muon adds to a training step of the quickstart's network, beside AdamW, at several numbers of rows.

Random numbers of a pendulum's shape fill the rows. The orthogonalisation is paid per step, so its share falls with the
tokens of a step. The optimizers take turns, step by step, in one process.

    taskset -c 0 .venv/bin/python benchmarks/optimizer_speed.py --rows 4 16 64
"""

import argparse
import dataclasses
from statistics import median

import gymnasium as gym
import jax
import numpy as np
from timing import time_call

from gato.config import OptimizerConfig, RunConfig
from gato.data.collate import Row, make_batch
from gato.experiments.run_configs import load_config
from gato.model.gato import init_parameters
from gato.tokenizer.spaces import TimestepTokenizer
from gato.training.optimizer import make_optimizer, make_schedule
from gato.training.step import empty_interval, init_state, make_train_step, model_loss


class Training:
    """A run of one optimizer that makes the same step again and again."""

    def __init__(self, config: RunConfig, num_rows: int) -> None:
        observations, actions = gym.spaces.Box(-1, 1, (3,), np.float32), gym.spaces.Box(-1, 1, (1,), np.float32)
        tokenizer = TimestepTokenizer(observations, actions, config.tokenizer)
        length = config.data.context_length // 5  # timesteps of three numbers, a separator and an action
        rng = np.random.default_rng(0)
        sequence = tokenizer.encode_episode(
            rng.uniform(-1, 1, (length + 1, 3)).astype(np.float32), rng.uniform(-1, 1, (length, 1)).astype(np.float32)
        )
        data = dataclasses.replace(config.data, batch_size=num_rows, max_patches=0)
        rows = [Row(sequence=sequence, source_id=0)] * num_rows
        self._batch = jax.device_put(make_batch(rows, data, config.tokenizer))
        optimizer = make_optimizer(config.optimizer)
        params = init_parameters(config.model, config.tokenizer, jax.random.key(0))
        self._state, self._interval = init_state(params, optimizer), empty_interval(1)
        self._key = jax.random.key(1)
        loss = model_loss(config.model, config.tokenizer, 1)
        self._step = make_train_step(loss, optimizer, make_schedule(config.optimizer))

    def step(self) -> None:
        """Makes the next step and returns when it is done."""
        self._state, sums = self._step(self._state, self._interval, self._batch, self._key)
        jax.block_until_ready((self._state, sums))


def main() -> None:
    """Prints a table with one line per number of rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="quickstart")
    parser.add_argument("--rows", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    config = load_config(options.config)
    print("| rows | tokens | AdamW, CPU-ms | Muon, CPU-ms | Muon / AdamW, median of pairs | lowest | highest |")
    print("|---|---|---|---|---|---|---|")
    for num_rows in options.rows:
        runs = [
            Training(dataclasses.replace(config, optimizer=optimizer), num_rows)
            for optimizer in (OptimizerConfig(), OptimizerConfig(kind="muon"))
        ]
        for run in [*runs, *runs]:
            run.step()
        pairs = [[time_call(run.step).cpu_ms for run in runs] for _ in range(options.repeats)]
        adamw, muon = (median(column) for column in zip(*pairs, strict=True))
        ratios = sorted(second / first for first, second in pairs)
        print(
            f"| {num_rows} | {num_rows * config.data.context_length} | {adamw:.0f} | {muon:.0f} | "
            f"{median(ratios):.2f} | {ratios[0]:.2f} | {ratios[-1]:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
