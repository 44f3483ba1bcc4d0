"""A pendulum to hold up, let hang, or spin either way: only a demonstration tells which.

The dynamics, observation and actions are those of Gymnasium's Pendulum-v1.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.envs.classic_control.pendulum import PendulumEnv

from ..simulator import import_simulator
from ..task import Expert, Task
from .hidden_variant import HiddenVariant, succeeded

_NEAR_COSINE = 0.9  # within 26 degrees of straight up or down
_STILL_SPEED = 1.0  # rad/s
_SPIN_SPEED = 4.0  # rad/s; a spin at full torque passes the top at 6

# Mode -> whether (cosine of the angle from upright, angular velocity in rad/s) fits it. Angles grow counterclockwise.
MODES: Mapping[str, Callable[[float, float], bool]] = {
    "up": lambda cosine, velocity: cosine > _NEAR_COSINE and abs(velocity) < _STILL_SPEED,
    "hang": lambda cosine, velocity: cosine < -_NEAR_COSINE and abs(velocity) < _STILL_SPEED,
    "counterclockwise": lambda cosine, velocity: velocity > _SPIN_SPEED,
    "clockwise": lambda cosine, velocity: velocity < -_SPIN_SPEED,
}
_VARIANTS = tuple({"mode": mode} for mode in MODES)

_HORIZON = 90  # steps; from the worst starts the expert needs some seventy to swing up or to reverse a spin
_NUM_JUDGED = 20  # last steps, which alone count; a swing back and forth cannot look like a spin for so long
_MIN_SHARE = 0.9  # of those steps in a mode: then the episode is of that mode

_MARK = (255, 186, 73)
_MARK_RADIUS = 1.4  # of the circle on which the mode is marked, in rods
_MARK_WIDTH = 0.12  # rods


class PendulumMode(HiddenVariant):
    """Pendulum that asks for one of `MODES` as reset option `mode`.

    Only the last steps count. Each of them in the mode pays an equal share of 1: about 1 for the mode's expert, 0 for
    that of any other. Nothing terminates. The last info also has the `mode` of nearly all those steps, or "none".
    """

    option_names: ClassVar[tuple[str, ...]] = ("mode",)

    def __init__(self, render_mode: str | None = None) -> None:
        if render_mode is not None:
            import_simulator("pygame", "classic")
        self._pendulum = PendulumEnv(render_mode=render_mode)
        self._states: list[tuple[float, float]] = []  # (cosine, velocity) after each step
        super().__init__(self._pendulum, _VARIANTS)

    def check(self, variant: Mapping[str, Any]) -> None:
        if variant["mode"] not in list(MODES):
            raise ValueError(f"mode is {variant['mode']!r}, expected one of {list(MODES)}")

    def begin(self, seed: int | None) -> np.ndarray:
        self._states = []
        return self._pendulum.reset(seed=seed)[0]

    def advance(self, action: Any) -> tuple[np.ndarray, float, bool, bool]:
        observation = self._pendulum.step(action)[0]
        self._states.append((float(observation[0]), float(observation[2])))
        num_steps = len(self._states)
        fits = num_steps > _HORIZON - _NUM_JUDGED and MODES[self.variant["mode"]](*self._states[-1])
        return observation, float(fits) / _NUM_JUDGED, False, num_steps >= _HORIZON

    def outcome(self) -> dict[str, Any]:
        mode = _mode_of(self._states[-_NUM_JUDGED:])
        return {"success": mode == self.variant["mode"], "mode": mode}

    def render(self) -> np.ndarray | None:
        """Pendulum's picture, (height, width, 3) uint8: a disc marks where to be still, a ring the way to spin."""
        if self._pendulum.render_mode is None:
            return None
        picture = np.array(self._pendulum.render(), dtype=float)
        size = len(picture)
        rod = size / 4.4  # pixels: Pendulum shows 2.2 rods to each side of its axle
        rows, columns = np.mgrid[:size, :size] + 0.5
        right, above = (columns - size / 2) / rod, (size / 2 - rows) / rod
        mode = self.variant["mode"]
        if mode in ("up", "hang"):
            distance = np.hypot(right, above - (_MARK_RADIUS if mode == "up" else -_MARK_RADIUS))
            fade = np.ones_like(distance)
        else:
            distance = np.abs(np.hypot(right, above) - _MARK_RADIUS)
            turn = np.arctan2(-right, above) / (2 * np.pi)  # counterclockwise from the top
            fade = 1 - (-turn if mode == "counterclockwise" else turn) % 1
        coverage = fade * np.clip((_MARK_WIDTH - distance) * rod + 0.5, 0, 1)
        picture += coverage[..., None] * (np.array(_MARK) - picture)
        return picture.round().astype(np.uint8)


def _mode_of(states: list[tuple[float, float]]) -> str:
    for mode, fits in MODES.items():
        if sum(fits(*state) for state in states) >= _MIN_SHARE * len(states):
            return mode
    return "none"


# The rules of the experts: smooth functions (cosine, sine, velocity) -> torque, which the joint clips.


def _up(cosine: float, sine: float, velocity: float) -> float:
    """Pumps energy until the pendulum can reach the top, then holds it there."""
    hold = -12 * sine - 3 * velocity
    # The shift gets it going where it hangs at rest.
    pump = -2 * math.tanh(10 * velocity + 0.5) * math.tanh(2 * _energy(cosine, velocity))
    caught = _sigmoid(20 * (cosine - 0.8)) * _sigmoid(4 * (4 - abs(velocity)))
    return caught * hold + (1 - caught) * pump


def _hang(cosine: float, sine: float, velocity: float) -> float:
    """Brakes."""
    return -2 * velocity


def _spin(direction: int, cosine: float, velocity: float) -> float:
    """Turns its way with all its torque, but helps a swing the other way as long as that cannot reach the top.

    A torque that never changed its way would take from each swing there what it gave to the swing back.
    """
    backwards = _sigmoid(-20 * direction * velocity - 2)  # the shift as in `_up`
    low = _sigmoid(4 * (-2 - _energy(cosine, velocity)))
    return 2 * direction * (1 - 2 * backwards * low)


_RULES: Mapping[str, Callable[[float, float, float], float]] = {
    "up": _up,
    "hang": _hang,
    "counterclockwise": lambda cosine, sine, velocity: _spin(1, cosine, velocity),
    "clockwise": lambda cosine, sine, velocity: _spin(-1, cosine, velocity),
}


def _energy(cosine: float, velocity: float) -> float:
    """Of the rod, relative to standing still at the top, in joules.

    Source: Pendulum-v1's rod has mass 1 kg and length 1 m, gravity is 10 m/s2.
    """
    return velocity**2 / 6 + 5 * (cosine - 1)


def _sigmoid(value: float) -> float:
    return (1 + math.tanh(value / 2)) / 2


class _ModeExpert:
    """Follows the rule of the mode that the episode asks for."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self._env = env

    def reset(self) -> None:
        """The mode is read at every step."""

    def act(self, observation: np.ndarray) -> np.ndarray:
        cosine, sine, velocity = (float(value) for value in observation)
        torque = _RULES[self._env.get_wrapper_attr("variant")["mode"]](cosine, sine, velocity)
        return np.array([min(max(torque, -2.0), 2.0)], dtype=np.float32)


def _make_expert(env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> Expert:
    return _ModeExpert(env)


def _follows(variant: Mapping[str, Any], info: Mapping[str, Any]) -> bool:
    return variant["mode"] == info["mode"]


TASKS: tuple[Task, ...] = (
    Task(
        name="pendulum-mode",
        family="context",
        description="Hold the pendulum up, let it hang still, or spin it one way, as at the demonstration's end.",
        make=PendulumMode,
        make_expert=_make_expert,
        max_episode_steps=_HORIZON,
        success=succeeded,
        success_source=f"ours: {_MIN_SHARE:.0%} of the last {_NUM_JUDGED} steps are in the mode asked for",
        tags=frozenset({"continuous", "context"}),
        variants=_VARIANTS,
        follows=_follows,
    ),
)
