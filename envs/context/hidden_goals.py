"""Places to reach that nothing shows: an arm, a gripper and a ball have to end where the demonstration ended.

The simulators are Gymnasium's Reacher-v5, and FetchReach (Plappert et al., 2018) and PointMaze (Fu et al., 2020) of
Gymnasium-Robotics, with all that tells the goal taken out of their observations.
"""

import functools
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

from .. import mujoco, robotics
from ..task import Expert, Task
from .hidden_variant import HiddenVariant, succeeded

Variants = tuple[Mapping[str, Any], ...]

_SEED = 0  # of the draw of goals, which are the same for everyone
_SPACING = 2.05  # tolerances at least from goal to goal: above 2, no place is within the tolerance of two goals
_BASES = {task.name: task for task in (*mujoco.TASKS, *robotics.TASKS)}


@dataclass(frozen=True, kw_only=True)
class _Region:
    """Where the goals of a task may lie."""

    description: str
    half_widths: tuple[float, ...]  # metres; of the box around the origin that holds all of them
    reachable: Callable[[np.ndarray], bool] = lambda goal: True  # of the goals in that box
    held_out: Callable[[np.ndarray], bool]  # whether a goal lies in the part that is never trained

    def holds(self, goal: Any) -> bool:
        """Whether it is a goal: numbers, as many as there are dimensions, that can be reached."""
        if not isinstance(goal, list | tuple) or len(goal) != len(self.half_widths):
            return False
        if not all(isinstance(number, int | float) for number in goal):
            return False
        return bool((np.abs(goal) <= self.half_widths).all()) and self.reachable(np.array(goal))

    def spread(self, spacing: float, num_trained: int, num_held_out: int) -> tuple[Variants, Variants]:
        """Trained and held-out variants, drawn once and for all, with their goals more than `spacing` metres apart."""
        rng = np.random.default_rng(_SEED)
        wanted = {False: num_trained, True: num_held_out}
        goals: dict[bool, list[np.ndarray]] = {False: [], True: []}
        while any(len(goals[group]) < wanted[group] for group in goals):
            goal = rng.uniform(np.negative(self.half_widths), self.half_widths).round(3)
            group = self.held_out(goal)
            clear = all(np.linalg.norm(goal - other) > spacing for other in (*goals[False], *goals[True]))
            if clear and self.reachable(goal) and len(goals[group]) < wanted[group]:
                goals[group].append(goal)
        # Lists, since JSON, as which options are stored, knows no tuples.
        trained, held_out = (tuple({"goal": goal.tolist()} for goal in goals[group]) for group in (False, True))
        return trained, held_out


def _in_ring(goal: np.ndarray) -> bool:
    """Neither so near the shoulder that the elbow is at its limit, nor so far that the arm is nearly straight."""
    return 0.05 <= math.hypot(*goal) <= 0.2


def _in_corridor(position: np.ndarray) -> bool:
    """In the U from the upper left by the right to the lower left, clear of its walls by twice the ball's radius."""
    return bool(position[0] >= 0.7 or abs(position[1]) >= 0.7)


# Each held-out part has trained goals on both sides.
_RING = _Region(
    description="metres from the shoulder, 0.05 to 0.2 away from it",
    half_widths=(0.2, 0.2),
    reachable=_in_ring,
    held_out=lambda goal: bool(abs(goal[0]) < math.sin(math.radians(18)) * math.hypot(*goal)),  # 36° on both sides
)
_AIR = _Region(
    description="metres from where Fetch begins, within 0.15 in x and y and 0.12 in z",
    half_widths=(0.15, 0.15, 0.12),  # FetchReach's, but above the table
    held_out=lambda goal: bool(abs(goal[1]) < 0.03),
)
_CORRIDOR = _Region(
    description="metres from the middle of the maze, in its corridor and within 0.3 of its middle line",
    half_widths=(1.3, 1.3),
    reachable=_in_corridor,
    held_out=lambda goal: bool(goal[0] >= 0.7 and abs(goal[1]) < 0.5),  # halfway between its ends
)


class HiddenGoal(HiddenVariant):
    """A simulator that asks for the place at reset option `goal`, in metres, and does not show it.

    Only the end counts: reward 1 on the last step within `tolerance` of the goal, else 0. So the return is 1 for who
    goes there and 0 for who goes to any other goal of the task. Nothing terminates. The last info also has
    `final_position`, in the goal's coordinates.
    """

    option_names: ClassVar[tuple[str, ...]] = ("goal",)
    base: ClassVar[str]  # the task whose simulator it is
    region: ClassVar[_Region]
    tolerance: ClassVar[float]  # metres
    horizon: ClassVar[int]  # steps
    num_observed: ClassVar[int]
    trained: ClassVar[Variants]
    held_out: ClassVar[Variants]
    action_repeat: ClassVar[int] = 1  # steps of the simulator for one of the agent

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__(_BASES[self.base].make(render_mode=render_mode), self.trained)
        self.observation_space = spaces.Box(-np.inf, np.inf, (self.num_observed,), np.float32)
        fps = self.env.metadata["render_fps"]
        self.metadata = {**self.env.metadata, "render_fps": round(fps / self.action_repeat)}
        self._world: Any = self.env.unwrapped  # Any: each simulator has attributes of its own
        self._num_steps = 0

    @abstractmethod
    def place_goal(self, goal: np.ndarray) -> None:
        """Puts the goal where the simulator draws it, once the episode has been set up."""

    @abstractmethod
    def position(self) -> np.ndarray:
        """Of what has to reach the goal, in the goal's coordinates."""

    @abstractmethod
    def observe(self) -> np.ndarray:
        """What the agent sees: nothing of the goal."""

    def scatter(self) -> None:
        """Makes starts differ more than in the simulator, by its own generator."""

    def check(self, variant: Mapping[str, Any]) -> None:
        if not self.region.holds(variant["goal"]):
            numbers = len(self.region.half_widths)
            raise ValueError(f"goal is {variant['goal']!r}, expected {numbers} numbers: {self.region.description}")

    def begin(self, seed: int | None) -> np.ndarray:
        # Without options, so that the simulator draws a goal of its own, the same for all variants, before the start.
        self.env.reset(seed=seed)
        self._num_steps = 0
        self.scatter()
        self.place_goal(np.array(self.variant["goal"], dtype=float))
        return self.observe().astype(np.float32)

    def advance(self, action: Any) -> tuple[np.ndarray, float, bool, bool]:
        for _ in range(self.action_repeat):
            self.env.step(action)
        self._num_steps += 1
        over = self._num_steps >= self.horizon
        reward = float(over and self.outcome()["success"])
        return self.observe().astype(np.float32), reward, False, over

    def outcome(self) -> dict[str, Any]:
        final_position = tuple(self.position().tolist())
        success = math.dist(final_position, self.variant["goal"]) <= self.tolerance
        return {"success": success, "final_position": final_position}


class ReacherShown(HiddenGoal):
    """Reacher's two-link arm. Observation: cosines and sines of shoulder and elbow, and their velocities in rad/s.

    Starts have ten times Reacher's spread: each joint within a radian of the straight arm. So a demonstration's
    actions do not fit another episode.
    """

    base = "mujoco-reacher"
    region = _RING
    tolerance = 0.02
    trained, held_out = region.spread(_SPACING * tolerance, 40, 8)
    horizon = 30
    num_observed = 6

    def scatter(self) -> None:
        positions = self._world.data.qpos.copy()
        positions[:2] *= 10
        self._world.set_state(positions, self._world.data.qvel.copy())

    def place_goal(self, goal: np.ndarray) -> None:
        positions = self._world.data.qpos.copy()
        positions[2:] = goal
        self._world.set_state(positions, self._world.data.qvel.copy())

    def position(self) -> np.ndarray:
        return np.array(self._world.get_body_com("fingertip")[:2])

    def observe(self) -> np.ndarray:
        angles = self._world.data.qpos[:2]
        return np.concatenate([np.cos(angles), np.sin(angles), self._world.data.qvel[:2]])


class FetchReachShown(HiddenGoal):
    """Fetch's gripper. Observation: metres (x, y, z) from where Fetch begins, as for the goal.

    An episode starts after the gripper went towards a place drawn in the inner two thirds of the goals' box, since
    Fetch's own start is always the same.
    """

    base = "fetch-reach"
    region = _AIR
    tolerance = 0.03  # FetchReach's 0.05 would leave room for few goals
    trained, held_out = region.spread(_SPACING * tolerance, 40, 10)
    horizon = 20
    num_observed = 3

    def scatter(self) -> None:
        start = 2 / 3 * self._world.np_random.uniform(np.negative(self.region.half_widths), self.region.half_widths)
        for _ in range(10):
            self.env.step(_move_gripper(self.position(), start))

    def place_goal(self, goal: np.ndarray) -> None:
        self._world.goal = self._world.initial_gripper_xpos + goal

    def position(self) -> np.ndarray:
        return self._world.data.site("robot0:grip").xpos - self._world.initial_gripper_xpos

    def observe(self) -> np.ndarray:
        return self.position()


class PointMazeShown(HiddenGoal):
    """PointMaze's ball in the U-shaped maze, where the way to a goal may begin by leading away from it.

    Observation: position in metres from the middle of the maze, as for the goal, and velocity in m/s. An action holds
    for several steps of PointMaze, whose own are too short to tell much.
    """

    base = "point-maze-umaze"
    region = _CORRIDOR
    tolerance = 0.12  # PointMaze's 0.45 would leave room for few goals
    trained, held_out = region.spread(_SPACING * tolerance, 40, 8)
    horizon = 40
    num_observed = 4
    action_repeat = 5

    def place_goal(self, goal: np.ndarray) -> None:
        self._world.goal = goal
        self._world.update_target_site_pos()
        # What MuJoCo draws follows the model at the next step only, and the first picture comes before it.
        target = self._world.target_site_id
        self._world.data.site_xpos[target] = self._world.model.site_pos[target]

    def position(self) -> np.ndarray:
        return self._world.data.qpos.copy()

    def observe(self) -> np.ndarray:
        return np.concatenate([self._world.data.qpos, self._world.data.qvel])


# Experts: functions of (observation, goal), of which the goal is what the agent lacks.


def _bend_arm(observation: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Turns both joints to the pose with the elbow bent counterclockwise, so that one goal means one pose."""
    angles = np.arctan2(observation[2:4], observation[:2])
    shoulder, elbow = mujoco.two_link_poses(*mujoco.LINKS, *goal)[0]
    gap = np.array([math.remainder(shoulder - angles[0], math.tau), elbow - angles[1]])
    return np.clip(1.1 * gap - 0.15 * observation[4:], -1, 1).astype(np.float32)


def _move_gripper(observation: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Straight to the goal, slower as it comes near since the arm overshoots; the fingers are blocked."""
    move = 12 * (goal - observation)  # an action of 1 is 5 cm
    return np.append(move / max(1.0, np.abs(move).max()), 0).astype(np.float32)


def _push_ball(observation: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """To the goal where the way is straight, else to the next of the two corners, which lie at x = 1, y = ±1."""
    position, velocity = observation[:2], observation[2:]
    row, goal_row = round(position[1]), round(goal[1])
    at_right, goal_at_right = position[0] > 0.5, goal[0] > 0.5
    straight = (at_right and goal_at_right) or (row == goal_row and row != 0)
    aim = goal if straight else np.array([1, goal_row if at_right else row])
    return np.clip(2.5 * (aim - position) - 0.55 * velocity, -1, 1).astype(np.float32)


@dataclass(frozen=True)
class _GoalExpert:
    """Goes to the hidden goal by a rule."""

    rule: Callable[[np.ndarray, np.ndarray], np.ndarray]
    env: gymnasium.Env[Any, Any]

    def reset(self) -> None:
        """The goal is read at every step."""

    def act(self, observation: np.ndarray) -> np.ndarray:
        return self.rule(observation.astype(float), np.array(self.env.get_wrapper_attr("variant")["goal"]))


def _make_expert(
    rule: Callable[[np.ndarray, np.ndarray], np.ndarray], env: gymnasium.Env[Any, Any], rng: np.random.Generator
) -> Expert:
    return _GoalExpert(rule, env)


def _follows(tolerance: float, variant: Mapping[str, Any], info: Mapping[str, Any]) -> bool:
    return math.dist(variant["goal"], info["final_position"]) <= tolerance


def _task(
    name: str, description: str, shown: type[HiddenGoal], rule: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Task:
    return Task(
        name=name,
        family="context",
        description=description,
        make=shown,
        make_expert=functools.partial(_make_expert, rule),
        max_episode_steps=shown.horizon,
        success=succeeded,
        success_source=f"ours: within {100 * shown.tolerance:g} cm of the goal on the last step",
        tags=frozenset({"continuous", "context"}),
        packages=_BASES[shown.base].packages,
        variants=shown.trained,
        follows=functools.partial(_follows, shown.tolerance),
        held_out_variants=shown.held_out,
    )


TASKS: tuple[Task, ...] = (
    _task(
        "reacher-shown",
        "Move the fingertip of the two-link arm to the place where the demonstration ends.",
        ReacherShown,
        _bend_arm,
    ),
    _task(
        "fetch-reach-shown",
        "Move the gripper to the place in the air where the demonstration ends.",
        FetchReachShown,
        _move_gripper,
    ),
    _task(
        "point-maze-shown",
        "Push the ball through the U-shaped maze to the place where the demonstration ends.",
        PointMazeShown,
        _push_ball,
    ),
)
