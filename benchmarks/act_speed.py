"""Times an environment step of Gato's policy: encode the observation, extend the cache, draw and decode the action.

Started by `bench.py`, which pins it to one core. Alone it uses what JAX finds, and `--config` takes a run's network, so
that the published sizes can be timed on an accelerator.
"""

import argparse
import dataclasses
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import body
import jax
import ours
from act_floor import floor_ms, passes_of
from timing import Timing, hand_over, summary, time_call

from gato.config import ModelConfig, PolicyConfig
from gato.inference.agent import Agent
from gato.inference.batch_policy import BatchPolicy
from gato.model.gato import init_parameters


def make_policy(task: body.Task, model: ModelConfig, num_envs: int) -> BatchPolicy:
    """A policy with random weights and the paper's context."""
    agent = Agent(
        model=model,
        tokenizer=ours.TOKENIZER,
        policy=PolicyConfig(context_length=body.CONTEXT_LENGTH),
        params=jax.jit(init_parameters, static_argnums=(0, 1))(model, ours.TOKENIZER, jax.random.key(0)),
    )
    return BatchPolicy(agent, *ours.task_spaces(task), num_envs=num_envs)


def play(policy: BatchPolicy, observations: Any, num_steps: int) -> Iterator[Timing]:
    """Begins an episode in every slot and yields the time of each step. Observations are random and repeat."""
    policy.reset(seeds=range(policy.num_envs))
    for step in range(num_steps):
        batch = [observations[(step + slot) % len(observations)] for slot in range(policy.num_envs)]
        yield time_call(lambda batch=batch: policy.act(batch))


def measure(task: body.Task, model: ModelConfig, variant: str, num_envs: int, repeats: int) -> dict[str, Any]:
    """Steps with a full context, after it has been filled and some timesteps have left it, beside their floor."""
    policy = make_policy(task, model, num_envs)
    observations = ours.random_members(policy.observation_space, 64)
    warmup = task.timesteps_a_row + 8
    timings = list(play(policy, observations, warmup + repeats))[warmup:]
    visible = task.timesteps_a_row * task.tokens
    passes = passes_of(task, model, ours.TOKENIZER, num_envs=num_envs, visible=visible)
    return {
        "measure": "act",
        "task": task.name,
        "variant": variant,
        "num_envs": num_envs,
        "visible": visible,
        "floor_ms": floor_ms(passes, model.compute_dtype),
        "mb_read": sum(each.num_bytes for each in passes) / 1e6,
        "gflop": sum(each.num_flops for each in passes) / 1e9,
        **summary(timings),
    }


def measure_curve(task: body.Task, model: ModelConfig, variant: str, repeats: int) -> Iterator[dict[str, Any]]:
    """Steps by how many tokens they can see, over as many episodes as there are repeats."""
    policy = make_policy(task, model, 1)
    observations = ours.random_members(policy.observation_space, 64)
    list(play(policy, observations, task.timesteps_a_row + 8))
    episodes = [list(play(policy, observations, task.timesteps_a_row)) for _ in range(repeats)]
    for visible in (visible for visible in body.CURVE if visible % task.tokens == 0):
        timings = [timings[visible // task.tokens - 1] for timings in episodes]
        cell = {"measure": "curve", "task": task.name, "variant": variant, "num_envs": 1, "visible": visible}
        yield {**cell, **summary(timings)}


def main() -> None:
    """Prints the cells of one task as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=body.TASKS, required=True)
    parser.add_argument("--num-envs", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--repeats", type=int, default=60, help="steps, and episodes of the curve by tens of them")
    parser.add_argument("--config", type=Path, help="a file of configs/, instead of the common body")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    options = parser.parse_args()
    task = body.TASKS[options.task]
    if options.config:
        models = {"": runpy.run_path(str(options.config))["get_config"]().model}
    elif task.picture_side:
        models = {f"{stem} stem": model for stem, model in ours.PATCH_STEMS.items()}
    else:
        models = {"": ours.MODEL}
    models = {name: dataclasses.replace(model, compute_dtype=options.dtype) for name, model in models.items()}
    results = [
        measure(task, model, variant, num_envs, options.repeats)
        for variant, model in models.items()
        for num_envs in options.num_envs
    ]
    if not options.config:
        for variant, model in models.items():
            results += measure_curve(task, model, variant, max(1, options.repeats // 10))
    model = next(iter(models.values()))
    params = jax.eval_shape(lambda: init_parameters(model, ours.TOKENIZER, jax.random.key(0)))
    hand_over(ours.count_parameters(params), ours.versions(), results)


if __name__ == "__main__":
    main()
