"""Gymnasium's MuJoCo tasks; those without a controller here have experts only as recorded data.

Source of the environments: https://gymnasium.farama.org
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np

from .linear_control import linearize, lqr_gain
from .mujoco_rendering import headless_rendering
from .names import kebab_case
from .simulator import import_simulator
from .task import Expert, ReactiveExpert, Task, reactive

_FAMILY = "mujoco"


def mujoco_step(model: Any, num_substeps: int = 1) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The dynamics of a MuJoCo model as a function, computed on data of its own from a cold start.

    Args:
        model: a `mujoco.MjModel`, whose joints each have one number for position and one for velocity.
        num_substeps: physics steps for one action.

    Returns:
        A function (state, action) -> next state, where a state is positions, then velocities.
    """
    mujoco = import_simulator("mujoco", "mujoco")
    data = mujoco.MjData(model)

    def step(state: np.ndarray, action: np.ndarray) -> np.ndarray:
        mujoco.mj_resetData(model, data)
        data.qpos[:], data.qvel[:] = np.split(state, [model.nq])
        data.ctrl[:] = action
        mujoco.mj_step(model, data, num_substeps)
        return np.concatenate([data.qpos, data.qvel])

    return step


def _make(env_id: str, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    if render_mode is not None:
        headless_rendering()
    import_simulator("mujoco", "mujoco")
    return gymnasium.make(env_id, render_mode=render_mode, disable_env_checker=True)


def _make_balancer(state_cost: tuple[float, ...], env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> Expert:
    """Holds the upright pose, in which all positions are zero, by LQR on its linearisation."""
    world: Any = env.unwrapped
    num_positions, num_actions = world.model.nq, world.model.nu
    transition, control = linearize(
        mujoco_step(world.model, world.frame_skip), np.zeros(2 * num_positions), np.zeros(num_actions)
    )
    gain = lqr_gain(transition, control, np.diag(state_cost), 0.1 * np.eye(num_actions))

    def rule(observation: np.ndarray) -> np.ndarray:
        action = -gain @ np.concatenate([world.data.qpos, world.data.qvel])
        return np.clip(action, env.action_space.low, env.action_space.high).astype(np.float32)  # type: ignore[attr-defined]

    return ReactiveExpert(rule)


# The arm of Reacher, whose joints hardly feel its own mass beside the inertia that the model gives to their motors.
LINKS = (0.1, 0.11)  # metres: length of the upper arm; from the elbow to the fingertip
_GEAR, _STEP_S = 200.0, 0.02  # rad/s² of full torque at unit inertia and unit damping; seconds for one action
_TARGET_RADIUS = 0.009  # metres; of Reacher's target
_GOAL_RADIUS = 0.08  # metres; of Pusher's goal
_NEAR = 0.002  # metres: nearer to the target, the price of distance is not scaled up further


@functools.cache
def _joints() -> tuple[np.ndarray, np.ndarray]:
    """Exact discrete dynamics of two joints with acceleration = gear * action - velocity."""
    decay = math.exp(-_STEP_S)
    transition = np.block([[np.eye(2), (1 - decay) * np.eye(2)], [np.zeros((2, 2)), decay * np.eye(2)]])
    control = _GEAR * np.vstack([(_STEP_S - (1 - decay)) * np.eye(2), (1 - decay) * np.eye(2)])
    return transition, control


def _arm_jacobian(shoulder: float, elbow: float) -> np.ndarray:
    """(2, 2): how the fingertip (x, y) moves with the angles of shoulder and elbow."""
    upper, fore = LINKS
    direction = shoulder + elbow
    return np.array(
        [
            [-upper * math.sin(shoulder) - fore * math.sin(direction), -fore * math.sin(direction)],
            [upper * math.cos(shoulder) + fore * math.cos(direction), fore * math.cos(direction)],
        ]
    )


def two_link_poses(upper: float, fore: float, x: float, y: float) -> list[tuple[float, float]]:
    """Both pairs of joint angles that bring the tip of a planar arm to (x, y), or as near as its length allows.

    Args:
        upper: length of the link at the origin, fore: of the other, x and y: the place, all in one unit.

    Returns:
        Two pairs (shoulder, elbow) in radians, zero where the arm lies stretched along x.
    """
    cosine = (x * x + y * y - upper**2 - fore**2) / (2 * upper * fore)
    bend = math.acos(min(max(cosine, -1.0), 1.0))
    turn = math.atan2(fore * math.sin(bend), upper + fore * math.cos(bend))
    return [(math.atan2(y, x) - turn, bend), (math.atan2(y, x) + turn, -bend)]


def _reach(observation: np.ndarray) -> np.ndarray:
    """Drives the joints to the nearer pose that touches the target, by LQR with a price for this distance.

    The reward pays for distance where LQR pays for its square, so the square is divided by the present distance.
    """
    cosines, sines, target = observation[0:2], observation[2:4], observation[4:6]
    angles = np.arctan2(sines, cosines)
    poses = two_link_poses(*LINKS, *target)
    errors = [np.array([math.remainder(angles[0] - pose[0], math.tau), angles[1] - pose[1]]) for pose in poses]
    error, pose = min(zip(errors, poses, strict=True), key=lambda pair: float(np.abs(pair[0]).sum()))
    jacobian = _arm_jacobian(*pose)
    distance = max(float(np.linalg.norm(observation[8:10])), _NEAR)
    state_cost = np.zeros((4, 4))
    state_cost[:2, :2] = jacobian.T @ jacobian / distance + 1e-4 * np.eye(2)  # also where the arm is stretched out
    gain = lqr_gain(*_joints(), state_cost, np.eye(2))
    return np.clip(-gain @ np.concatenate([error, observation[6:8]]), -1, 1).astype(np.float32)


def _touches(episode_return: float, info: Mapping[str, Any]) -> bool:
    return info.get("reward_dist", -math.inf) > -_TARGET_RADIUS


def _lies_on_goal(episode_return: float, info: Mapping[str, Any]) -> bool:
    return info.get("reward_dist", -math.inf) > -_GOAL_RADIUS


# Found by the cross-entropy method on the return: (joints, heading and the two angles and their two velocities).
_SWIMMING_GAIN = np.array([[4.4, -1.33, -1.97, 1.86, 0.37], [-0.99, -0.11, -2.41, 1.1, 0.53]])


def _swim(observation: np.ndarray) -> np.ndarray:
    """Linear feedback that is unstable at rest, so that it grows into a travelling wave along the body."""
    return np.clip(_SWIMMING_GAIN @ observation[[0, 1, 2, 6, 7]], -1, 1).astype(np.float32)


def _task(
    env_name: str,
    description: str,
    solved: float = math.inf,
    *,
    success: Callable[[float, Mapping[str, Any]], bool] | None = None,
    max_episode_steps: int = 1000,
    success_source: str | None = None,
    make_expert: Callable[[gymnasium.Env[Any, Any], np.random.Generator], Expert] | None = None,
    expert_solves: bool = True,
) -> Task:
    env_id = f"{env_name}-v5"
    return Task(
        name=f"mujoco-{kebab_case(env_name)}",
        family=_FAMILY,
        description=description,
        make=functools.partial(_make, env_id),
        make_expert=make_expert,
        expert_solves=expert_solves,
        max_episode_steps=max_episode_steps,
        success=success or (lambda episode_return, info: episode_return >= solved),
        success_source=success_source or f"Gymnasium's reward threshold of {env_id}",
        tags=frozenset({"continuous"}),
        packages=("mujoco",),
    )


TASKS: tuple[Task, ...] = (
    _task(
        "InvertedPendulum",
        "Push the cart along its rail so that the pole on it stays upright.",
        950,
        make_expert=functools.partial(_make_balancer, (1, 10, 1, 1)),
    ),
    _task(
        "InvertedDoublePendulum",
        "Push the cart along its rail so that the two poles on it, one on the other, stay upright.",
        9100,
        make_expert=functools.partial(_make_balancer, (1, 10, 10, 1, 1, 1)),
    ),
    _task(
        "Reacher",
        "Move the fingertip of the two-link arm to the red target with little torque.",
        success=_touches,
        success_source="ours: the fingertip ends on the target; Gymnasium's reward threshold of -3.75 is one of means",
        max_episode_steps=50,
        make_expert=reactive(_reach),
    ),
    _task(
        "Pusher",
        "Push the cylinder with the seven-joint arm onto the goal on the table.",
        success=_lies_on_goal,
        success_source="ours: the cylinder's middle ends on the goal's disc; Gymnasium's threshold of 0 is no guide",
        max_episode_steps=100,
    ),
    _task("HalfCheetah", "Run forwards on two legs as fast as possible.", 4800),
    _task("Hopper", "Hop forwards on one leg as fast as possible without falling.", 3800),
    _task(
        "Walker2d",
        "Walk forwards on two legs as fast as possible without falling.",
        4000,
        success_source="ours, since Gymnasium gives none: four times what standing still for 1000 steps gets",
    ),
    _task("Ant", "Walk to the right on four legs as fast as possible without turning over.", 6000),
    _task(
        "Swimmer",
        "Swim to the right with three links in a thick fluid as fast as possible.",
        342,
        success_source="ours: 95 % of Gymnasium's reward threshold of 360, which is one of means",
        make_expert=reactive(_swim),
    ),
    _task(
        "Humanoid",
        "Walk forwards as fast as possible without falling.",
        6000,
        success_source="ours, since Gymnasium gives none: standing for 1000 steps gets 5000, so this is a walk",
    ),
    _task(
        "HumanoidStandup",
        "Stand up from lying on the back and stay up.",
        100_000,
        success_source="ours, since Gymnasium gives none: about three times what random play gets without rising",
    ),
)
