"""Does loading hide behind training? A step on a batch that is there, a batch alone, and both as a run does them.

python benchmarks/overlap.py CONFIG --sources sources.json [--steps 50] [--set data.batch_size=64 ...]

On an accelerator "both" should take as long as the step alone, as long as a batch is made faster than a step. On a CPU
the two share the cores, so that "both" can only come near their sum.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import jax
from rich.console import Console

from gato.data.mixture import build_mixture
from gato.experiments.run_configs import load_settings
from gato.experiments.training import with_text
from gato.model.gato import init_parameters
from gato.training.optimizer import make_optimizer, make_schedule
from gato.training.parallel import MeshSharding
from gato.training.step import empty_interval, init_state, make_train_step, model_loss


def seconds_each(call: Callable[[], object], count: int) -> float:
    """Mean time of a call, the last one waited for, over a half of the calls that follows a warm-up half."""
    for _ in range(count // 2):
        waited = call()
    jax.block_until_ready(waited)
    start_s = time.monotonic()
    for _ in range(count - count // 2):
        waited = call()
    jax.block_until_ready(waited)
    return (time.monotonic() - start_s) / (count - count // 2)


def main() -> None:
    """Prints the three times, and what both take of a step alone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("--sources", type=Path)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", nargs="*", default=[])
    options = parser.parse_args()
    config, text = with_text(load_settings(options.config, options.sources, options.set), None)
    sharding = MeshSharding(config.parallel)
    batches = build_mixture(config.data, config.tokenizer, text, seed=config.seed)
    num_sources = len(batches.source_names)
    optimizer = make_optimizer(config.optimizer)
    train_step = make_train_step(
        model_loss(config.model, config.tokenizer, num_sources, sharding),
        optimizer,
        make_schedule(config.optimizer),
        accumulate=config.training.accumulate,
    )
    interval = sharding.put(empty_interval(num_sources))
    key = sharding.make(lambda: jax.random.key(1))
    state = sharding.make(
        lambda: init_state(init_parameters(config.model, config.tokenizer, jax.random.key(0)), optimizer)
    )
    ready = sharding.put_rows(next(batches))

    def step() -> jax.Array:
        nonlocal state
        state, output = train_step(state, interval, ready, key)
        return output.updates

    def load() -> object:
        return sharding.put_rows(next(batches))

    pending: jax.Array | None = None

    def both() -> jax.Array:
        nonlocal state, ready, pending
        state, output = train_step(state, interval, ready, key)
        ready = sharding.put_rows(next(batches))
        jax.block_until_ready(pending)  # no more than two steps are under way, as in a run
        pending = output.updates
        return output.updates

    times: dict[str, list[float]] = {"step": [], "load": [], "both": []}
    for _ in range(options.rounds):
        for name, call in (("step", step), ("load", load), ("both", both)):
            times[name].append(seconds_each(call, options.steps))
    medians = {name: statistics.median(values) for name, values in times.items()}
    Console().print(
        f"{sharding}: step alone {medians['step'] * 1e3:.1f} ms, batch alone {medians['load'] * 1e3:.1f} ms, both "
        f"{medians['both'] * 1e3:.1f} ms, which is {medians['both'] / medians['step']:.3f} of a step alone",
        soft_wrap=True,
    )


if __name__ == "__main__":
    main()
