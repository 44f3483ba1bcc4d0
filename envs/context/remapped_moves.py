"""Four actions that mean other directions in each variant: only a demonstration can tell which.

The world has no edges and shows only where the next goal lies, so the start tells nothing of the mapping.
"""

import itertools
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from ..task import Expert, Task
from .hidden_variant import HiddenVariant, succeeded

DIRECTIONS: Mapping[str, tuple[int, int]] = {"u": (-1, 0), "d": (1, 0), "l": (0, -1), "r": (0, 1)}  # (row, column)
NUM_GOALS = 8  # two moves each, if all are right
HORIZON = 2 * NUM_GOALS
NUM_JUDGED = 4  # moves; later ones can be right because the agent saw what its own did

_REACH = 2  # the largest row or column gap to the goal
_SIDE = 2 * _REACH + 1
_DIAGONALS = tuple(itertools.product((-1, 1), repeat=2))

_TILE, _MARGIN = 48, 8  # pixels a cell
_FLOOR, _LINE, _GOAL, _AGENT, _DIGIT = (24, 28, 44), (44, 50, 74), (255, 186, 73), (236, 240, 255), (150, 166, 220)
_DIGITS = ("111101101101111", "010110010010111", "111001111100111", "111001111001111")  # 0 to 3, five rows of three
_DIGIT_SCALE = 4  # pixels


class GoalChase(gymnasium.Env[np.ndarray, np.int64]):
    """Goals to reach one after the other on a square without edges: who leaves on one side enters on the other.

    The observation is the (row, column) gap to the goal, each counted from 0 for the farthest up or left. A goal that
    is reached gives an equal share of 1 and shows the next at once. Goals lie one diagonal step away, every second one
    opposite to the one before: four moves along a shortest way go once in each direction. They are drawn at the start.
    Actions count in `DIRECTIONS`.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 8}  # noqa: RUF012  (Gymnasium's own spelling)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.observation_space = spaces.MultiDiscrete([_SIDE, _SIDE])
        self.action_space = spaces.Discrete(len(DIRECTIONS))
        self.gap = (0, 0)  # rows and columns to the goal, negative up and left
        self._goals: list[tuple[int, int]] = []
        self._num_steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        drawn = [_DIAGONALS[index] for index in self.np_random.integers(len(_DIAGONALS), size=NUM_GOALS // 2)]
        self._goals = [goal for row, column in drawn for goal in ((row, column), (-row, -column))]
        self.gap = self._goals.pop(0)
        self._num_steps = 0
        return self._observation(), {}

    def step(self, action: np.int64 | int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.gap = _gap_after(self.gap, tuple(DIRECTIONS)[action])
        self._num_steps += 1
        over = self._num_steps == HORIZON
        reached = self.gap == (0, 0)
        if reached and self._goals:
            self.gap = self._goals.pop(0)
        return self._observation(), reached / NUM_GOALS, False, over, {}

    def _observation(self) -> np.ndarray:
        return np.array(self.gap, dtype=np.int64) + _REACH


def nearer(gap: tuple[int, int]) -> str:
    """The directions that shorten a gap, such as "ul"."""
    return "".join(direction for direction in DIRECTIONS if _length(_gap_after(gap, direction)) < _length(gap))


def _gap_after(gap: tuple[int, int], direction: str) -> tuple[int, int]:
    """The gap that is left after a step, the way round the edge where that is shorter."""
    row, column = ((old - step + _REACH) % _SIDE - _REACH for old, step in zip(gap, DIRECTIONS[direction], strict=True))
    return row, column


def _length(gap: tuple[int, int]) -> int:
    return abs(gap[0]) + abs(gap[1])


class RemappedMoves(HiddenVariant):
    """A chase of goals by actions that are permuted.

    Reset option `moves` gives the directions of the four actions, in order: under "rdlu" action 0 goes right and
    action 3 up. The return is the share of the goals that can be reached at all: 1 for the expert, hardly above 0 for
    an expert of another variant, which is below what uniform actions get.

    What an agent does not know at first it can read off what its own moves did, so only the first four moves are
    judged: an episode follows a variant if each of them would have led nearer to the goal had the actions meant what
    that variant says. The last info has, in `first_moves`, each of these with the directions that led nearer, such as
    "2ul 0u 1dr 3r".
    """

    option_names = ("moves",)

    def __init__(self, chase: GoalChase, variants: tuple[Mapping[str, Any], ...]) -> None:
        super().__init__(chase, variants)
        self.chase = chase
        self.action_space = spaces.Discrete(len(DIRECTIONS))
        self._first_moves: list[str] = []

    def check(self, variant: Mapping[str, Any]) -> None:
        if not isinstance(variant["moves"], str) or sorted(variant["moves"]) != sorted(DIRECTIONS):
            raise ValueError(
                f"moves is {variant['moves']!r}, expected each of the letters {''.join(DIRECTIONS)!r} once"
            )

    def begin(self, seed: int | None) -> np.ndarray:
        self._first_moves = []
        return self.chase.reset(seed=seed)[0]

    def advance(self, action: Any) -> tuple[np.ndarray, float, bool, bool]:
        if len(self._first_moves) < NUM_JUDGED:
            self._first_moves.append(f"{action}{nearer(self.chase.gap)}")
        return self.chase.step(tuple(DIRECTIONS).index(self.variant["moves"][action]))[:4]

    def outcome(self) -> dict[str, Any]:
        judged = {"first_moves": " ".join(self._first_moves)}
        return {"success": _follows(self.variant, judged), **judged}

    def render(self) -> Any:
        """The surroundings of the agent in the middle, (height, width, 3) uint8: the goal, and each action's way."""
        if self.render_mode is None:
            return None
        rows, columns = np.mgrid[: _SIDE * _TILE, : _SIDE * _TILE] % _TILE
        picture = np.full((*rows.shape, 3), _FLOOR, np.uint8)
        picture[(rows == 0) | (columns == 0)] = _LINE
        for gap, color in ((self.chase.gap, _GOAL), ((0, 0), _AGENT)):
            _cell(picture, gap)[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN] = color
        for action, direction in enumerate(self.variant["moves"]):
            pixels = np.array([pixel == "1" for pixel in _DIGITS[action]]).reshape(5, 3)
            digit = pixels.repeat(_DIGIT_SCALE, 0).repeat(_DIGIT_SCALE, 1)
            top, left = ((_TILE - size) // 2 for size in digit.shape)
            cell = _cell(picture, DIRECTIONS[direction])
            cell[top : top + digit.shape[0], left : left + digit.shape[1]][digit] = _DIGIT
        return picture


def _cell(picture: np.ndarray, gap: tuple[int, int]) -> np.ndarray:
    """The part of the picture that shows the cell so far from the agent."""
    top, left = ((steps + _REACH) * _TILE for steps in gap)
    return picture[top : top + _TILE, left : left + _TILE]


class _ShortestPathExpert:
    """Goes a random one of the ways that lead nearer, by the action that has this meaning."""

    def __init__(self, env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> None:
        assert isinstance(env.unwrapped, GoalChase)
        self._env = env
        self._chase = env.unwrapped
        self._rng = rng

    def reset(self) -> None:
        """The goal and the mapping are read at every step."""

    def act(self, observation: np.ndarray) -> int:
        ways = nearer(self._chase.gap)
        return self._env.get_wrapper_attr("variant")["moves"].index(ways[self._rng.integers(len(ways))])


def _make(render_mode: str | None = None) -> RemappedMoves:
    return RemappedMoves(GoalChase(render_mode=render_mode), _TRAINED)


def _make_expert(env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> Expert:
    return _ShortestPathExpert(env, rng)


def _follows(variant: Mapping[str, Any], info: Mapping[str, Any]) -> bool:
    return all(variant["moves"][int(move[0])] in move[1:] for move in info["first_moves"].split())


# Every fourth of the permutations is held out; each action keeps every meaning in three or more of the others.
_VARIANTS = tuple({"moves": "".join(order)} for order in itertools.permutations(DIRECTIONS))
_HELD_OUT = _VARIANTS[::4]
_TRAINED = tuple(variant for variant in _VARIANTS if variant not in _HELD_OUT)

TASKS: tuple[Task, ...] = (
    Task(
        name="remapped-moves",
        family="context",
        description="Walk to one goal after the other by four actions whose directions only the demonstration tells.",
        make=_make,
        make_expert=_make_expert,
        max_episode_steps=HORIZON,
        success=succeeded,
        success_source="by definition: each of the first four moves leads nearer to the goal",
        tags=frozenset({"discrete", "context"}),
        variants=_TRAINED,
        follows=_follows,
        held_out_variants=_HELD_OUT,
    ),
)
