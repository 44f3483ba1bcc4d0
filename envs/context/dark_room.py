"""A room with an invisible goal: only a demonstration can tell the agent where to go.

The observation is the agent's own cell and nothing else, so an agent that ends at the goal read it off its context.
"""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from ..task import Expert, Task
from .hidden_variant import succeeded

MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1), (0, 0))  # (row, column) step of each action
ACTION_NAMES = ("up", "down", "left", "right", "stay")
_STAY = 4

_TILE = 48  # pixels a cell
_FLOOR, _LINE, _TRAIL, _GOAL, _AGENT = (24, 28, 44), (44, 50, 74), (84, 98, 150), (255, 186, 73), (236, 240, 255)


class DarkRoom(gymnasium.Env[np.ndarray, np.int64]):
    """A square room of `size` x `size` cells, left after `horizon` steps.

    Reset option `goal` (row * size + column) chooses the goal cell, otherwise it is drawn; the start cell is always
    drawn. Reward 1 on the last step at the goal, else 0. Only the info of the last step tells anything: `success`, and
    `final_cell` in the goal's numbering.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 8}  # noqa: RUF012  (Gymnasium's own spelling)

    def __init__(self, size: int = 7, horizon: int | None = None, render_mode: str | None = None) -> None:
        self.size = size
        # The farthest cell is 2 * (size - 1) moves away; a few steps more show that the agent stays.
        self.horizon = 2 * size + 1 if horizon is None else horizon
        self.render_mode = render_mode
        self.observation_space = spaces.MultiDiscrete([size, size])
        self.action_space = spaces.Discrete(len(MOVES))
        self.goal = 0
        self._path: list[tuple[int, int]] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Draws the start cell; takes the goal from `options` where given.

        Raises:
            ValueError: an unknown option, or a goal outside the room.
        """
        super().reset(seed=seed)
        row, column = self.np_random.integers(self.size, size=2).tolist()
        drawn_goal = int(self.np_random.integers(self.size**2))
        options = options or {}
        if unknown := set(options) - {"goal"}:
            raise ValueError(f"unknown reset options {sorted(unknown)}, DarkRoom knows only 'goal'")
        self.goal = options.get("goal", drawn_goal)
        if not 0 <= self.goal < self.size**2:
            raise ValueError(f"goal is {self.goal}, expected a cell number in [0, {self.size**2})")
        self._path = [(row, column)]
        return self._observation(), {}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        row, column = self._path[-1]
        row_step, column_step = MOVES[int(action)]
        last = self.size - 1
        row, column = min(max(row + row_step, 0), last), min(max(column + column_step, 0), last)
        self._path.append((row, column))
        if len(self._path) <= self.horizon:
            return self._observation(), 0.0, False, False, {}
        cell = row * self.size + column
        success = cell == self.goal
        return self._observation(), float(success), False, True, {"success": success, "final_cell": cell}

    def render(self) -> np.ndarray | None:
        """The room for human eyes, (height, width, 3) uint8: goal as a lamp, agent as a disc with its trail."""
        if self.render_mode is None:
            return None
        rows, columns = np.mgrid[: self.size * _TILE, : self.size * _TILE]
        picture = np.empty((*rows.shape, 3))
        picture[:] = _FLOOR
        picture[(rows % _TILE == 0) | (columns % _TILE == 0)] = _LINE
        goal_row, goal_column = divmod(self.goal, self.size)
        glow = _distance(rows, columns, goal_row, goal_column) / (1.6 * _TILE)
        _paint(picture, _GOAL, 0.55 * np.clip(1 - glow, 0, 1) ** 2)
        _paint(picture, _GOAL, _disc(rows, columns, goal_row, goal_column, 0.36))
        for trail_row, trail_column in self._path[:-1]:
            _paint(picture, _TRAIL, _disc(rows, columns, trail_row, trail_column, 0.1))
        _paint(picture, _AGENT, _disc(rows, columns, *self._path[-1], 0.24))
        return picture.round().astype(np.uint8)

    def _observation(self) -> np.ndarray:
        return np.array(self._path[-1], dtype=np.int64)


def _distance(rows: np.ndarray, columns: np.ndarray, row: int, column: int) -> np.ndarray:
    """Pixels to the centre of a cell."""
    return np.hypot(rows - (row + 0.5) * _TILE + 0.5, columns - (column + 0.5) * _TILE + 0.5)


def _disc(rows: np.ndarray, columns: np.ndarray, row: int, column: int, radius: float) -> np.ndarray:
    """Coverage in [0, 1] of a disc with a soft edge; the radius is in cells."""
    return np.clip(radius * _TILE - _distance(rows, columns, row, column) + 0.5, 0, 1)


def _paint(picture: np.ndarray, color: tuple[int, int, int], coverage: np.ndarray) -> None:
    picture += coverage[..., None] * (np.array(color) - picture)


class _ShortestPathExpert:
    """Walks a random shortest path to the goal, then stays."""

    def __init__(self, room: DarkRoom, rng: np.random.Generator) -> None:
        self._room = room
        self._rng = rng

    def reset(self) -> None:
        """The goal is read at every step."""

    def act(self, observation: np.ndarray) -> int:
        row_gap, column_gap = np.array(divmod(self._room.goal, self._room.size)) - observation
        moves = []
        if row_gap:
            moves.append(1 if row_gap > 0 else 0)
        if column_gap:
            moves.append(3 if column_gap > 0 else 2)
        return moves[self._rng.integers(len(moves))] if moves else _STAY


def _make(render_mode: str | None = None) -> DarkRoom:
    return DarkRoom(render_mode=render_mode)


def _make_expert(env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> Expert:
    assert isinstance(env.unwrapped, DarkRoom)
    return _ShortestPathExpert(env.unwrapped, rng)


def _follows(variant: Mapping[str, Any], info: Mapping[str, Any]) -> bool:
    return variant["goal"] == info["final_cell"]


# Every fifth cell is held out: a lattice that touches each row and column, and leaves some of each for training.
_GOALS = range(49)
_HELD_OUT_GOALS = range(4, 49, 5)

TASKS: tuple[Task, ...] = (
    Task(
        name="dark-room",
        family="context",
        description="Walk to the invisible goal cell that the demonstration ends at, and stay there.",
        make=_make,
        make_expert=_make_expert,
        max_episode_steps=15,
        success=succeeded,
        success_source="by definition: the agent is at the goal on the last step",
        tags=frozenset({"discrete", "context"}),
        action_names=ACTION_NAMES,
        variants=tuple({"goal": goal} for goal in _GOALS if goal not in _HELD_OUT_GOALS),
        follows=_follows,
        held_out_variants=tuple({"goal": goal} for goal in _HELD_OUT_GOALS),
    ),
)
