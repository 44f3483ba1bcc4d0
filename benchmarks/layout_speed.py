"""What short timesteps buy: numbers that share tokens and actions of one token, beside the paper's layout.

    JAX_PLATFORMS=cpu python benchmarks/layout_speed.py

The same body (`body.py`) trains on and acts in the same random timesteps in each layout; layouts take turns in one
process on one core. Training: timesteps per CPU-second, 2,048 tokens per step. Acting: CPU-ms per environment step
with a full context. Rows and context hold 1,024 tokens in the paper's layout, and a quarter of it in the others, which
still is at least three times as many timesteps. Ends with a line per ratio, as `figures.py` writes them: to the paper's
layout, and of one environment alone to each of 16 side by side.
"""

import argparse
import dataclasses
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import body
import jax
import numpy as np
import ours
from figures import Figure, report
from gymnasium import spaces
from timing import time_call

from gato.batch import Batch
from gato.config import DataConfig, OptimizerConfig, PolicyConfig, TokenizerConfig
from gato.data.action_choice import without_own_actions
from gato.data.collate import Row, make_batch
from gato.inference.agent import Agent
from gato.inference.batch_policy import BatchPolicy
from gato.model.gato import init_parameters
from gato.tokenizer.spaces import TimestepTokenizer
from gato.tokenizer.text import TextTokenizer
from gato.training.optimizer import make_optimizer, make_schedule
from gato.training.step import empty_interval, init_state, make_train_step, model_loss

SCALAR = ours.TOKENIZER
FED = dataclasses.replace(SCALAR, values_per_token=50, pieces_per_token=8, action_tokens="grouped", separator="mark")
HIDDEN = dataclasses.replace(FED, own_actions="hidden")
LAYOUTS = {"scalar": SCALAR, "fed": FED, "hidden": HIDDEN}
TOKENS_A_STEP = body.ROWS * body.CONTEXT_LENGTH
SHORT_CONTEXT = body.CONTEXT_LENGTH // 4
_MISSION = "go to the red ball"


def _numbers(size: int) -> spaces.Box:
    return spaces.Box(-np.inf, np.inf, (size,), np.float32)


@dataclass(frozen=True)
class Task:
    """Spaces in which random timesteps are drawn; a mission is the same at every timestep of an episode."""

    observations: dict[str, spaces.Space]
    actions: spaces.Space
    mission: str = ""

    def space(self) -> spaces.Dict:
        mission = {"mission": spaces.Text(100)} if self.mission else {}
        return spaces.Dict({**self.observations, **mission})

    def sample(self, count: int) -> tuple[dict[str, object], np.ndarray]:
        """Batched over time; the same at every call."""
        seen = {name: ours.random_members(space, count) for name, space in self.observations.items()}
        return {**seen, **({"mission": [self.mission] * count} if self.mission else {})}, ours.random_members(
            self.actions, count
        )


TASKS = {
    "metaworld-like": Task({"state": _numbers(39)}, spaces.Box(-1, 1, (4,), np.float32)),
    "babyai-like": Task({"image": spaces.MultiDiscrete([11] * 147)}, spaces.Discrete(7), _MISSION),
    "halfcheetah-like": Task({"state": _numbers(17)}, spaces.Box(-1, 1, (6,), np.float32)),
}


def context_length(layout: TokenizerConfig) -> int:
    """Tokens of a row, and of the context when acting."""
    return SHORT_CONTEXT if layout.has_groups else body.CONTEXT_LENGTH


def training_batch(task: Task, layout: TokenizerConfig, text: TextTokenizer) -> tuple[Batch, int]:
    """Rows full of whole timesteps, and how many these are."""
    length = context_length(layout)
    observations, actions = task.sample(length)
    tokenizer = TimestepTokenizer(task.space(), task.actions, layout, text)
    sequence = without_own_actions(tokenizer.encode_episode(observations, actions), layout, None)
    sequence = sequence.timesteps(0, sequence.num_fitting(0, length))
    num_rows = TOKENS_A_STEP // length
    data = DataConfig(batch_size=num_rows, context_length=length, max_patches=0)
    return make_batch([Row(sequence=sequence, source_id=0)] * num_rows, data, layout), num_rows * sequence.num_timesteps


def training_call(batch: Batch, layout: TokenizerConfig) -> Callable[[], None]:
    """A call that makes the next step, always on the same batch, and returns when it is done."""
    optimizer = OptimizerConfig()
    step = make_train_step(model_loss(ours.MODEL, layout, 1), make_optimizer(optimizer), make_schedule(optimizer))
    state = init_state(init_parameters(ours.MODEL, layout, jax.random.key(0)), make_optimizer(optimizer))
    interval, key, on_device = empty_interval(1), jax.random.key(1), jax.device_put(batch)

    def call() -> None:
        nonlocal state
        state, sums = step(state, interval, on_device, key)
        jax.block_until_ready((state, sums))

    return call


def acting_call(task: Task, layout: TokenizerConfig, text: TextTokenizer, num_envs: int) -> Callable[[], None]:
    """A call that makes the next environment step of a policy whose context is full."""
    params = jax.jit(init_parameters, static_argnums=(0, 1))(ours.MODEL, layout, jax.random.key(0))
    policy = PolicyConfig(context_length=context_length(layout))
    agent = Agent(model=ours.MODEL, tokenizer=layout, policy=policy, params=params, text=text)
    acting = BatchPolicy(agent, task.space(), task.actions, num_envs=num_envs)
    acting.reset(seeds=range(num_envs))
    observations, _ = task.sample(64)
    members = [{name: values[step] for name, values in observations.items()} for step in range(64)]
    steps = itertools.count()

    def call() -> None:
        step = next(steps)
        acting.act([members[(step + slot) % 64] for slot in range(num_envs)])

    tokens = len(TimestepTokenizer(task.space(), task.actions, layout, text).encode_observation(members[0]))
    for _ in range(context_length(layout) // tokens + 8):
        call()
    return call


def medians(call: Callable[[], None], repeats: int) -> float:
    """CPU-ms of a call."""
    return median(time_call(call).cpu_ms for _ in range(repeats))


def ratios(base: list[float], other: list[float]) -> list[float]:
    """Of neighbouring turns."""
    return [a / b for a, b in zip(base, other, strict=True)]


def main() -> None:
    """Measures all tasks and layouts; CPU-ms first, the ratios last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each layout")
    parser.add_argument("--train-repeats", type=int, default=5, help="steps a turn")
    parser.add_argument("--act-repeats", type=int, default=60, help="environment steps a turn")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--core", type=int, default=0, help="the core that all of it runs on")
    parser.add_argument("--figures", type=Path, help="file to append the figure lines to")
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.core})
    text = TextTokenizer.train([_MISSION, "pick up the blue key", "open the yellow door"] * 20, 300)
    figures: list[Figure] = []
    for name in options.tasks:
        task = TASKS[name]
        batches = {key: training_batch(task, layout, text) for key, layout in LAYOUTS.items()}
        calls = {key: training_call(batches[key][0], layout) for key, layout in LAYOUTS.items()}
        costs: dict[str, list[float]] = {key: [] for key in LAYOUTS}  # CPU-ms per timestep
        for call in calls.values():
            call(), call()
        for _, key in itertools.product(range(options.rounds), LAYOUTS):
            costs[key].append(medians(calls[key], options.train_repeats) / batches[key][1])
        for key in LAYOUTS:
            print(f"# {name} {key}: {1000 / median(costs[key]):,.0f} timesteps per CPU-second", flush=True)
        figures += [
            Figure.from_ratios(f"timesteps_per_cpu_second/{name}/{key}", ratios(costs["scalar"], costs[key]))
            for key in ("fed", "hidden")
        ]
        acting = {key: acting_call(task, layout, text, 1) for key, layout in LAYOUTS.items()}
        costs = {key: [] for key in LAYOUTS}
        for _, key in itertools.product(range(options.rounds), LAYOUTS):
            costs[key].append(medians(acting[key], options.act_repeats))
        for key in LAYOUTS:
            print(f"# {name} {key}: {median(costs[key]):.2f} CPU-ms per environment step", flush=True)
        figures += [
            Figure.from_ratios(f"act_cpu_ms/{name}/{key}", ratios(costs["scalar"], costs[key]))
            for key in ("fed", "hidden")
        ]
        for key in ("fed", "hidden"):
            together = acting_call(task, LAYOUTS[key], text, 16)
            many = [medians(together, options.act_repeats) / 16 for _ in range(options.rounds)]
            print(f"# {name} {key}: {median(many):.2f} CPU-ms per environment step, 16 side by side", flush=True)
            figures.append(Figure.from_ratios(f"act_16_envs/{name}/{key}", ratios(costs[key], many)))
    report(figures, options.figures)


if __name__ == "__main__":
    main()
