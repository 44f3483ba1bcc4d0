"""A pole on a cart, to be balanced at a place on the track that nothing shows: only a demonstration tells where.

The dynamics, observation and actions are those of Gymnasium's CartPole-v1 (Barto, Sutton and Anderson, 1983).
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleEnv

from ..linear_control import linearize, lqr_gain
from ..simulator import import_simulator
from ..task import Expert, Task
from .hidden_variant import HiddenVariant, succeeded

_SPACING = 0.3  # metres between neighbouring set-points
_NUM_EACH_SIDE = 4  # of the track's centre
_POSITIONS = tuple(round(number * _SPACING, 1) for number in range(-_NUM_EACH_SIDE, _NUM_EACH_SIDE + 1))
# Inner ones, each with a trained neighbour on both sides.
_HELD_OUT_POSITIONS = (-0.6, 0.0, 0.6)
_VARIANTS = tuple({"position": position} for position in _POSITIONS if position not in _HELD_OUT_POSITIONS)

_HORIZON = 240  # steps; by the first that counts, the expert is at the farthest set-point from any start
_NUM_JUDGED = 50  # last steps, which alone count
_TOLERANCE = _SPACING / 2
# Carts start up to so many times as far from the centre as CartPole's, that is 1.35 metres: anywhere among the
# set-points, so that demonstrations also show a cart that stands still and has to leave.
_START_SPREAD = 27

_MARK = (255, 186, 73)
_MARK_HEIGHT = 10  # pixels
_TRACK_HEIGHT, _HALF_CART = 100, 15  # pixels of CartPole's picture: the track above its lower edge, and the cart


class CartPosition(HiddenVariant):
    """CartPole that asks for the cart at reset option `position`, in metres from the centre.

    Only the last steps count. Each of them pays an equal share of 1 where the cart is nearer to the set-point than to
    its neighbours: about 1 for who stays there, 0 for who stays at another one or falls before. An episode terminates
    as CartPole's does: the pole fell or the cart left the track.

    The last info also has `balanced` (False where it ended so), and mean and standard deviation of the cart's position
    over the steps that count, in metres, as `mean_position` and `position_spread`.
    """

    option_names: ClassVar[tuple[str, ...]] = ("position",)

    def __init__(self, render_mode: str | None = None) -> None:
        if render_mode is not None:
            import_simulator("pygame", "classic")
        self._cart = CartPoleEnv(render_mode=render_mode)
        self._positions: list[float] = []
        self._balanced = True
        super().__init__(self._cart, _VARIANTS)

    def check(self, variant: Mapping[str, Any]) -> None:
        position = variant["position"]
        if not isinstance(position, int | float) or not abs(position) <= _POSITIONS[-1]:
            raise ValueError(
                f"position is {position!r}, expected metres from the centre in [{_POSITIONS[0]}, {_POSITIONS[-1]}]"
            )

    def begin(self, seed: int | None) -> np.ndarray:
        self._cart.reset(seed=seed)
        self._positions = []
        self._balanced = True
        assert self._cart.state is not None
        self._cart.state[0] *= _START_SPREAD
        return self._cart.state.astype(np.float32)

    def advance(self, action: Any) -> tuple[np.ndarray, float, bool, bool]:
        observation, _, fell, _, _ = self._cart.step(action)
        self._balanced = not fell
        self._positions.append(float(observation[0]))
        num_steps = len(self._positions)
        counts = num_steps > _HORIZON - _NUM_JUDGED and not fell
        there = abs(self._positions[-1] - self.variant["position"]) <= _TOLERANCE
        return observation, float(counts and there) / _NUM_JUDGED, fell, num_steps >= _HORIZON and not fell

    def outcome(self) -> dict[str, Any]:
        judged = self._positions[-_NUM_JUDGED:]
        info = {
            "balanced": self._balanced,
            "mean_position": float(np.mean(judged)),
            "position_spread": float(np.std(judged)),
        }
        return {"success": _follows(self.variant, info), **info}

    def render(self) -> np.ndarray | None:
        """CartPole's picture, (height, width, 3) uint8, with a bar where the cart is to be below it."""
        if self._cart.render_mode is None:
            return None
        picture = np.array(self._cart.render())
        height, width, _ = picture.shape
        scale = width / (2 * self._cart.x_threshold)
        left, right = (
            round(width / 2 + scale * (self.variant["position"] + side)) for side in (-_TOLERANCE, _TOLERANCE)
        )
        top = height - _TRACK_HEIGHT + _HALF_CART + 2
        picture[top : top + _MARK_HEIGHT, left:right] = _MARK
        return picture


class _LqrExpert:
    """Pushes the way that the linear-quadratic regulator about the set-point asks for."""

    # Costs of position, velocity, angle and angular velocity, and of force: the fastest that stay robust to noise.
    _STATE_COST = np.diag([20.0, 3.0, 1.0, 0.1])
    _FORCE_COST = np.array([[0.1]])
    # Metres; a farther set-point would have the cart start so fast that the pole falls.
    _MAX_GAP = 0.9

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self._env = env
        self._gain = lqr_gain(*_linear_dynamics(), self._STATE_COST, self._FORCE_COST)[0]

    def reset(self) -> None:
        """The set-point is read at every step."""

    def act(self, observation: np.ndarray) -> int:
        error = observation.astype(float)
        gap = error[0] - self._env.get_wrapper_attr("variant")["position"]
        error[0] = min(max(gap, -self._MAX_GAP), self._MAX_GAP)
        return int(self._gain @ error < 0)


def _linear_dynamics() -> tuple[np.ndarray, np.ndarray]:
    """One step of CartPole with its pole nearly upright: Jacobians (4, 4) by state, and (4, 1) by force in newtons."""
    cart = CartPoleEnv()

    def step(state: np.ndarray, force: np.ndarray) -> np.ndarray:
        cart.state = state
        cart.force_mag = float(force[0])
        cart.step(1)
        return cart.state

    return linearize(step, np.zeros(4), np.zeros(1))


def _make_expert(env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> Expert:
    return _LqrExpert(env)


def _follows(variant: Mapping[str, Any], info: Mapping[str, Any]) -> bool:
    """Whether the pole stood, and the cart's root mean square distance from the set-point is within the tolerance."""
    distance = math.hypot(info["mean_position"] - variant["position"], info["position_spread"])
    return info["balanced"] and distance < _TOLERANCE


TASKS: tuple[Task, ...] = (
    Task(
        name="cart-position",
        family="context",
        description="Balance the pole with the cart at the place on the track where the demonstration ends.",
        make=CartPosition,
        make_expert=_make_expert,
        max_episode_steps=_HORIZON,
        success=succeeded,
        success_source=f"ours: pole up, and nearer to this set-point than to any other in the last {_NUM_JUDGED} steps",
        tags=frozenset({"discrete", "context"}),
        action_names=("push left", "push right"),
        variants=_VARIANTS,
        follows=_follows,
        held_out_variants=tuple({"position": position} for position in _HELD_OUT_POSITIONS),
    ),
)
