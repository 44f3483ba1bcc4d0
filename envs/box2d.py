"""Gymnasium's Box2D worlds that come with a good controller. Source: https://gymnasium.farama.org"""

import functools
from typing import Any

import gymnasium
import numpy as np

from .simulator import import_simulator
from .task import Expert, ReactiveExpert, Task


def _make(env_id: str, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    import_simulator("Box2D", "box2d")
    return gymnasium.make(env_id, render_mode=render_mode, disable_env_checker=True)


def _make_lander_expert(env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> Expert:
    """The heuristic that Gymnasium ships, a function of the observation."""
    heuristic = import_simulator("gymnasium.envs.box2d.lunar_lander", "box2d").heuristic
    return ReactiveExpert(functools.partial(heuristic, env))


TASKS: tuple[Task, ...] = (
    Task(
        name="lunar-lander",
        family="box2d",
        description="Land the craft softly on the pad between the flags by firing its engines.",
        make=functools.partial(_make, "LunarLander-v3"),
        make_expert=_make_lander_expert,
        max_episode_steps=1000,
        success=lambda episode_return, info: episode_return >= 200,
        success_source="Gymnasium's reward threshold of LunarLander-v3",
        tags=frozenset({"discrete"}),
        action_names=("do nothing", "fire the left engine", "fire the main engine", "fire the right engine"),
    ),
)
