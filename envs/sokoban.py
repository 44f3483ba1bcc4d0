"""Sokoban: push every box onto a target, on a new level each episode, with a solver as the expert.

Rules, rewards and time limit are those of Weber et al. (2017), "Imagination-augmented agents for deep reinforcement
learning"; levels, solver and tiles are our own.
"""

import functools
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from .sokoban_generator import draw_level
from .sokoban_solver import Board, Push, bits, solve, walk
from .task import Expert, Task

ACTION_NAMES = ("up", "down", "left", "right")
WALL, FLOOR, TARGET, BOX, BOX_ON_TARGET, PLAYER, PLAYER_ON_TARGET = range(7)  # symbols of the observation
TILE_SIZE = 8  # pixels along a side of a cell
MAX_EPISODE_STEPS = 120
_VIDEO_SCALE = 4
_LEAST_SIZE = 6  # the largest room and its walls
_STEP_REWARD, _BOX_REWARD, _SOLVED_REWARD = -0.1, 1.0, 10.0
_MAX_EXPANDED = 20_000  # states in one search, a second or two
_GREEDS = (1.2, 4.0)  # of the searches that the expert tries: nearly the shortest solution, then any


class Sokoban(gymnasium.Env[np.ndarray, np.int64]):
    """A square level drawn from the reset seed, seen as symbols or as a picture.

    A step costs a little; a box pushed onto a target earns one, pushed off it costs one; all on targets earn ten and
    end the episode.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 6}  # noqa: RUF012

    def __init__(self, *, size: int, num_boxes: int, pixels: bool = False, render_mode: str | None = None) -> None:
        """Draws nothing before the first reset.

        Args:
            size: cells along a side, outer walls included.
            num_boxes: of each level.
            pixels: observe (height, width, 3) uint8 with tiles of TILE_SIZE pixels, not (size, size) symbols.
            render_mode: "rgb_array" or None.

        Raises:
            ValueError: there is no room for rooms, or for the boxes.
        """
        if size < _LEAST_SIZE or not 1 <= num_boxes <= size // 2:
            raise ValueError(
                f"size is {size} and num_boxes {num_boxes}, expected a size of {_LEAST_SIZE} or more and "
                "from one box to half as many as the size"
            )
        self.render_mode = render_mode
        self._size, self._num_boxes, self._pixels = size, num_boxes, pixels
        side = size * TILE_SIZE
        self.observation_space = (
            spaces.Box(0, 255, (side, side, 3), np.uint8)
            if pixels
            else spaces.Box(WALL, PLAYER_ON_TARGET, (size, size), np.uint8)
        )
        self.action_space = spaces.Discrete(len(ACTION_NAMES))
        self.board = Board(size, 0, 0)
        self.boxes = 0  # mask
        self.player = 0  # bit index

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        level = draw_level(self.np_random, self._size, self._num_boxes, max_moves=MAX_EPISODE_STEPS)
        self.board, self.boxes, self.player = level.board, level.boxes, level.player
        return self._observation(), {"success": False}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        step = self.board.steps[int(action)]
        ahead, beyond = self.player + step, self.player + 2 * step
        free = self.board.floor & ~self.boxes
        on_target = (self.boxes & self.board.targets).bit_count()
        if self.boxes >> ahead & 1 and free >> beyond & 1:
            self.boxes ^= 1 << ahead ^ 1 << beyond
            self.player = ahead
        elif free >> ahead & 1:
            self.player = ahead
        solved = self.boxes == self.board.targets
        reward = _STEP_REWARD + _BOX_REWARD * ((self.boxes & self.board.targets).bit_count() - on_target)
        return self._observation(), reward + _SOLVED_REWARD * solved, solved, False, {"success": solved}

    def render(self) -> np.ndarray | None:
        """The level as (height, width, 3) uint8, or None without a render mode."""
        if self.render_mode is None:
            return None
        return draw(self.symbols()).repeat(_VIDEO_SCALE, axis=0).repeat(_VIDEO_SCALE, axis=1)

    def symbols(self) -> np.ndarray:
        """The level as (size, size) uint8."""
        cells = np.full(self._size**2, WALL, np.uint8)
        cells[list(bits(self.board.floor))] = FLOOR
        cells[list(bits(self.board.targets))] = TARGET
        cells[list(bits(self.boxes))] = BOX
        cells[list(bits(self.boxes & self.board.targets))] = BOX_ON_TARGET
        cells[self.player] = PLAYER_ON_TARGET if self.board.targets >> self.player & 1 else PLAYER
        return cells.reshape(self._size, self._size)

    def _observation(self) -> np.ndarray:
        return draw(self.symbols()) if self._pixels else self.symbols()


def draw(symbols: np.ndarray) -> np.ndarray:
    """(rows, columns) symbols as a picture, (rows * TILE_SIZE, columns * TILE_SIZE, 3) uint8."""
    rows, columns = symbols.shape
    return _tiles()[symbols].swapaxes(1, 2).reshape(rows * TILE_SIZE, columns * TILE_SIZE, 3)


@functools.cache
def _tiles() -> np.ndarray:
    """The picture of each symbol, (symbols, TILE_SIZE, TILE_SIZE, 3) uint8."""
    tiles = [[[_COLORS[letter] for letter in row] for row in _PICTURES[symbol].split()] for symbol in range(7)]
    return np.array(tiles, np.uint8)


_COLORS = {
    ".": (24, 26, 32),  # floor
    "m": (58, 60, 70),  # mortar
    "b": (122, 88, 78),  # brick
    "t": (214, 62, 70),  # target
    "d": (98, 66, 32),  # edge of a box
    "w": (206, 150, 74),  # wood
    "g": (46, 112, 62),  # edge of a box on its target
    "l": (124, 206, 112),  # wood there
    "s": (240, 204, 168),  # skin
    "p": (70, 130, 236),  # clothes
}
_PICTURES = {
    WALL: "mmmmmmmm bbbmbbbb bbbmbbbb mmmmmmmm bbbbbmbb bbbbbmbb mmmmmmmm bbbmbbbb",
    FLOOR: "........ ........ ........ ........ ........ ........ ........ ........",
    TARGET: "........ ........ ...tt... ..tttt.. ..tttt.. ...tt... ........ ........",
    BOX: "dddddddd ddwwwwdd dwdwwdwd dwwddwwd dwwddwwd dwdwwdwd ddwwwwdd dddddddd",
    BOX_ON_TARGET: "gggggggg ggllllgg glgllglg gllggllg gllggllg glgllglg ggllllgg gggggggg",
    PLAYER: "...ss... ..ssss.. ...ss... .pppppp. p.pppp.p ..pppp.. ..p..p.. .pp..pp.",
    PLAYER_ON_TARGET: "...ss... ..ssss.. ...ss... tpppppp. ptppppp. ttpppptt ttp..ptt tpp..ppt",
}


class _Solver:
    """Follows a plan of pushes, and makes a new one where the boxes stand otherwise than planned.

    Where there is no way to the goal any more, or none is found, it walks about until time is over, pushing nothing if
    it can.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self._env: Any = env.unwrapped  # a Sokoban
        self._pushes: list[Push] | None = []  # to come; None where nothing helps
        self._boxes = 0  # where they stand before the first of these pushes

    def reset(self) -> None:
        self._plan()

    def act(self, observation: np.ndarray) -> int:
        if self._pushes:
            self._follow(self._env.boxes)
        if self._pushes is not None:
            way = self._way()
            if way is None:
                self._plan()
                way = self._way()
            if way:
                return way[0]
        return self._harmless()

    def _plan(self) -> None:
        env = self._env
        self._boxes = env.boxes
        for greed in _GREEDS:
            self._pushes = solve(env.board, env.boxes, env.player, max_expanded=_MAX_EXPANDED, greed=greed)
            if self._pushes is not None:
                break

    def _follow(self, boxes: int) -> None:
        """Drops the first push of the plan once the boxes stand as it leaves them."""
        assert self._pushes
        step = self._env.board.steps[self._pushes[0].action]
        box = self._pushes[0].player + step
        pushed = self._boxes ^ 1 << box ^ 1 << box + step
        if boxes == pushed:
            self._boxes = boxes
            del self._pushes[0]

    def _way(self) -> list[int] | None:
        """Actions up to the next push and with it; None where the plan does not fit."""
        env = self._env
        if not self._pushes or env.boxes != self._boxes:
            return None
        way = walk(env.board, env.boxes, env.player, self._pushes[0].player)
        return None if way is None else [*way, self._pushes[0].action]

    def _harmless(self) -> int:
        env = self._env
        return next((a for a, step in enumerate(env.board.steps) if not env.boxes >> (env.player + step) & 1), 0)


def _make_expert(env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> Expert:
    return _Solver(env)


def _make(size: int, num_boxes: int, render_mode: str | None = None, view: str = "symbols") -> gymnasium.Env[Any, Any]:
    env = Sokoban(size=size, num_boxes=num_boxes, pixels=view == "pixels", render_mode=render_mode)
    return gymnasium.wrappers.TimeLimit(env, MAX_EPISODE_STEPS)


def _solved(episode_return: float, info: Mapping[str, Any]) -> bool:
    return bool(info.get("success", False))


def _task(size: int, num_boxes: int) -> Task:
    boxes = "the box onto its target" if num_boxes == 1 else f"all {num_boxes} boxes onto targets"
    return Task(
        name=f"sokoban-{size}x{size}-{num_boxes}",
        family="sokoban",
        description=f"Push {boxes} in a walled level of {size} by {size} cells; boxes cannot be pulled.",
        make=functools.partial(_make, size, num_boxes),
        make_expert=_make_expert,
        max_episode_steps=MAX_EPISODE_STEPS,
        success=_solved,
        success_source="Sokoban's rules: every box is on a target",
        tags=frozenset({"discrete", "symbols"}),
        views={"symbols": frozenset({"symbols"}), "pixels": frozenset({"pixels"})},
        action_names=ACTION_NAMES,
    )


TASKS: tuple[Task, ...] = (_task(7, 1), _task(8, 2), _task(10, 3), _task(10, 4))
