"""Gymnasium-Robotics: the Fetch arm (Plappert et al., 2018), and a point mass and an ant in mazes (Fu et al., 2020).

All observations are dictionaries of what is seen, of the goal, and of what is achieved of it. The experts are
functions of the observation and, in a maze, of its map; the ant, which has to learn to walk, has none.
Source of the environments: https://robotics.farama.org
"""

import collections
import contextlib
import functools
import io
import os
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from .mujoco_rendering import headless_rendering
from .simulator import import_simulator
from .task import Expert, Task, reactive

_FAMILY = "robotics"
_FETCH_STEP = 0.05  # metres that the gripper is told to move for an action of 1
_OPEN, _CLOSE = 1.0, -1.0
_UP = np.array([0.0, 0.0, 1.0])
_HALF_BLOCK = 0.025  # metres, half a side of the block that Fetch handles


class SteadyPictures(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """A robot with a `render` that leaves the simulation as it was.

    These environments move the goal's marker, which may be a body of the simulation, and compute forces anew for a
    picture, from which MuJoCo's solver would start its next step: an episode that is looked at would differ from one
    that is not.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)

    def render(self) -> Any:
        mujoco = import_simulator("mujoco", "mujoco")
        model, data = self.env.unwrapped.model, self.env.unwrapped.data  # type: ignore[attr-defined]
        everything = mujoco.mjtState.mjSTATE_INTEGRATION  # that the next step starts from
        state = np.empty(mujoco.mj_stateSize(model, everything))
        mujoco.mj_getState(model, data, state, everything)
        picture = self.env.render()
        mujoco.mj_setState(model, data, state, everything)
        return picture


def make_robot(env_id: str, kwargs: Mapping[str, Any], render_mode: str | None) -> gymnasium.Env[Any, Any]:
    """An environment of Gymnasium-Robotics by its id, with the time limit of its registration.

    Raises:
        ImportError: Gymnasium-Robotics is not installed.
    """
    if render_mode is not None:
        headless_rendering()
    with contextlib.redirect_stderr(io.StringIO()):  # a notice about environments that are not here
        import_simulator("gymnasium_robotics", "robotics")  # registers the environments
    return gymnasium.make(env_id, render_mode=render_mode, disable_env_checker=True, **kwargs)


def _make_fetch(env_id: str, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    return SteadyPictures(make_robot(env_id, {}, render_mode))


def _make_maze(env_id: str, body: str, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    env = make_robot(env_id, {"continuing_task": False}, render_mode)
    os.remove(env.get_wrapper_attr("tmp_xml_file_path"))  # the loaded model, which would be left behind
    maze = env.get_wrapper_attr("maze")
    renderer = env.get_wrapper_attr(f"{body}_env").mujoco_renderer
    renderer.camera_id = -1  # from above, also where a camera follows the body
    renderer.default_cam_config = {
        "lookat": np.zeros(3),
        "distance": 1.4 * maze.maze_size_scaling * max(maze.map_length, maze.map_width),  # the whole maze is in it
        "azimuth": 90.0,
        "elevation": -90.0,
    }
    return env


def _towards(target: np.ndarray, gripper: np.ndarray, fingers: float) -> np.ndarray:
    """Moves the gripper straight to the target, slower as it comes near since the arm overshoots."""
    move = 0.6 * (target - gripper) / _FETCH_STEP
    return np.append(move / max(1.0, np.abs(move).max()), fingers).astype(np.float32)


def _reach(observation: dict[str, np.ndarray]) -> np.ndarray:
    return _towards(observation["desired_goal"], observation["achieved_goal"], 0.0)


def _pick_and_place(observation: dict[str, np.ndarray]) -> np.ndarray:
    """Comes down on the block with open fingers, closes them, and carries it to the goal."""
    gripper, block = observation["observation"][:3], observation["observation"][3:6]
    opening = observation["observation"][9:11].sum()
    aside = np.linalg.norm((block - gripper)[:2])
    above = gripper[2] - block[2]
    if aside < 0.02 and above < 0.03 and abs(opening - 2 * _HALF_BLOCK) < 0.006:
        return _towards(observation["desired_goal"] + gripper - block, gripper, _CLOSE)
    if aside < 0.02 and above < 0.015:
        return _towards(gripper, gripper, _CLOSE)
    if aside < (0.015 if above > 0.06 else 0.02):
        return _towards(block, gripper, _OPEN)
    return _towards(block + 0.08 * _UP, gripper, _OPEN)


def _push(observation: dict[str, np.ndarray]) -> np.ndarray:
    """Comes down behind the block as seen from the goal, and pushes it along the line between them."""
    gripper, block = observation["observation"][:3], observation["observation"][3:6]
    way = (observation["desired_goal"] - block) * (1, 1, 0)
    distance = float(np.linalg.norm(way))
    if distance < 0.015:
        return _towards(gripper, gripper, _CLOSE)
    direction = way / distance
    offset = (gripper - block) * (1, 1, 0)
    along = offset @ direction
    aside = np.linalg.norm(offset - along * direction)
    low = gripper[2] - block[2] < 0.03
    if low and along < -0.02 and aside < 0.02:
        # Aiming at a point of the line makes errors aside shrink while it pushes.
        ahead = min(distance, 0.08) - _HALF_BLOCK - 0.01
        return _towards(block + ahead * direction, gripper, _CLOSE)
    behind = block - direction * 0.09
    if np.linalg.norm((gripper - behind)[:2]) < 0.02:
        return _towards(behind, gripper, _CLOSE)
    over = behind + 0.08 * _UP
    if gripper[2] - block[2] < 0.06:
        over[:2] = gripper[:2]
    return _towards(over, gripper, _CLOSE)


Cell = tuple[int, int]  # row, column


class _MazeExpert:
    """Follows the shortest way through the cells, one straight stretch at a time, with a PD controller."""

    def __init__(self, env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> None:
        self._maze = env.get_wrapper_attr("maze")
        self._free = frozenset(
            (row, column)
            for row, cells in enumerate(self._maze.maze_map)
            for column, cell in enumerate(cells)
            if cell != 1
        )

    def reset(self) -> None:
        """Nothing is remembered between steps."""

    def act(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        position, velocity = observation["observation"][:2], observation["observation"][2:]
        target = self._target(self._cell(position), self._cell(observation["desired_goal"]))
        aim = observation["desired_goal"] if target is None else self._maze.cell_rowcol_to_xy(target)
        return np.clip(10 * (aim - position) - 3 * velocity, -1, 1).astype(np.float32)

    def _cell(self, position: np.ndarray) -> Cell:
        row, column = self._maze.cell_xy_to_rowcol(position)
        return int(row), int(column)

    def _target(self, start: Cell, goal: Cell) -> Cell | None:
        """The end of the straight stretch from `start` on the way, or None where the goal itself is to be aimed at."""
        steps = _steps_to(goal, self._free)
        if start not in steps:
            return None
        cell, stretch = start, None
        while cell != goal:
            onward = min(_neighbours(cell), key=lambda neighbour: steps.get(neighbour, len(steps)))
            turn = (onward[0] - cell[0], onward[1] - cell[1])
            if stretch is not None and turn != stretch:
                return cell
            cell, stretch = onward, turn
        return None


@functools.cache
def _steps_to(goal: Cell, free: frozenset[Cell]) -> dict[Cell, int]:
    """Number of steps to the goal from every free cell that leads there."""
    steps = {goal: 0}
    queue = collections.deque([goal])
    while queue:
        cell = queue.popleft()
        for neighbour in _neighbours(cell):
            if neighbour in free and neighbour not in steps:
                steps[neighbour] = steps[cell] + 1
                queue.append(neighbour)
    return steps


def _neighbours(cell: Cell) -> list[Cell]:
    row, column = cell
    return [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]


def _make_maze_expert(env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> Expert:
    return _MazeExpert(env, rng)


def _at_goal(episode_return: float, info: Mapping[str, Any]) -> bool:
    return bool(info.get("is_success", False))


def _reached(episode_return: float, info: Mapping[str, Any]) -> bool:
    return bool(info.get("success", False))


def _fetch(name: str, env_id: str, description: str, make_expert: Any) -> Task:
    return Task(
        name=name,
        family=_FAMILY,
        description=description,
        make=functools.partial(_make_fetch, env_id),
        make_expert=make_expert,
        max_episode_steps=50,
        success=_at_goal,
        success_source="Plappert et al. (2018): within 5 cm of the goal at the last step",
        tags=frozenset({"continuous"}),
        packages=("gymnasium-robotics", "mujoco"),
    )


def _maze(name: str, env_id: str, description: str, max_episode_steps: int) -> Task:
    return Task(
        name=name,
        family=_FAMILY,
        description=description,
        make=functools.partial(_make_maze, env_id, "point"),
        make_expert=_make_maze_expert,
        max_episode_steps=max_episode_steps,
        success=_reached,
        success_source="Gymnasium-Robotics: within 0.45 cells of the goal, which ends the episode",
        tags=frozenset({"continuous"}),
        packages=("gymnasium-robotics", "mujoco"),
    )


def _ant_maze(name: str, env_id: str, description: str, max_episode_steps: int) -> Task:
    return Task(
        name=name,
        family=_FAMILY,
        description=description,
        make=functools.partial(_make_maze, env_id, "ant"),
        max_episode_steps=max_episode_steps,
        success=_reached,
        success_source="Gymnasium-Robotics: within 45 cm of the goal, which ends the episode",
        tags=frozenset({"continuous"}),
        packages=("gymnasium-robotics", "mujoco"),
    )


TASKS: tuple[Task, ...] = (
    _fetch("fetch-reach", "FetchReach-v4", "Move the gripper to the goal.", reactive(_reach)),
    _fetch(
        "fetch-reach-dense", "FetchReachDense-v4", "Keep the gripper as near the goal as possible.", reactive(_reach)
    ),
    _fetch("fetch-push", "FetchPush-v4", "Push the block over the table to the goal.", reactive(_push)),
    _fetch(
        "fetch-push-dense",
        "FetchPushDense-v4",
        "Keep the block as near the goal as possible by pushing it.",
        reactive(_push),
    ),
    _fetch(
        "fetch-pick-and-place",
        "FetchPickAndPlace-v4",
        "Grasp the block and hold it at the goal, on the table or in the air.",
        reactive(_pick_and_place),
    ),
    _fetch(
        "fetch-pick-and-place-dense",
        "FetchPickAndPlaceDense-v4",
        "Grasp the block and keep it as near the goal as possible.",
        reactive(_pick_and_place),
    ),
    _fetch(
        "fetch-slide",
        "FetchSlide-v4",
        "Hit the puck so that it slides to the goal and stops there, out of the arm's reach.",
        None,
    ),
    _fetch(
        "fetch-slide-dense",
        "FetchSlideDense-v4",
        "Hit the puck so that it slides as near the goal as possible, out of the arm's reach.",
        None,
    ),
    _maze("point-maze-umaze", "PointMaze_UMaze-v3", "Push the ball through the U-shaped maze to the goal.", 300),
    _maze("point-maze-open", "PointMaze_Open-v3", "Push the ball through the empty room to the goal.", 300),
    _maze(
        "point-maze-open-diverse-g",
        "PointMaze_Open_Diverse_G-v3",
        "Push the ball from the corner of the empty room to the goal.",
        300,
    ),
    _maze("point-maze-medium", "PointMaze_Medium-v3", "Push the ball through the middle-sized maze to the goal.", 600),
    _maze(
        "point-maze-medium-diverse-g",
        "PointMaze_Medium_Diverse_G-v3",
        "Push the ball from the corner of the middle-sized maze to one of a few goals.",
        600,
    ),
    _maze(
        "point-maze-medium-diverse-gr",
        "PointMaze_Medium_Diverse_GR-v3",
        "Push the ball through the middle-sized maze between two of a few places.",
        600,
    ),
    _maze("point-maze-large", "PointMaze_Large-v3", "Push the ball through the large maze to the goal.", 800),
    _maze(
        "point-maze-large-diverse-g",
        "PointMaze_Large_Diverse_G-v3",
        "Push the ball from the corner of the large maze to one of a few goals.",
        800,
    ),
    _maze(
        "point-maze-large-diverse-gr",
        "PointMaze_Large_Diverse_GR-v3",
        "Push the ball through the large maze between two of a few places.",
        800,
    ),
    _ant_maze("ant-maze-umaze", "AntMaze_UMaze-v5", "Walk on four legs through the U-shaped maze to the goal.", 700),
    _ant_maze("ant-maze-open", "AntMaze_Open-v5", "Walk on four legs through the empty hall to the goal.", 700),
    _ant_maze(
        "ant-maze-open-diverse-g",
        "AntMaze_Open_Diverse_G-v5",
        "Walk on four legs from the corner of the empty hall to the goal.",
        700,
    ),
    _ant_maze(
        "ant-maze-medium", "AntMaze_Medium-v5", "Walk on four legs through the middle-sized maze to the goal.", 1000
    ),
    _ant_maze(
        "ant-maze-medium-diverse-g",
        "AntMaze_Medium_Diverse_G-v5",
        "Walk on four legs from the corner of the middle-sized maze to one of a few goals.",
        1000,
    ),
    _ant_maze(
        "ant-maze-medium-diverse-gr",
        "AntMaze_Medium_Diverse_GR-v5",
        "Walk on four legs through the middle-sized maze between two of a few places.",
        1000,
    ),
    _ant_maze("ant-maze-large", "AntMaze_Large-v5", "Walk on four legs through the large maze to the goal.", 1000),
    _ant_maze(
        "ant-maze-large-diverse-g",
        "AntMaze_Large_Diverse_G-v5",
        "Walk on four legs from the corner of the large maze to one of a few goals.",
        1000,
    ),
    _ant_maze(
        "ant-maze-large-diverse-gr",
        "AntMaze_Large_Diverse_GR-v5",
        "Walk on four legs through the large maze between two of a few places.",
        1000,
    ),
)
