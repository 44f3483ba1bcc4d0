"""A room of nine objects, one of which is asked for: only a demonstration can tell which.

The world is MiniGrid's (Chevalier-Boisvert et al., 2023) without its mission. Every room holds all kinds of objects,
each colour in each shape: so the start tells nothing, whatever was shown is there to be gone to, and neither the
colour nor the shape alone is enough to find it.
"""

import itertools
from collections import deque
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from ..grid_view import ACTION_NAMES, EXTRA, FORWARD, LEFT, PACKAGES, RIGHT
from ..simulator import import_simulator
from ..task import Expert, Task
from ..tiles import NUM_COLORS, NUM_OBJECTS, NUM_STATES
from .hidden_variant import HiddenVariant, succeeded

COLORS = ("red", "green", "blue")
SHAPES = ("ball", "box", "key")
HORIZON = 20  # steps at most; the farthest object takes eleven

# The objects stand apart from each other and from the walls, so that no way is ever blocked, and which way is best
# depends on nothing but where the asked object lies as the agent sees it.
_RASTER = (2, 4, 6)  # rows and columns of the objects, counted with the wall
_ROOM_SIZE = 9  # cells a side, with the wall
_KINDS = tuple(itertools.product(COLORS, SHAPES))
_PLACES = tuple(itertools.product(_RASTER, repeat=2))
_STREETS = tuple(cell for cell in itertools.product(range(2, 7), repeat=2) if cell not in _PLACES)  # of the start
_REACH = 5  # the largest offset of an object, in cells
_AGENT_CODE = (10, 0, 0)  # MiniGrid's object code of an agent
_NOTHING = {"color": "none", "shape": "none"}

VIEWS: Mapping[str, frozenset[str]] = {
    "offsets": frozenset(),
    "places": frozenset(),
    "symbols": frozenset({"symbols"}),
}
_FRAME_COLOR, _FRAME_WIDTH = (255, 255, 255), 2  # around the asked object in pictures


class ShownObject(HiddenVariant):
    """A room where the first object that the agent walks into ends the episode; reward 1 if it is the asked one.

    An object is walked into by going forward while it is straight ahead. The layout, new in every episode, is drawn
    from the seed. The last info has the `color` and the `shape` of the object that was walked into, both "none" where
    there was none. An expert of another variant never gets a reward, and uniform actions get it in one episode of
    twelve.

    Observations by view:
        offsets: (color, shape, place) of each object, 27 numbers, the nearest object first and among equals the one
            farther ahead. Colour and shape count in `COLORS` and `SHAPES`; `place_number` gives the place.
        places: the place of each object, 9 numbers, in a fixed order: `COLORS`, and within a colour `SHAPES`. A third
            of the length, but which object it is shows in the number's position alone: nothing says which kinds share
            a colour or a shape, so that held-out kinds cannot be expected to work.
        symbols: MiniGrid's codes of the room without its wall, (7, 7, 3) uint8 by row and column, turned so that the
            agent looks up.
    """

    option_names = ("color", "shape")

    def __init__(self, env: gymnasium.Env[Any, Any], variants: tuple[Mapping[str, Any], ...], view: str) -> None:
        """Furnishes the room of a MiniGrid environment; `view` is one of `VIEWS`."""
        super().__init__(env, variants)
        world: Any = env.unwrapped
        world.gen_obs = dict  # MiniGrid's own view, which costs most of a step, is not shown
        self._world = world
        self._observe = {"offsets": self._offsets, "places": self._places, "symbols": self._symbols}[view]
        self._reached = _NOTHING
        self.action_space = spaces.Discrete(FORWARD + 1)
        num_places = (2 * _REACH + 1) ** 2
        if view == "offsets":
            self.observation_space = spaces.MultiDiscrete([len(COLORS), len(SHAPES), num_places] * len(_KINDS))
        elif view == "places":
            self.observation_space = spaces.MultiDiscrete([num_places] * len(_KINDS))
        else:
            side = _ROOM_SIZE - 2
            highest = np.broadcast_to(np.array([NUM_OBJECTS, NUM_COLORS, NUM_STATES]) - 1, (side, side, 3))
            self.observation_space = spaces.Box(
                np.zeros_like(highest, np.uint8), highest.astype(np.uint8), dtype=np.uint8
            )

    def check(self, variant: Mapping[str, Any]) -> None:
        for name, known in (("color", COLORS), ("shape", SHAPES)):
            if variant[name] not in known:
                raise ValueError(f"{name} is {variant[name]!r}, expected one of {', '.join(known)}")

    def begin(self, seed: int | None) -> np.ndarray:
        world = self._world
        self.env.reset(seed=seed)
        self._reached = _NOTHING
        objects = import_simulator("minigrid.core.world_object", EXTRA)
        make = {"ball": objects.Ball, "box": objects.Box, "key": objects.Key}
        world.grid = type(world.grid)(_ROOM_SIZE, _ROOM_SIZE)
        world.grid.wall_rect(0, 0, _ROOM_SIZE, _ROOM_SIZE)
        for place, kind_index in zip(_PLACES, world.np_random.permutation(len(_KINDS)), strict=True):
            color, shape = _KINDS[kind_index]
            world.grid.set(*place, make[shape](color))
        world.agent_pos = _STREETS[int(world.np_random.integers(len(_STREETS)))]
        world.agent_dir = int(world.np_random.integers(4))
        return self._observe()

    def advance(self, action: Any) -> tuple[np.ndarray, float, bool, bool]:
        ahead = self._world.grid.get(*self._world.front_pos)
        *_, truncated, _ = self.env.step(action)
        if action != FORWARD or ahead is None or ahead.type not in SHAPES:
            return self._observe(), 0.0, False, truncated
        self._reached = {"color": ahead.color, "shape": ahead.type}
        return self._observe(), float(_follows(self.variant, self._reached)), True, False

    def outcome(self) -> dict[str, Any]:
        return {"success": _follows(self.variant, self._reached), **self._reached}

    def render(self) -> Any:
        """The room from above, (height, width, 3) uint8, with a frame around the asked object."""
        if self.render_mode is None:
            return None
        tile_size = self._world.tile_size
        picture = self._world.get_frame(highlight=False, tile_size=tile_size)
        x, y = next(place for place in _PLACES if _is_kind(self._world.grid.get(*place), self.variant))
        tile = picture[y * tile_size : (y + 1) * tile_size, x * tile_size : (x + 1) * tile_size]
        for edge in (tile[:_FRAME_WIDTH], tile[-_FRAME_WIDTH:], tile[:, :_FRAME_WIDTH], tile[:, -_FRAME_WIDTH:]):
            edge[:] = _FRAME_COLOR
        return picture

    def _seen(self) -> list[tuple[tuple[int, int], int, int]]:
        """((color, shape), forward, right) of each object; the last two in cells from the agent, as it faces."""
        x, y = self._world.agent_pos
        forward_x, forward_y = (int(step) for step in self._world.dir_vec)
        seen = []
        for place_x, place_y in _PLACES:
            thing = self._world.grid.get(place_x, place_y)
            forward = (place_x - x) * forward_x + (place_y - y) * forward_y
            right = (place_y - y) * forward_x - (place_x - x) * forward_y
            seen.append(((COLORS.index(thing.color), SHAPES.index(thing.type)), forward, right))
        return seen

    def _offsets(self) -> np.ndarray:
        nearest_first = sorted(
            (abs(forward) + abs(right), -forward, right, kind) for kind, forward, right in self._seen()
        )
        return np.array(
            [number for _, back, right, kind in nearest_first for number in (*kind, place_number(-back, right))],
            dtype=np.int64,
        )

    def _places(self) -> np.ndarray:
        return np.array([place_number(forward, right) for _, forward, right in sorted(self._seen())], dtype=np.int64)

    def _symbols(self) -> np.ndarray:
        codes = self._world.grid.encode()  # by column, then row
        codes[tuple(self._world.agent_pos)] = _AGENT_CODE
        by_row = codes[1:-1, 1:-1].swapaxes(0, 1)
        return np.rot90(by_row, self._world.agent_dir + 1).copy()  # MiniGrid counts clockwise, from right


def place_number(forward: int, right: int) -> int:
    """One number for an object's offset from the agent, both in cells in [-5, 5]; negative means behind and left."""
    return (forward + _REACH) * (2 * _REACH + 1) + right + _REACH


def _is_kind(thing: Any, variant: Mapping[str, Any]) -> bool:
    return thing is not None and (thing.color, thing.type) == (variant["color"], variant["shape"])


class _ShortestPathExpert:
    """Takes a shortest way to the asked object; among several the one that goes forward, then left, first.

    Ties are decided by what the agent sees rather than by points of the compass, as the shared planner's are: the same
    observation always gets the same action.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self._env = env

    def reset(self) -> None:
        """The way is searched for at every step."""

    def act(self, observation: np.ndarray) -> int:
        world: Any = self._env.unwrapped
        asked = self._env.get_wrapper_attr("variant")
        start = (int(world.agent_pos[0]), int(world.agent_pos[1]), int(world.agent_dir))
        queue: deque[tuple[tuple[int, int, int], int]] = deque([(start, FORWARD)])
        visited = {start}
        while True:  # no way is ever blocked
            (x, y, direction), first_action = queue.popleft()
            ahead_x, ahead_y = x + (1, 0, -1, 0)[direction], y + (0, 1, 0, -1)[direction]
            ahead = world.grid.get(ahead_x, ahead_y)
            if _is_kind(ahead, asked):
                return first_action
            ways = [(LEFT, (x, y, (direction - 1) % 4)), (RIGHT, (x, y, (direction + 1) % 4))]
            if ahead is None:
                ways.insert(0, (FORWARD, (ahead_x, ahead_y, direction)))
            for action, pose in ways:
                if pose not in visited:
                    visited.add(pose)
                    queue.append((pose, action if (x, y, direction) == start else first_action))


def _make(render_mode: str | None = None, view: str = "offsets") -> ShownObject:
    empty_room = import_simulator("minigrid.envs.empty", EXTRA).EmptyEnv
    return ShownObject(empty_room(size=_ROOM_SIZE, max_steps=HORIZON, render_mode=render_mode), _TRAINED, view)


def _make_expert(env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> Expert:
    return _ShortestPathExpert(env)


def _follows(variant: Mapping[str, Any], info: Mapping[str, Any]) -> bool:
    return all(info[name] == value for name, value in variant.items())


# One of each colour and of each shape: the other two of each are trained.
_HELD_OUT = tuple({"color": color, "shape": shape} for color, shape in zip(COLORS, SHAPES, strict=True))
_VARIANTS = tuple({"color": color, "shape": shape} for color, shape in _KINDS)
_TRAINED = tuple(variant for variant in _VARIANTS if variant not in _HELD_OUT)

TASKS: tuple[Task, ...] = (
    Task(
        name="go-to-shown",
        family="context",
        description="Walk into the one of nine objects that has the colour and the shape of the demonstration's.",
        make=_make,
        make_expert=_make_expert,
        max_episode_steps=HORIZON,
        success=succeeded,
        success_source="by definition: the first object that the agent walks into is the asked one",
        tags=frozenset({"discrete", "context"}),
        packages=PACKAGES,
        views=VIEWS,
        action_names=ACTION_NAMES[: FORWARD + 1],
        variants=_TRAINED,
        follows=_follows,
        held_out_variants=_HELD_OUT,
    ),
)
