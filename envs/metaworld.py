"""Meta-World V3 (Yu et al., 2019): fifty manipulation tasks of one robot arm, with the package's scripted policies.

The benchmark draws fifty configurations of object and goal per task from a seed that the experimenter picks, and plays
those again and again. Here the seed of `reset` draws a fresh configuration from the same distribution: no canonical
fifty exist, and an agent that imitates could learn fifty by heart. Means over many episodes therefore estimate what
MT1 measures on average over its seeds; the dynamics, rewards, length and definition of success are the benchmark's.

An action moves the gripper by up to a centimetre along x, y and z, and closes or opens the fingers. The five tasks
that ML45 keeps for testing are tagged held-out.
"""

import functools
import warnings
from collections.abc import Mapping
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium import spaces

from .mujoco_rendering import headless_rendering
from .simulator import import_simulator
from .task import Expert, Task

EPISODE_LENGTH = 500  # SawyerXYZEnv.max_path_length
HELD_OUT = ("bin-picking", "box-close", "hand-insert", "door-lock", "door-unlock")  # metaworld.env_dict.ML45_V3
_GOAL = slice(36, 39)
# The package's own cameras hang upside down; this one looks over the table at the robot.
_CAMERA = {"lookat": np.array([0.0, 0.6, 0.15]), "distance": 1.5, "azimuth": -140.0, "elevation": -30.0}


class SeededMetaWorld(gymnasium.Wrapper[np.ndarray, np.ndarray, np.ndarray, np.ndarray]):
    """A Meta-World environment whose seed alone decides the episode, without the benchmark's task objects.

    Observations are (39,) float64: gripper position in metres and opening, then position and quaternion of up to two
    objects; the same one step earlier; and the goal's position, or zeros where `show_goal` is False.
    `info["success"]` tells whether the episode has succeeded so far; `seen_with_goal` is the observation with the goal.
    """

    def __init__(self, env: gymnasium.Env[np.ndarray, np.ndarray], *, show_goal: bool) -> None:
        super().__init__(env)
        self.seen_with_goal = np.zeros(39)
        self._show_goal = show_goal
        self._succeeded = False
        self._arm = cast(Any, env.unwrapped)  # SawyerXYZEnv, which sets these through a pickled task otherwise
        self._arm._set_task_called = True
        self._arm.seeded_rand_vec = True  # draws from np_random, not from numpy's global generator
        self._arm._partially_observable = False
        del self._arm.sawyer_observation_space  # cached with the goal hidden
        self._space: spaces.Box = self._arm.sawyer_observation_space
        low, high = self._space.low.copy(), self._space.high.copy()
        if not show_goal:
            low[_GOAL] = high[_GOAL] = 0
        self.observation_space = spaces.Box(low, high, dtype=np.float64)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        self._succeeded = False
        gymnasium.Env.reset(self._arm, seed=seed)  # seeds only
        self._arm._freeze_rand_vec = False
        self._arm.reset_model()  # draws the configuration
        # What moved since the last reset still touches the hand while the scene is set for the first time, so the
        # episode starts from scenes set anew around the configuration.
        self._arm._freeze_rand_vec = True
        observation, info = self.env.reset()
        return self._observed(np.clip(observation, self._space.low, self._space.high)), info

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._succeeded = self._succeeded or bool(info["success"])
        return self._observed(observation), float(reward), terminated, truncated, {**info, "success": self._succeeded}

    def _observed(self, observation: np.ndarray) -> np.ndarray:
        self.seen_with_goal = observation
        if self._show_goal:
            return observation
        observation = observation.copy()
        observation[_GOAL] = 0
        return observation


class _ScriptedExpert:
    """The package's policy, which always sees the goal; its commands are cut to the action space."""

    def __init__(self, env: gymnasium.Env[Any, Any], policy: Any) -> None:
        self._env = env
        self._policy = policy

    def reset(self) -> None:
        """The policies remember nothing."""

    def act(self, observation: np.ndarray) -> np.ndarray:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Constant.* may be too high")
            action = self._policy.get_action(self._env.get_wrapper_attr("seen_with_goal"))
        return np.clip(action, -1, 1).astype(np.float32)


def _make(name: str, render_mode: str | None = None, view: str = "state") -> gymnasium.Env[Any, Any]:
    if render_mode is not None:
        headless_rendering()
    simulator = import_simulator("metaworld.env_dict", "metaworld")
    env = simulator.ALL_V3_ENVIRONMENTS[f"{name}-v3"](render_mode=render_mode)
    env.mujoco_renderer.default_cam_config = _CAMERA
    return SeededMetaWorld(env, show_goal=view == "state")


def _make_expert(name: str, env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> Expert:
    policies = import_simulator("metaworld.policies", "metaworld").ENV_POLICY_MAP
    return _ScriptedExpert(env, policies[f"{name}-v3"]())


def _succeeded(episode_return: float, info: Mapping[str, Any]) -> bool:
    return bool(info.get("success", False))


def _task(name: str, description: str) -> Task:
    return Task(
        name=f"metaworld-{name}",
        family="metaworld",
        description=description,
        make=functools.partial(_make, name),
        make_expert=functools.partial(_make_expert, name),
        max_episode_steps=EPISODE_LENGTH,
        success=_succeeded,
        success_source="Meta-World (Yu et al., 2019): the task's condition held at some step of the episode",
        tags=frozenset({"continuous", "held-out"} if name in HELD_OUT else {"continuous"}),
        packages=("metaworld", "mujoco"),
        views={"state": frozenset(), "state-no-goal": frozenset()},
    )


TASKS: tuple[Task, ...] = (
    _task("assembly", "Pick up the ring by its handle and put it over the peg."),
    _task("basketball", "Pick up the ball and drop it through the hoop."),
    _task("bin-picking", "Take the cube out of one bin and put it into the other."),
    _task("box-close", "Pick up the lid and lay it on the box."),
    _task("button-press-topdown", "Press the button down from above."),
    _task("button-press-topdown-wall", "Reach over the wall and press the button down from above."),
    _task("button-press", "Press the button on the front of the box."),
    _task("button-press-wall", "Get past the wall and press the button on the front of the box."),
    _task("coffee-button", "Press the button of the coffee machine."),
    _task("coffee-pull", "Pull the mug away from the coffee machine to the goal."),
    _task("coffee-push", "Push the mug to the goal under the coffee machine."),
    _task("dial-turn", "Turn the dial to its goal position."),
    _task("disassemble", "Lift the ring by its handle off the peg."),
    _task("door-close", "Swing the open door shut."),
    _task("door-lock", "Lock the door by turning its bolt."),
    _task("door-open", "Swing the door open by its handle."),
    _task("door-unlock", "Unlock the door by turning its bolt back."),
    _task("hand-insert", "Put the gripper into the hole in the table, down to the goal."),
    _task("drawer-close", "Push the open drawer shut."),
    _task("drawer-open", "Pull the drawer open by its handle."),
    _task("faucet-open", "Turn the faucet's handle to open it."),
    _task("faucet-close", "Turn the faucet's handle to close it."),
    _task("hammer", "Pick up the hammer and drive the nail into the wall with it."),
    _task("handle-press-side", "Press down the handle that stands sideways."),
    _task("handle-press", "Press down the handle."),
    _task("handle-pull-side", "Pull up the handle that stands sideways."),
    _task("handle-pull", "Pull up the handle."),
    _task("lever-pull", "Pull the lever up to its goal angle."),
    _task("pick-place-wall", "Pick up the puck, carry it over the wall and hold it at the goal."),
    _task("pick-out-of-hole", "Take the puck out of the hole and hold it at the goal."),
    _task("pick-place", "Pick up the puck and hold it at the goal."),
    _task("plate-slide", "Slide the plate into the goal cabinet."),
    _task("plate-slide-side", "Slide the plate sideways into the goal cabinet."),
    _task("plate-slide-back", "Slide the plate back out of the cabinet to the goal."),
    _task("plate-slide-back-side", "Slide the plate sideways out of the cabinet to the goal."),
    _task("peg-insert-side", "Pick up the peg and put it into the hole in the side of the box."),
    _task("peg-unplug-side", "Pull the peg out sideways from its hole."),
    _task("soccer", "Push the ball into the goal."),
    _task("stick-push", "Pick up the stick and push the thermos to the goal with it."),
    _task("stick-pull", "Pick up the stick, hook it into the thermos' handle and pull that to the goal."),
    _task("push", "Push the puck to the goal."),
    _task("push-wall", "Push the puck around the wall to the goal."),
    _task("push-back", "Pull the block back to the goal near the robot."),
    _task("reach", "Move the gripper to the goal."),
    _task("reach-wall", "Move the gripper over the wall to the goal."),
    _task("shelf-place", "Pick up the block and put it on the shelf."),
    _task("sweep-into", "Sweep the block into the hole in the table."),
    _task("sweep", "Sweep the block to the goal at the table's edge."),
    _task("window-open", "Slide the window open by its handle."),
    _task("window-close", "Slide the window shut by its handle."),
)
