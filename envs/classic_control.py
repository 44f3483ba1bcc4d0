"""Gymnasium's classic control: five small physics problems, each with a controller that solves it.

The controllers are functions of the observation. Source of the environments: https://gymnasium.farama.org
"""

import functools
import math
from typing import Any

import gymnasium
import numpy as np

from .simulator import import_simulator
from .task import Task, reactive

_FAMILY = "classic_control"


def _make(env_id: str, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    if render_mode is not None:
        import_simulator("pygame", "classic")
    return gymnasium.make(env_id, render_mode=render_mode, disable_env_checker=True)


def _cartpole(observation: np.ndarray) -> int:
    """Linear feedback: lean the pole back over the track's centre."""
    position, velocity, angle, angular_velocity = observation
    return int(0.1 * position + 0.3 * velocity + 2.0 * angle + 0.6 * angular_velocity > 0)


def _pendulum(observation: np.ndarray) -> np.ndarray:
    """Pumps energy until the pendulum can reach the top, then holds it there with a PD controller."""
    cosine, sine, velocity = (float(value) for value in observation)
    angle = math.atan2(sine, cosine)
    if cosine > 0.8 and abs(velocity) < 4:
        torque = -12.0 * angle - 3.0 * velocity
    else:
        # Energy of the rod (mass 1, length 1, gravity 10) relative to standing still at the top.
        energy = velocity**2 / 6 + 5 * (cosine - 1)
        torque = -math.copysign(2.0, velocity) if energy > 0 else math.copysign(2.0, velocity)
    return np.array([min(max(torque, -2.0), 2.0)], dtype=np.float32)


def _mountain_car(observation: np.ndarray) -> int:
    """Pushes along the motion: every swing gains height."""
    return 2 if observation[1] >= 0 else 0


def _mountain_car_continuous(observation: np.ndarray) -> np.ndarray:
    """Pushes along the motion, just hard enough: force costs reward."""
    return np.array([math.copysign(0.6, float(observation[1]))], dtype=np.float32)


def _acrobot(observation: np.ndarray) -> int:
    """Bends the elbow against the shoulder's motion, which feeds the swing."""
    return 0 if observation[4] > 0 else 2


TASKS: tuple[Task, ...] = (
    Task(
        name="cartpole",
        family=_FAMILY,
        description="Push the cart left or right so that the pole on it stays upright.",
        make=functools.partial(_make, "CartPole-v1"),
        make_expert=reactive(_cartpole),
        max_episode_steps=500,
        success=lambda episode_return, info: episode_return >= 475,
        success_source="Gymnasium's reward threshold of CartPole-v1",
        tags=frozenset({"discrete"}),
        action_names=("push left", "push right"),
    ),
    Task(
        name="pendulum",
        family=_FAMILY,
        description="Swing the pendulum up by turning its joint, and hold it at the top.",
        make=functools.partial(_make, "Pendulum-v1"),
        make_expert=reactive(_pendulum),
        max_episode_steps=200,
        success=lambda episode_return, info: episode_return >= -400,
        success_source="ours: no controller gets there without standing upright for most of the episode",
        tags=frozenset({"continuous"}),
    ),
    Task(
        name="mountain-car",
        family=_FAMILY,
        description="Rock the weak car back and forth until it reaches the flag on the right hill.",
        make=functools.partial(_make, "MountainCar-v0"),
        make_expert=reactive(_mountain_car),
        max_episode_steps=200,
        success=lambda episode_return, info: episode_return > -200,
        success_source="Gymnasium: the flag was reached before the time limit",
        tags=frozenset({"discrete"}),
        action_names=("push left", "do nothing", "push right"),
    ),
    Task(
        name="mountain-car-continuous",
        family=_FAMILY,
        description="Rock the weak car up to the flag on the right hill with as little force as possible.",
        make=functools.partial(_make, "MountainCarContinuous-v0"),
        make_expert=reactive(_mountain_car_continuous),
        max_episode_steps=999,
        success=lambda episode_return, info: episode_return >= 90,
        success_source="Gymnasium's reward threshold of MountainCarContinuous-v0",
        tags=frozenset({"continuous"}),
    ),
    Task(
        name="acrobot",
        family=_FAMILY,
        description="Swing the two-link arm by its elbow until the tip rises above the line.",
        make=functools.partial(_make, "Acrobot-v1"),
        make_expert=reactive(_acrobot),
        max_episode_steps=500,
        success=lambda episode_return, info: episode_return > -500,
        success_source="Gymnasium: the line was reached before the time limit",
        tags=frozenset({"discrete"}),
        action_names=("turn the elbow one way", "do nothing", "turn the elbow the other way"),
    ),
)
