"""DM Control suite (Tassa et al., 2018): its benchmark and a few extras, with controllers where theory gives them.

An episode lasts 1000 steps, each of which pays between 0 and 1; only the linear regulators pay otherwise. The
controllers read the physics behind the observation, so they act alike whether the agent is shown the state or pixels.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from .linear_control import linearize, lqr_gain
from .mujoco import mujoco_step, two_link_poses
from .mujoco_rendering import headless_rendering
from .names import kebab_case
from .sampling_planner import Sampling, SamplingPlanner
from .simulator import import_simulator
from .task import Task

_FAMILY = "dm_control"
_NUM_STEPS = 1000
PICTURE_SIZE = 64  # pixels along a side of the observation in the view "pixels"
_FRAME_SIZE = (240, 320)  # height and width of what is rendered for people
_LQR_STEP_S = 0.03
_SUBSTEPS_OF_CUP, _SUBSTEPS_OF_FINGER, _SUBSTEPS_OF_FISH = 10, 2, 10  # physics steps for one action
_ARM = 0.12  # metres: either link of the reacher, to the middle of its finger
MAX_REGULATOR_ACTION = 6.0  # newtons; the suite sets no bound, and optimal control from its starts stays below this


class SuiteEnv(gymnasium.Env[dict[str, np.ndarray], np.ndarray]):
    """A task of the suite as a Gymnasium environment whose episodes follow from the seed alone.

    Observations are the suite's own, as float64 arrays of at least one axis, or one picture of camera 0.
    """

    def __init__(self, domain: str, task: str, *, render_mode: str | None = None, pixels: bool = False) -> None:
        headless_rendering()  # dm_control chooses how it draws when it is imported, whether or not it ever draws
        suite = import_simulator("dm_control.suite", "dm-control")
        settings: dict[str, Any] = {"random": 0}
        if domain == "lqr":  # endless otherwise
            settings["time_limit"] = _NUM_STEPS * _LQR_STEP_S
        self._env = suite.load(domain, task, task_kwargs=settings)
        self._pixels = pixels
        self.render_mode = render_mode
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": round(1 / self._env.control_timestep())}
        bounds = self._env.action_spec()
        self.action_space = spaces.Box(
            np.maximum(bounds.minimum, -MAX_REGULATOR_ACTION).astype(np.float32),
            np.minimum(bounds.maximum, MAX_REGULATOR_ACTION).astype(np.float32),
        )
        shown = self._env.observation_spec()
        members: dict[str, spaces.Space[Any]] = {
            name: spaces.Box(-np.inf, np.inf, spec.shape or (1,), np.float64) for name, spec in shown.items()
        }
        if pixels:
            members = {"pixels": spaces.Box(0, 255, (PICTURE_SIZE, PICTURE_SIZE, 3), np.uint8)}
        self.observation_space: spaces.Dict = spaces.Dict(members)  # type: ignore[assignment]

    @property
    def physics(self) -> Any:
        """The suite's `Physics` of the running episode."""
        return self._env.physics

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        super().reset(seed=seed)
        self._env.task.random.seed(int(self.np_random.integers(2**32)))
        return self._observation(self._env.reset()), {}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        moment = self._env.step(action)
        terminated = moment.last() and moment.discount == 0
        return self._observation(moment), float(moment.reward), terminated, moment.last() and not terminated, {}

    def render(self) -> Any:
        if self.render_mode is None:
            return None
        height, width = _FRAME_SIZE
        return self.physics.render(height=height, width=width, camera_id=0)

    def close(self) -> None:
        self._env.close()

    def _observation(self, moment: Any) -> dict[str, np.ndarray]:
        if self._pixels:
            return {"pixels": self.physics.render(height=PICTURE_SIZE, width=PICTURE_SIZE, camera_id=0)}
        return {name: np.array(value, np.float64, ndmin=1) for name, value in moment.observation.items()}


# A controller of one episode: gives the next action for the present state of the physics.
Controller = Callable[[], np.ndarray]


def _state(physics: Any) -> np.ndarray:
    return np.concatenate([physics.data.qpos, physics.data.qvel])


def _clipped(action: np.ndarray | list[float], limit: float = 1.0) -> np.ndarray:
    return np.clip(np.asarray(action), -limit, limit).astype(np.float32)


def _regulator(physics: Any, state_cost: np.ndarray, action_cost: float) -> np.ndarray:
    """LQR gain (A, S) about rest in the zero pose, which no force disturbs."""
    num_actions = physics.model.nu
    transition, control = linearize(
        mujoco_step(physics.model.ptr), np.zeros(2 * physics.model.nq), np.zeros(num_actions)
    )
    return lqr_gain(transition, control, state_cost, action_cost * np.eye(num_actions))


def _balance(physics: Any, rng: np.random.Generator) -> Controller:
    """Holds the pole upright by LQR; swings it up first, by feeding it the energy that standing takes.

    Source of the swing: energy control (Åström and Furuta, 2000), with a spring to the middle of the rail.
    """
    gain = _regulator(physics, np.diag([3.0, 1.0, 0.1, 0.1]), 0.1)
    inertia, weight = 0.0344, 0.1 * 9.81 * 0.5  # kg m² and N m of the pole about its hinge

    def act() -> np.ndarray:
        position, angle, velocity, rotation = _state(physics)
        angle = math.remainder(angle, math.tau)
        if abs(angle) < 0.5 and abs(rotation) < 4:
            return _clipped(-gain @ [position, angle, velocity, rotation])
        energy = inertia * rotation**2 / 2 + weight * (math.cos(angle) - 1)  # 0 at rest upright
        pump = min(max(100 * energy * rotation * math.cos(angle), -1.0), 1.0)
        return _clipped([pump - position - 0.3 * velocity])

    return act


def _swing_up(physics: Any, rng: np.random.Generator) -> Controller:
    """Pushes along the motion until the pendulum has the energy to pass the top, where PD holds it."""
    inertia, weight = 0.251, 1.0 * 9.81 * 0.5  # kg m² and N m of the pole about its hinge

    def act() -> np.ndarray:
        angle, rotation = _state(physics)
        angle = math.remainder(angle, math.tau)
        if abs(angle) < 0.3 and abs(rotation) < 2.5:
            return _clipped([-12.0 * angle - 2.5 * rotation])
        energy = inertia * rotation**2 / 2 + weight * (math.cos(angle) - 1)
        return _clipped([math.copysign(1.0, -rotation if energy > 0.1 else rotation)])

    return act


def _glide(physics: Any, rng: np.random.Generator) -> Controller:
    """PD towards the centre, through the mixture of both axes that each actuator moves in this episode."""
    directions = physics.model.wrap_prm.reshape(2, 2)  # actuators, axes
    from_force = np.linalg.inv(directions.T)

    def act() -> np.ndarray:
        position, velocity = np.split(_state(physics), 2)
        action = from_force @ (-60.0 * position - 8.0 * velocity)
        return _clipped(action / max(1.0, np.abs(action).max()))

    return act


def _reach(physics: Any, rng: np.random.Generator) -> Controller:
    """Drives both joints to the nearer pose whose fingertip lies on the target, by LQR."""
    gain = _regulator(physics, np.diag([1.0, 1.0, 0.0, 0.0]), 1e-3)
    poses = two_link_poses(_ARM, _ARM, *physics.named.model.geom_pos["target"][:2])

    def act() -> np.ndarray:
        angles, velocities = np.split(_state(physics), 2)
        errors = [np.array([math.remainder(angles[0] - pose[0], math.tau), angles[1] - pose[1]]) for pose in poses]
        error = min(errors, key=lambda each: float(np.abs(each).sum()))
        return _clipped(-gain @ np.concatenate([error, velocities]))

    return act


def _regulate(physics: Any, rng: np.random.Generator) -> Controller:
    """The optimal control: the system is linear and the cost quadratic."""
    num_bodies = physics.model.nq
    gain = _regulator(physics, np.diag([1.0] * num_bodies + [0.0] * num_bodies), 0.1)
    return lambda: _clipped(-gain @ _state(physics), MAX_REGULATOR_ACTION)


def _catch(physics: Any, rng: np.random.Generator) -> Controller:
    """Plans the swing that brings the ball over the rim and into the cup."""
    model = physics.model
    ball, inside = model.name2id("ball", "body"), model.name2id("target", "site")

    def cost(data: Any) -> float:
        aside, _, above = data.xpos[ball] - data.site_xpos[inside]
        if abs(aside) < 0.02 and abs(above) < 0.025:
            return 0.0
        away = 2 * math.hypot(aside, min(above, 0.0))
        return 1 + away + (3 * abs(aside) if above > 0 else 1)

    settings = Sampling(num_moves=12, hold=4, num_samples=20, spread=0.8)
    planner = SamplingPlanner(physics, cost, settings, rng)
    return lambda: planner.act(_SUBSTEPS_OF_CUP)


def _turn(physics: Any, rng: np.random.Generator) -> Controller:
    """Plans the pushes that turn the spinner's tip onto the target."""
    model = physics.model
    tip, target = model.name2id("tip", "site"), model.name2id("target", "site")
    spinner, finger = model.name2id("spinner", "body"), model.name2id("fingertip", "geom")
    wanted = 0.6 * float(model.site_size[target][0])

    def cost(data: Any) -> float:
        off = float(np.linalg.norm(data.site_xpos[tip] - data.site_xpos[target]))
        if off < wanted:
            return 0.0
        return 10 * off + 0.1 * float(np.linalg.norm(data.geom_xpos[finger] - data.xpos[spinner]))

    settings = Sampling(num_moves=8, hold=5, num_samples=16, spread=1.0)
    planner = SamplingPlanner(physics, cost, settings, rng)
    return lambda: planner.act(_SUBSTEPS_OF_FINGER)


def _right_itself(physics: Any, rng: np.random.Generator) -> Controller:
    """Plans the beats of tail and fins that turn the fish's back upwards."""
    torso = physics.model.name2id("torso", "body")

    def cost(data: Any) -> float:
        tilt = 1 - float(data.xmat[torso, 8])
        return tilt if tilt > 0.01 else 0.0

    settings = Sampling(num_moves=6, hold=4, num_samples=12, spread=1.0)
    planner = SamplingPlanner(physics, cost, settings, rng)
    return lambda: planner.act(_SUBSTEPS_OF_FISH)


class _PhysicsExpert:
    """Prepares a controller for the physics of each episode when it starts."""

    def __init__(
        self,
        prepare: Callable[[Any, np.random.Generator], Controller],
        env: gymnasium.Env[Any, Any],
        rng: np.random.Generator,
    ) -> None:
        self._prepare, self._rng = prepare, rng
        self._env: Any = env.unwrapped
        self._controller: Controller | None = None

    def reset(self) -> None:
        self._controller = self._prepare(self._env.physics, self._rng)

    def act(self, observation: Any) -> np.ndarray:
        assert self._controller is not None, "act before reset"
        return self._controller()


def _make(domain: str, task: str, render_mode: str | None = None, view: str = "state") -> gymnasium.Env[Any, Any]:
    return SuiteEnv(domain, task, render_mode=render_mode, pixels=view == "pixels")


def _task(
    domain: str,
    task: str,
    description: str,
    prepare: Callable[[Any, np.random.Generator], Controller] | None = None,
    *,
    solved: float = 800,
    reason: str = "nearly all of the time that is left after a quick start",
) -> Task:
    return Task(
        name=f"dm-control-{kebab_case(domain)}-{kebab_case(task)}",
        family=_FAMILY,
        description=description,
        make=functools.partial(_make, domain, task),
        make_expert=None if prepare is None else functools.partial(_PhysicsExpert, prepare),
        max_episode_steps=_NUM_STEPS,
        success=lambda episode_return, info: episode_return >= solved,
        success_source=f"ours, since the suite defines none: a return of {solved:g} of 1000, {reason}",
        tags=frozenset({"continuous"}),
        packages=("mujoco", "dm_control"),
        views={"state": frozenset(), "pixels": frozenset({"pixels"})},
    )


_AT_REST = "where springs left alone swing on for about 500 and the optimal control varies with the start"
_AT_ONCE = "nearly all of the time, since it starts within reach"

TASKS: tuple[Task, ...] = (
    _task(
        "cartpole",
        "balance",
        "Keep the pole upright and the cart near the middle of the rail.",
        _balance,
        solved=900,
        reason=_AT_ONCE,
    ),
    _task(
        "cartpole",
        "balance_sparse",
        "Keep the pole upright and the cart near the middle of the rail, for a reward of all or nothing.",
        _balance,
        solved=900,
        reason=_AT_ONCE,
    ),
    _task("cartpole", "swingup", "Swing the hanging pole up by moving the cart, and keep it upright.", _balance),
    _task(
        "cartpole",
        "swingup_sparse",
        "Swing the hanging pole up by moving the cart, and keep it upright, for a reward of all or nothing.",
        _balance,
        solved=700,
    ),
    _task("cartpole", "two_poles", "Swing up two poles, one hanging from the other, by moving the cart."),
    _task("cartpole", "three_poles", "Swing up a chain of three poles by moving the cart."),
    _task(
        "pendulum",
        "swingup",
        "Swing the pendulum up with a weak motor, and hold it at the top.",
        _swing_up,
        solved=600,
        reason="nearly all of the time that is left after a swing-up from hanging at rest",
    ),
    _task("point_mass", "easy", "Move the mass to the target in the middle of the field.", _glide),
    _task(
        "point_mass",
        "hard",
        "Move the mass to the target in the middle of the field with motors whose directions change every episode.",
        _glide,
        solved=650,
    ),
    _task("reacher", "easy", "Touch the large target with the tip of the two-link arm.", _reach, solved=900),
    _task("reacher", "hard", "Touch the small target with the tip of the two-link arm.", _reach, solved=900),
    _task("ball_in_cup", "catch", "Swing the ball on the string up and catch it in the cup.", _catch),
    _task("finger", "spin", "Spin the body on its hinge fast by flicking it with the finger."),
    _task("finger", "turn_easy", "Turn the body on its hinge with the finger until its tip is on the target.", _turn),
    _task(
        "finger", "turn_hard", "Turn the body on its hinge with the finger until its tip is on the small target.", _turn
    ),
    _task("fish", "upright", "Turn the fish the right way up with its fins and tail, and stay so.", _right_itself),
    _task("fish", "swim", "Swim in three dimensions to the target and stay there."),
    _task(
        "lqr",
        "lqr_2_1",
        "Bring two masses on springs to rest at zero by pushing the first.",
        _regulate,
        solved=700,
        reason=_AT_REST,
    ),
    _task(
        "lqr",
        "lqr_6_2",
        "Bring a chain of six masses on springs to rest at zero by pushing the first two.",
        _regulate,
        solved=550,
        reason=_AT_REST,
    ),
    _task("acrobot", "swingup", "Swing the two-link arm up by its elbow alone, and balance it there."),
    _task(
        "acrobot",
        "swingup_sparse",
        "Swing the two-link arm up by its elbow alone, and balance it there, for a reward of all or nothing.",
    ),
    _task("cheetah", "run", "Run forwards on two legs at ten metres a second."),
    _task("hopper", "stand", "Stand upright on one leg."),
    _task("hopper", "hop", "Hop forwards on one leg at two metres a second."),
    _task("humanoid", "stand", "Stand upright."),
    _task("humanoid", "walk", "Walk upright at one metre a second."),
    _task("humanoid", "run", "Run upright at ten metres a second."),
    _task("humanoid_CMU", "stand", "Stand upright with a body that has all the joints of motion capture."),
    _task("manipulator", "bring_ball", "Grasp the ball with the planar arm and bring it to the target."),
    _task("manipulator", "bring_peg", "Grasp the peg with the planar arm and bring it to the target, turned as shown."),
    _task("manipulator", "insert_ball", "Grasp the ball with the planar arm and put it into the basket."),
    _task("manipulator", "insert_peg", "Grasp the peg with the planar arm and put it into the slot."),
    _task(
        "stacker",
        "stack_2",
        "Bring one of two boxes to the target with the planar arm, on top of the other if need be, and let go.",
    ),
    _task("stacker", "stack_4", "Stack four boxes up to the target with the planar arm, and let go."),
    _task("swimmer", "swimmer6", "Swim with a chain of six links until the nose is at the target."),
    _task("swimmer", "swimmer15", "Swim with a chain of fifteen links until the nose is at the target."),
    _task("walker", "stand", "Stand upright on two legs."),
    _task("walker", "walk", "Walk upright on two legs at one metre a second."),
    _task("walker", "run", "Run upright on two legs at eight metres a second."),
)
