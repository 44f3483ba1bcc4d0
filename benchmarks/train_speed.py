"""Times a training step of Gato: forward, backward, clipping and AdamW, on whole timesteps in rows of the full context.

Started by `bench.py`, which pins it to one core; alone it uses all of them.
"""

import argparse
from collections.abc import Callable
from typing import Any

import body
import jax
import numpy as np
import ours
from timing import hand_over, summary, time_calls

from gato.batch import Batch
from gato.config import DataConfig, ModelConfig, OptimizerConfig
from gato.data.collate import Row, make_batch
from gato.model.gato import init_parameters
from gato.tokenizer.spaces import TimestepTokenizer
from gato.training.optimizer import make_optimizer, make_schedule
from gato.training.step import empty_interval, init_state, make_train_step, model_loss


def make_training_batch(task: body.Task, num_rows: int) -> Batch:
    """Rows of random timesteps, encoded and padded as training data are."""
    observation_space, action_space = ours.task_spaces(task)
    tokenizer = TimestepTokenizer(observation_space, action_space, ours.TOKENIZER)
    sequence = tokenizer.encode_episode(
        ours.random_members(observation_space, task.timesteps_a_row + 1),
        ours.random_members(action_space, task.timesteps_a_row),
    )
    data = DataConfig(batch_size=num_rows, context_length=body.CONTEXT_LENGTH, max_patches=len(sequence.patches))
    return make_batch([Row(sequence=sequence, source_id=0)] * num_rows, data, ours.TOKENIZER)


def make_training_call(batch: Batch, config: ModelConfig) -> Callable[[], None]:
    """A call that makes the next step, always on the same batch, and returns when it is done."""
    optimizer = OptimizerConfig()
    step = make_train_step(model_loss(config, ours.TOKENIZER, 1), make_optimizer(optimizer), make_schedule(optimizer))
    state = init_state(init_parameters(config, ours.TOKENIZER, jax.random.key(0)), make_optimizer(optimizer))
    interval, key, on_device = empty_interval(1), jax.random.key(1), jax.device_put(batch)

    def call() -> None:
        nonlocal state
        state, sums = step(state, interval, on_device, key)
        jax.block_until_ready((state, sums))

    return call


def measure(task: body.Task, config: ModelConfig, variant: str, *, warmup: int, repeats: int) -> dict[str, Any]:
    """One cell; throughput counts real tokens, not padding."""
    batch = make_training_batch(task, body.ROWS)
    call = make_training_call(batch, config)
    return {
        "measure": "train",
        "task": task.name,
        "variant": variant,
        "tokens": int(np.sum(batch.lengths)),
        "timesteps": task.timesteps_a_row * body.ROWS,
        "targets": int(np.sum(batch.loss_mask)),
        **summary(time_calls(call, warmup=warmup, repeats=repeats)),
    }


def main() -> None:
    """Prints the cells of one task as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=body.TASKS, required=True)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    task = body.TASKS[options.task]
    variants = {"residual stem": "residual", "tiles stem": "tiles"} if task.picture_side else {"": "residual"}
    results = [
        measure(task, ours.PATCH_STEMS[stem], variant, warmup=options.warmup, repeats=options.repeats)
        for variant, stem in variants.items()
    ]
    params = jax.eval_shape(lambda: init_parameters(ours.MODEL, ours.TOKENIZER, jax.random.key(0)))
    hand_over(ours.count_parameters(params), ours.versions(), results)


if __name__ == "__main__":
    main()
