"""Compares how fast MiniGrid's worlds are observed: our view beside MiniGrid's own, as codes and as pictures.

    taskset -c 0 python benchmarks/grid_pixels.py

Both sides play the same actions in the same worlds and take turns; observations a CPU-second count the whole step. A
ratio is the median over neighbouring turns, with the lowest and highest beside it.
"""

import argparse
import contextlib
import io
import itertools
import time
from collections.abc import Callable
from statistics import median

import gymnasium
import minigrid.wrappers
import numpy as np

from gato.envs import get_task

TASKS = ("babyai-go-to-local", "babyai-go-to", "minigrid-door-key-8x8", "minigrid-dynamic-obstacles-8x8")
TILE_SIZES = {"symbols": None, "pixels": 8, "pixels-16": 16}
WARMUP_STEPS = 200  # both sides draw and keep their tiles


def make_sides(task_name: str, view: str) -> tuple[gymnasium.Env, gymnasium.Env]:
    """Ours and MiniGrid's."""
    task = get_task(task_name)
    ours = (task if view == next(iter(task.views)) else task.seen_as(view)).make()
    assert ours.spec is not None
    stock = gymnasium.make(ours.spec.id, disable_env_checker=True)
    tile_size = TILE_SIZES[view]
    return ours, stock if tile_size is None else minigrid.wrappers.RGBImgPartialObsWrapper(stock, tile_size=tile_size)


def quiet() -> contextlib.AbstractContextManager[object]:
    """MiniGrid prints every layout that it rejects."""
    return contextlib.redirect_stdout(io.StringIO())


def player(env: gymnasium.Env) -> Callable[[int], list[np.ndarray]]:
    """Plays on, at random, where the last call stopped; all players play the same."""
    rng = np.random.default_rng(0)
    seeds = itertools.count()
    # Turning and walking, which changes the view, more often than the rest.
    actions = [0, 1, 2, 2, 2] + [3, 4, 5] * (int(env.action_space.n) == 7)  # type: ignore[attr-defined]
    observation = env.reset(seed=next(seeds))[0]

    def play(num_steps: int) -> list[np.ndarray]:
        nonlocal observation
        images = []
        for action in rng.choice(actions, size=num_steps).tolist():
            observation, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                observation = env.reset(seed=next(seeds))[0]
            images.append(observation["image"])
        return images

    return play


def measure(task_name: str, view: str, num_steps: int, turns: int) -> tuple[list[float], list[float]]:
    """Observations a CPU-second of every turn, ours and MiniGrid's.

    Raises:
        ValueError: the two do not see the same.
    """
    with quiet():
        players = [player(env) for env in make_sides(task_name, view)]
        warmups = [play(WARMUP_STEPS) for play in players]
    for ours, stock in zip(*warmups, strict=True):
        if not np.array_equal(ours, stock):
            raise ValueError(f"{task_name} in {view}: our view is not MiniGrid's")
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(turns):
        for play, sides_rates in zip(players, rates, strict=True):
            start = time.process_time()
            with quiet():
                play(num_steps)
            sides_rates.append(num_steps / (time.process_time() - start))
    return rates


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=500, help="of a turn")
    parser.add_argument("--turns", type=int, default=5, help="of each side")
    arguments = parser.parse_args()
    print("| task | view | MiniGrid, observations a CPU-second | ours | ratio (lowest to highest) |")
    print("|---|---|---|---|---|")
    for task_name in TASKS:
        for view in TILE_SIZES:
            ours, stock = measure(task_name, view, arguments.steps, arguments.turns)
            ratios = sorted(our / their for our, their in zip(ours, stock, strict=True))
            spread = f"{median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"
            print(f"| {task_name} | {view} | {median(stock):,.0f} | {median(ours):,.0f} | {spread} |", flush=True)


if __name__ == "__main__":
    main()
