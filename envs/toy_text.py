"""Gymnasium's toy text grids: a new lake every episode, a taxi and a cliff, each solved by dynamic programming.

Source of the dynamics: https://gymnasium.farama.org
"""

import functools
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv, generate_random_map

from .simulator import import_simulator
from .task import Expert, ReactiveExpert, Task, reactive

LAKE_SIZE = 8
FROZEN, HOLE, GOAL = range(3)  # values of the map in the lake's observation
_LAKE_LETTERS = {"S": FROZEN, "F": FROZEN, "H": HOLE, "G": GOAL}
_LAKE_MOVES = ((0, -1), (1, 0), (0, 1), (-1, 0))  # (row, column) step of each action
_LAKE_HORIZON = 100
_SLIPPERY_LAKE_HORIZON = 200  # that of Gymnasium's own 8x8 lake
_CLIFF_HORIZON = 200  # Gymnasium sets none
# The return of a lake does not say when it comes. Tried on 40 maps: no factor near this one gets there more often
# within the time.
_LAKE_DISCOUNT = 0.995
_TOLERANCE, _MAX_SWEEPS = 1e-10, 10_000  # of value iteration

# Gymnasium's table of (probability, next state, reward, terminated), by state and action.
_Transitions = Mapping[int, Mapping[int, Sequence[tuple[float, int, float, bool]]]]


class RandomLake(gymnasium.Env[dict[str, Any], np.int64]):
    """FrozenLake on a new solvable map each episode, which the observation shows.

    On slippery ice two moves of three go to either side of where they should.
    """

    metadata = FrozenLakeEnv.metadata

    def __init__(self, render_mode: str | None = None, *, slippery: bool = False) -> None:
        self.render_mode = render_mode
        self._slippery = slippery
        self.observation_space = spaces.Dict(
            map=spaces.Box(FROZEN, GOAL, (LAKE_SIZE, LAKE_SIZE), np.uint8),
            position=spaces.MultiDiscrete([LAKE_SIZE, LAKE_SIZE]),
        )
        self.action_space = spaces.Discrete(4)
        self._lake: FrozenLakeEnv | None = None
        self._map = np.zeros((LAKE_SIZE, LAKE_SIZE), np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        super().reset(seed=seed)
        rows = generate_random_map(LAKE_SIZE, seed=int(self.np_random.integers(2**31)))
        self._map = np.array([[_LAKE_LETTERS[letter] for letter in row] for row in rows], np.uint8)
        self.close()
        self._lake = FrozenLakeEnv(desc=rows, is_slippery=self._slippery, render_mode=self.render_mode)
        position, _ = self._lake.reset(seed=int(self.np_random.integers(2**31)))
        return self._observation(position), {}

    def step(self, action: np.int64) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        assert self._lake is not None, "step before reset"
        position, reward, terminated, truncated, _ = self._lake.step(int(action))
        return self._observation(position), float(reward), terminated, truncated, {}

    def render(self) -> Any:
        return None if self._lake is None else self._lake.render()

    def close(self) -> None:
        if self._lake is not None:
            self._lake.close()

    def _observation(self, position: int) -> dict[str, np.ndarray]:
        return {"map": self._map.copy(), "position": np.array(divmod(position, LAKE_SIZE))}


def _cross_lake(observation: dict[str, np.ndarray]) -> int:
    """The first action that comes nearer to the goal; a function of map and position."""
    distances = _distances_to_goal(observation["map"].tobytes())
    row, column = observation["position"]
    nearer = [distances[row + row_step + 1, column + column_step + 1] for row_step, column_step in _LAKE_MOVES]
    return int(np.argmin(nearer))


@functools.lru_cache(maxsize=64)
def _distances_to_goal(lake: bytes) -> np.ndarray:
    """Moves to the goal from each cell of the map with a border of one cell, infinite where there is no way."""
    cells = np.pad(np.frombuffer(lake, np.uint8).reshape(LAKE_SIZE, LAKE_SIZE), 1, constant_values=HOLE)
    distances = np.full(cells.shape, np.inf)
    goals = [tuple(cell) for cell in np.argwhere(cells == GOAL).tolist()]
    for goal in goals:
        distances[goal] = 0
    queue = deque(goals)
    while queue:
        row, column = queue.popleft()
        for row_step, column_step in _LAKE_MOVES:
            neighbour = (row + row_step, column + column_step)
            if cells[neighbour] != HOLE and np.isinf(distances[neighbour]):
                distances[neighbour] = distances[row, column] + 1
                queue.append(neighbour)
    return distances


def _cross_slippery_lake(observation: dict[str, np.ndarray]) -> int:
    """The action that gets to the goal most often; a function of map and position."""
    row, column = observation["position"]
    return _slippery_actions(observation["map"].tobytes())[row * LAKE_SIZE + column]


@functools.lru_cache(maxsize=64)
def _slippery_actions(lake: bytes) -> list[int]:
    letters = [
        "".join("FHG"[cell] for cell in lake[start : start + LAKE_SIZE]) for start in range(0, len(lake), LAKE_SIZE)
    ]
    letters[0] = "S" + letters[0][1:]
    return _optimal_actions(FrozenLakeEnv(desc=letters, is_slippery=True).P, discount=_LAKE_DISCOUNT)


def _make_tabular_expert(env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> Expert:
    return ReactiveExpert(_optimal_actions(env.unwrapped.P).__getitem__)  # type: ignore[attr-defined]


def _optimal_actions(transitions: _Transitions, discount: float = 1.0) -> list[int]:
    """The action of highest expected return in each state, the first of equals, by value iteration.

    Args:
        transitions: the whole table; states and actions count from 0.
        discount: 1 only where going on costs in every state, or the values do not settle.
    """
    table = _padded(transitions)
    chances, next_states, rewards, continues = (
        table[..., 0],
        table[..., 1].astype(int),
        table[..., 2],
        1 - table[..., 3],
    )
    gains = (chances * rewards).sum(axis=-1)
    chances = discount * chances * continues
    values = np.zeros(len(table))
    for _ in range(_MAX_SWEEPS):
        returns = gains + (chances * values[next_states]).sum(axis=-1)
        change = np.abs(returns.max(axis=1) - values).max()
        values = returns.max(axis=1)
        if change < _TOLERANCE:
            break
    return returns.argmax(axis=1).tolist()


def _padded(transitions: _Transitions) -> np.ndarray:
    """(states, actions, outcomes, 4) float64; missing outcomes have probability 0."""
    num_outcomes = max(len(outcomes) for actions in transitions.values() for outcomes in actions.values())
    table = np.zeros((len(transitions), len(transitions[0]), num_outcomes, 4))
    for state, actions in transitions.items():
        for action, outcomes in actions.items():
            table[state, action, : len(outcomes)] = outcomes
    return table


def _make_lake(slippery: bool, max_episode_steps: int, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    if render_mode is not None:
        import_simulator("pygame", "classic")
    return gymnasium.wrappers.TimeLimit(RandomLake(render_mode, slippery=slippery), max_episode_steps)


def _make(env_id: str, max_episode_steps: int, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    if render_mode is not None:
        import_simulator("pygame", "classic")
    return gymnasium.make(
        env_id, max_episode_steps=max_episode_steps, render_mode=render_mode, disable_env_checker=True
    )


TASKS: tuple[Task, ...] = (
    Task(
        name="frozen-lake",
        family="toy_text",
        description="Cross the frozen lake on the map to the far corner without falling into a hole.",
        make=functools.partial(_make_lake, False, _LAKE_HORIZON),
        make_expert=reactive(_cross_lake),
        max_episode_steps=_LAKE_HORIZON,
        success=lambda episode_return, info: episode_return == 1,
        success_source="Gymnasium: the reward is given at the goal only",
        tags=frozenset({"discrete", "symbols"}),
        action_names=("left", "down", "right", "up"),
    ),
    Task(
        name="frozen-lake-slippery",
        family="toy_text",
        description="Cross the slippery lake on the map to the far corner, where most moves slide off to a side.",
        make=functools.partial(_make_lake, True, _SLIPPERY_LAKE_HORIZON),
        make_expert=reactive(_cross_slippery_lake),
        expert_solves=False,  # many maps take luck, too
        max_episode_steps=_SLIPPERY_LAKE_HORIZON,
        success=lambda episode_return, info: episode_return == 1,
        success_source="Gymnasium: the reward is given at the goal only; it calls its own 8x8 lake solved at 0.85",
        tags=frozenset({"discrete", "symbols"}),
        action_names=("left", "down", "right", "up"),
    ),
    Task(
        name="taxi",
        family="toy_text",
        description="Drive the taxi to the passenger, pick them up and drop them off where they want to go.",
        make=functools.partial(_make, "Taxi-v4", 200),
        make_expert=_make_tabular_expert,
        max_episode_steps=200,
        success=lambda episode_return, info: episode_return > 0,
        success_source="ours: the passenger arrives within 20 steps, without a wrong pick-up or drop-off",
        tags=frozenset({"discrete"}),
        action_names=("south", "north", "east", "west", "pick up", "drop off"),
    ),
    Task(
        name="cliff-walking",
        family="toy_text",
        description="Walk along the edge of the cliff to the goal without stepping off it.",
        make=functools.partial(_make, "CliffWalking-v1", _CLIFF_HORIZON),
        make_expert=_make_tabular_expert,
        max_episode_steps=_CLIFF_HORIZON,
        success=lambda episode_return, info: episode_return > -100,
        success_source="ours: the goal is reached without a fall",
        tags=frozenset({"discrete"}),
        action_names=("up", "right", "down", "left"),
    ),
    Task(
        name="cliff-walking-slippery",
        family="toy_text",
        description="Walk past the slippery cliff to the goal, keeping a distance from the edge.",
        make=functools.partial(_make, "CliffWalkingSlippery-v1", _CLIFF_HORIZON),
        make_expert=_make_tabular_expert,
        max_episode_steps=_CLIFF_HORIZON,
        success=lambda episode_return, info: episode_return > -_CLIFF_HORIZON,
        success_source="ours: the goal is reached, and it cost less than standing still would",
        tags=frozenset({"discrete"}),
        action_names=("up", "right", "down", "left"),
    ),
)
