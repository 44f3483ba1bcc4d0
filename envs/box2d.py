"""Gymnasium's Box2D worlds: a lander, a walker, and a race track seen from above.

Source of the environments: https://gymnasium.farama.org
"""

import functools
import math
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from .simulator import import_simulator
from .task import Expert, ReactiveExpert, Task

_EXTRA = "box2d"

# The walker, in units of its observation; found by trying some hundred settings on eight hills, from Gymnasium's own.
_REACHING_HIP, _REACHING_KNEE = 1.1, -0.49
_LANDING_HIP = 0.1
_CARRYING_KNEE = 0.1
_RISE = 0.03  # by which the knee that carries straightens in a step, twice that above _FAST
_FAST, _TOO_FAST = 0.29, 0.348
_BEHIND = 0.085  # hip angle below which the leg that carries is behind
_PUSHING_KNEE, _PUSHED = 1.0, 0.92
_HIP_GAIN, _HIP_DAMPING = 0.83, 0.32
_KNEE_GAIN, _KNEE_DAMPING = 4.0, 0.25
_LEAN_GAIN, _LEAN_DAMPING = 0.86, 1.5
_RISE_DAMPING = 17.4
_STRENGTH = 0.61

# The race car, in units of its world; gains found by trying some two hundred on ten tracks.
_WHEELBASE = 3.24  # CarRacing's WHEELPOS times SIZE
_TOP_SPEED, _SIDE_ACCELERATION, _BRAKING = 100.0, 140.0, 70.0
_LOOKAHEAD, _LOOKAHEAD_S = 7.7, 0.17  # how far ahead the car aims: fixed, and more at speed
_STEERING_GAIN, _YAW_DAMPING = 2.0, 0.06
_GAS_GAIN, _BRAKE_GAIN, _MOST_BRAKE = 0.1, 0.011, 0.5
_TILES_AHEAD = 2  # the speed of the tile in so many tiles is aimed at
_TILES_SEARCHED = (-5, 25)  # around the tile where the car was last
_FARTHEST_PIXEL = 790.0  # from the car, which stands at a quarter of the screen's height


class FreshWorld(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Starts every episode in a new physics world: contacts left in the old one change the next episode a little."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        inner: Any = self.env.unwrapped
        inner.world = import_simulator("Box2D", _EXTRA).b2World(gravity=inner.world.gravity)
        # What the environment would take out of the world first: the walker's ground or the race track.
        inner.terrain, inner.road = [], None
        return self.env.reset(seed=seed, options=options)


def _make(env_id: str, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    import_simulator("Box2D", _EXTRA)
    return gymnasium.make(env_id, render_mode=render_mode, disable_env_checker=True)


def _make_fresh(env_id: str, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    return FreshWorld(_make(env_id, render_mode))


def _make_lander_expert(env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> Expert:
    """The heuristic that Gymnasium ships, a function of the observation."""
    heuristic = import_simulator("gymnasium.envs.box2d.lunar_lander", _EXTRA).heuristic
    if isinstance(env.action_space, gymnasium.spaces.Discrete):
        return ReactiveExpert(functools.partial(heuristic, env))
    return ReactiveExpert(lambda observation: heuristic(env, observation).astype(np.float32))


class _Walker:
    """A gait of three phases that fall into step with what the legs touch.

    The swinging leg reaches forward while the other carries; it is put down once the other has fallen behind; then
    the other pushes off, and they change roles. Its phases are those of the gait that Gymnasium ships with the walker,
    whose gains get there less often.
    """

    _REACH, _PUT_DOWN, _PUSH_OFF = range(3)

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._phase, self._swinging, self._bend = self._REACH, 0, _CARRYING_KNEE

    def act(self, observation: np.ndarray) -> np.ndarray:
        lean, lean_speed, forward_speed, rise = observation[:4].tolist()
        legs = observation[4:14].reshape(2, 5).tolist()  # hip, its speed, knee, its speed, touches the ground
        hips: list[float | None] = [None, None]
        knees = [0.0, 0.0]
        swinging, carrying = self._swinging, 1 - self._swinging
        if self._phase == self._REACH:
            hips[swinging], knees[swinging] = _REACHING_HIP, _REACHING_KNEE
            self._bend = min(self._bend + _RISE * (2 if forward_speed > _FAST else 1), _CARRYING_KNEE)
            knees[carrying] = self._bend
            if legs[carrying][0] < _BEHIND:
                self._phase = self._PUT_DOWN
        if self._phase == self._PUT_DOWN:
            hips[swinging], knees[swinging] = _LANDING_HIP, _CARRYING_KNEE
            knees[carrying] = self._bend
            if legs[swinging][4]:
                self._phase = self._PUSH_OFF
                self._bend = min(legs[swinging][2], _CARRYING_KNEE)
        if self._phase == self._PUSH_OFF:
            knees[swinging], knees[carrying] = self._bend, _PUSHING_KNEE
            if legs[carrying][2] > _PUSHED or forward_speed > _TOO_FAST:
                self._phase, self._swinging = self._REACH, carrying
        upright = _LEAN_GAIN * lean + _LEAN_DAMPING * lean_speed
        action = []
        for (hip, hip_speed, knee, knee_speed, _), hip_aim, knee_aim in zip(legs, hips, knees, strict=True):
            turn = 0.0 if hip_aim is None else _HIP_GAIN * (hip_aim - hip) - _HIP_DAMPING * hip_speed
            stretch = _KNEE_GAIN * (knee_aim - knee) - _KNEE_DAMPING * knee_speed - _RISE_DAMPING * rise
            action += [turn + upright, stretch]
        return np.clip(_STRENGTH * np.array(action), -1, 1).astype(np.float32)


def _make_walker_expert(env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> Expert:
    return _Walker()


def _make_racer(render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    import_simulator("pygame", _EXTRA)
    env = _make_fresh("CarRacing-v3", render_mode)
    inner: Any = env.unwrapped
    # Most of a step goes into drawing the whole landscape, of which the picture shows a small part.
    inner._render_road = functools.partial(_draw_near_land, inner)
    return env


def _draw_near_land(racing: Any, zoom: float, translation: tuple[float, float], angle: float) -> None:
    """Draws what CarRacing's `_render_road` draws, in the same order, less what lies off the screen."""
    size = import_simulator("gymnasium.envs.box2d.car_racing", _EXTRA).PLAYFIELD
    near = _FARTHEST_PIXEL / zoom + size / 10  # no polygon is longer than two patches of grass
    car_x, car_y = racing.car.hull.position

    def draw(polygon: list[tuple[float, float]], color: Any, clip: bool = True) -> None:
        x, y = polygon[0]
        if not clip or (abs(x - car_x) < near and abs(y - car_y) < near):
            racing._draw_colored_polygon(racing.surf, polygon, color, zoom, translation, angle, clip=clip)

    draw([(size, size), (size, -size), (-size, -size), (-size, size)], racing.bg_color, clip=False)
    for patch in _grass(size):
        draw(patch, racing.grass_color)
    for polygon, color in racing.road_poly:
        draw(polygon, [int(part) for part in color])


@functools.cache
def _grass(size: float) -> list[list[tuple[float, float]]]:
    """Every second square of every second row, twenty by twenty in all, column by column."""
    side = size / 20
    lows = [side * number for number in range(-20, 20, 2)]
    return [[(x + side, y), (x, y), (x, y + side), (x + side, y + side)] for x in lows for y in lows]


class _Racer:
    """Pure pursuit of the road's middle, as fast as the curves ahead allow.

    Source: Coulter (1992), "Implementation of the pure pursuit path tracking algorithm".
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self._env: Any = env.unwrapped
        self._tile = 0
        self._road = np.zeros((1, 2))
        self._lengths = self._speeds = np.zeros(1)

    def reset(self) -> None:
        self._tile = 0
        self._road = np.array([tile[2:4] for tile in self._env.track])
        steps = np.roll(self._road, -1, axis=0) - self._road
        self._lengths = np.hypot(steps[:, 0], steps[:, 1])
        headings = np.arctan2(steps[:, 1], steps[:, 0])
        turns = np.abs((np.roll(headings, -2) - np.roll(headings, 2) + np.pi) % (2 * np.pi) - np.pi)
        curvatures = turns / (4 * self._lengths.mean())
        speeds = np.minimum(np.sqrt(_SIDE_ACCELERATION / np.maximum(curvatures, 1e-4)), _TOP_SPEED).tolist()
        for index in reversed(2 * list(range(len(speeds)))):  # twice round: the end of the lap meets its start
            after = speeds[(index + 1) % len(speeds)]
            speeds[index] = min(speeds[index], math.sqrt(after**2 + 2 * _BRAKING * self._lengths[index]))
        self._speeds = np.array(speeds)

    def act(self, observation: np.ndarray) -> np.ndarray:
        hull = self._env.car.hull
        speed = math.hypot(*hull.linearVelocity)
        near = (self._tile + np.arange(*_TILES_SEARCHED)) % len(self._road)
        self._tile = int(near[((self._road[near] - tuple(hull.position)) ** 2).sum(axis=1).argmin()])
        distance = _LOOKAHEAD + _LOOKAHEAD_S * speed
        curvature = 2 * math.sin(self._bearing(distance)) / distance
        yaw_error = speed * curvature - hull.angularVelocity
        steering = _STEERING_GAIN * _WHEELBASE * curvature + _YAW_DAMPING * yaw_error  # to the left
        excess = speed - self._speeds[(self._tile + _TILES_AHEAD) % len(self._road)]
        # The wheels that drive the car hold it in the curve, too: less gas where it turns.
        gas = float(np.clip(-_GAS_GAIN * excess, 0, 1)) * max(0.0, 1 - abs(steering))
        brake = float(np.clip(_BRAKE_GAIN * (excess - 1), 0, _MOST_BRAKE))
        return np.array([np.clip(-steering, -1, 1), gas, brake], np.float32)

    def _bearing(self, distance: float) -> float:
        """Angle from the car's nose, to the left, to the road's middle so far ahead along the road."""
        index, way = self._tile, 0.0
        while way < distance:
            way += self._lengths[index]
            index = (index + 1) % len(self._road)
        hull = self._env.car.hull
        aim_x, aim_y = self._road[index] - tuple(hull.position)
        bearing = math.atan2(aim_y, aim_x) - hull.angle - math.pi / 2  # the car's nose points along its y axis
        return math.remainder(bearing, 2 * math.pi)


def _make_racing_expert(env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> Expert:
    return _Racer(env)


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
        packages=("Box2D",),
        action_names=("do nothing", "fire the left engine", "fire the main engine", "fire the right engine"),
    ),
    Task(
        name="lunar-lander-continuous",
        family="box2d",
        description="Land the craft softly on the pad between the flags by throttling its engines.",
        make=functools.partial(_make, "LunarLanderContinuous-v3"),
        make_expert=_make_lander_expert,
        max_episode_steps=1000,
        success=lambda episode_return, info: episode_return >= 200,
        success_source="Gymnasium's reward threshold of LunarLanderContinuous-v3",
        tags=frozenset({"continuous"}),
        packages=("Box2D",),
    ),
    Task(
        name="bipedal-walker",
        family="box2d",
        description="Walk the two-legged robot over gentle hills to the far end without falling.",
        make=functools.partial(_make_fresh, "BipedalWalker-v3"),
        make_expert=_make_walker_expert,
        expert_solves=False,
        max_episode_steps=1600,
        success=lambda episode_return, info: episode_return >= 300,
        success_source="Gymnasium's reward threshold of BipedalWalker-v3",
        tags=frozenset({"continuous"}),
        packages=("Box2D",),
    ),
    Task(
        name="bipedal-walker-hardcore",
        family="box2d",
        description="Walk the two-legged robot over stumps, pits and stairs to the far end without falling.",
        make=functools.partial(_make_fresh, "BipedalWalkerHardcore-v3"),
        max_episode_steps=2000,
        success=lambda episode_return, info: episode_return >= 300,
        success_source="Gymnasium's reward threshold of BipedalWalkerHardcore-v3",
        tags=frozenset({"continuous"}),
        packages=("Box2D",),
    ),
    Task(
        name="car-racing",
        family="box2d",
        description="Drive the race car once round the track, seen from above, as fast as possible.",
        make=_make_racer,
        make_expert=_make_racing_expert,
        max_episode_steps=1000,
        success=lambda episode_return, info: episode_return >= 900,
        success_source="Gymnasium's reward threshold of CarRacing-v3",
        tags=frozenset({"continuous", "pixels"}),
        packages=("Box2D", "pygame-ce"),
    ),
)
