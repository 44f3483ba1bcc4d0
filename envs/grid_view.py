"""MiniGrid's and BabyAI's observations, made faster: the agent's view as codes or as a picture, the mission as text.

The rules of sight and the codes are MiniGrid's own (`minigrid.minigrid_env`, `minigrid.core.grid`).
"""

import contextlib
import functools
import io
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from .names import kebab_case
from .simulator import import_simulator
from .task import Expert, Task
from .tiles import EMPTY, NUM_COLORS, NUM_OBJECTS, NUM_STATES, UNSEEN, assemble, cell_codes, tile_atlas

EXTRA = "minigrid"  # of this package; BabyAI is a part of MiniGrid
PACKAGES = ("minigrid",)
LEFT, RIGHT, FORWARD, PICK_UP, DROP, TOGGLE, DONE = range(7)
ACTION_NAMES = ("turn left", "turn right", "go forward", "pick up", "drop", "open", "done")
VIEWS = {"symbols": frozenset({"symbols"}), "pixels": frozenset({"pixels"}), "pixels-16": frozenset({"pixels"})}
_TILE_SIZES = {"symbols": None, "pixels": 8, "pixels-16": 16}
# BabyAI's grammar joins four clauses at most, each no longer than the first of these.
_MAX_MISSION_LENGTH = len(
    "put the yellow ball in front of you next to the yellow door in front of you"
    " and put the purple ball in front of you next to the purple door in front of you after you"
    " put the yellow ball in front of you next to the yellow door in front of you"
    " and put the purple ball in front of you next to the purple door in front of you"
)


class GridView(gymnasium.Wrapper[dict[str, Any], int, dict[str, Any], int], RecordConstructorArgs):
    """A MiniGrid world with storable observations: the mission as `spaces.Text`, the view as codes or as a picture.

    The codes, (columns, rows, 3) uint8, equal MiniGrid's; the picture, (height, width, 3) uint8, equals that of its
    `RGBImgPartialObsWrapper`. `last_action` is the action of the last step, None before the first.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], *, tile_size: int | None = None) -> None:
        """Takes over how `env` observes.

        Args:
            env: a MiniGrid environment, not wrapped in one of MiniGrid's observation wrappers.
            tile_size: side of a cell in the picture, in pixels; None shows codes.
        """
        RecordConstructorArgs.__init__(self, tile_size=tile_size)
        super().__init__(env)
        self.last_action: int | None = None
        self._tile_size = tile_size
        world: Any = env.unwrapped
        size = world.agent_view_size
        self._agent = (size - 1, size // 2)  # row and column in the picture
        highest_codes = np.broadcast_to(np.array([NUM_OBJECTS, NUM_COLORS, NUM_STATES]) - 1, (size, size, 3))
        self.observation_space = spaces.Dict(
            direction=spaces.Discrete(4),
            image=spaces.Box(np.zeros((size, size, 3), np.uint8), highest_codes.astype(np.uint8), dtype=np.uint8)
            if tile_size is None
            else spaces.Box(0, 255, (size * tile_size, size * tile_size, 3), np.uint8),
            mission=spaces.Text(_MAX_MISSION_LENGTH, charset=string.ascii_lowercase + " ,"),
        )
        # MiniGrid rotates copies of the grid cell by cell for each view, most of the time of a step.
        world.gen_obs_grid = functools.partial(_seen_grid, world)
        world.gen_obs = functools.partial(_observe, world)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        self.last_action = None
        with contextlib.redirect_stdout(io.StringIO()):  # MiniGrid prints every layout that it rejects
            _, info = self.env.reset(seed=seed, options=options)
        # Some levels put an object into the agent's hand after their own first observation.
        return self._convert(_observe(self.env.unwrapped)), info

    def step(self, action: int) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.last_action = int(action)
        return self._convert(observation), float(reward), terminated, truncated, info

    def _convert(self, observation: dict[str, Any]) -> dict[str, Any]:
        if self._tile_size is None:
            return observation
        codes = cell_codes(observation["image"]).T  # MiniGrid indexes by column, then row
        tiles = tile_atlas(self._tile_size, lit=True)[codes]
        tiles[self._agent] = tile_atlas(self._tile_size, lit=True, agent=True)[codes[self._agent]]
        return {**observation, "image": assemble(tiles)}


def make_grid(env_id: str, render_mode: str | None = None, view: str = "symbols") -> gymnasium.Env[Any, Any]:
    """A registered MiniGrid or BabyAI environment in one of `VIEWS`."""
    import_simulator("minigrid", EXTRA)  # registers the environments
    env = gymnasium.make(env_id, render_mode=render_mode, disable_env_checker=True)
    return GridView(env, tile_size=_TILE_SIZES[view])


def grid_tasks(
    make_expert: Callable[[gymnasium.Env[Any, Any], np.random.Generator], Expert],
    worlds: Sequence[tuple[str, int, str]],
    action_names: tuple[str, ...] = ACTION_NAMES,
    *,
    family: str,
    prefix: str,
    success_source: str,
    held_out: Sequence[str],
) -> tuple[Task, ...]:
    """The tasks of several worlds of one family with one kind of expert.

    Args:
        worlds: (id without the prefix, steps at most, description).
        prefix: of the ids, such as "BabyAI".
        success_source: who says that a reward is given for an accomplished mission only.
        held_out: ids of the worlds that are never trained on.
    """
    return tuple(
        Task(
            name=f"{family}-{kebab_case(world)}",
            family=family,
            description=description,
            make=functools.partial(make_grid, f"{prefix}-{world}"),
            make_expert=make_expert,
            max_episode_steps=max_episode_steps,
            success=_succeeded,
            success_source=success_source,
            tags=frozenset({"text", "discrete", "symbols"} | ({"held-out"} if world in held_out else set())),
            packages=PACKAGES,
            views=VIEWS,
            action_names=action_names,
        )
        for world, max_episode_steps, description in worlds
    )


def _succeeded(episode_return: float, info: Mapping[str, Any]) -> bool:
    return episode_return > 0


def _observe(world: Any) -> dict[str, Any]:
    """What `MiniGridEnv.gen_obs` returns."""
    cells, seen = _view(world, world.agent_view_size)
    codes = [
        (EMPTY if cell is None else cell.encode()) if visible else UNSEEN
        for cell, visible in zip(cells, seen, strict=True)
    ]
    size = world.agent_view_size
    image = np.array(codes, np.uint8).reshape(size, size, 3).transpose(1, 0, 2).copy()
    return {"image": image, "direction": world.agent_dir, "mission": world.mission}


def _seen_grid(world: Any, agent_view_size: int | None = None) -> tuple[Any, np.ndarray]:
    """What `MiniGridEnv.gen_obs_grid` returns: the view's grid and the mask of its visible cells."""
    size = agent_view_size or world.agent_view_size
    cells, seen = _view(world, size)
    view = type(world.grid)(size, size)
    view.grid = cells
    return view, np.array(seen).reshape(size, size).T


def _view(world: Any, size: int) -> tuple[list[Any], list[bool]]:
    """The cells of the agent's view by row, the nearest last, None where hidden; and which of them are visible."""
    grid = world.grid
    width, height, world_cells = grid.width, grid.height, grid.grid
    forward_x, forward_y = (int(step) for step in world.dir_vec)
    right_x, right_y = -forward_y, forward_x
    # World coordinates of the view's far left cell; rows come nearer, columns go right.
    left_x = int(world.agent_pos[0]) + forward_x * (size - 1) - right_x * (size // 2)
    left_y = int(world.agent_pos[1]) + forward_y * (size - 1) - right_y * (size // 2)
    outside = _wall()
    cells: list[Any] = []
    for row in range(size):
        x, y = left_x - forward_x * row, left_y - forward_y * row
        for _ in range(size):
            cells.append(world_cells[y * width + x] if 0 <= x < width and 0 <= y < height else outside)
            x, y = x + right_x, y + right_y
    agent_index = size * (size - 1) + size // 2
    seen = [True] * len(cells) if world.see_through_walls else _line_of_sight(cells, size, agent_index)
    cells = [cell if visible else None for cell, visible in zip(cells, seen, strict=True)]
    cells[agent_index] = world.carrying
    return cells, seen


def _line_of_sight(cells: list[Any], size: int, agent_index: int) -> list[bool]:
    """Spreads sight from the agent's cell, row by row away from it, through all that can be seen past."""
    clear = [cell is None or cell.see_behind() for cell in cells]
    seen = [False] * len(cells)
    seen[agent_index] = True
    for row in range(size - 1, -1, -1):
        start = row * size
        for step, columns in ((1, range(size - 1)), (-1, range(size - 1, 0, -1))):
            for index in range(start + columns.start, start + columns.stop, step):
                if seen[index] and clear[index]:
                    seen[index + step] = True
                    if row > 0:
                        seen[index - size] = seen[index - size + step] = True
    return seen


@functools.cache
def _wall() -> Any:
    return import_simulator("minigrid.core.world_object", EXTRA).Wall()
