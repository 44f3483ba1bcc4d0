"""Meta-World tasks that share a scene, with the goal hidden: only a demonstration tells which of them to do.

Scenes, scripted policies and what counts as done are Meta-World's (Yu et al., 2019). Even with the goal masked its
tasks give themselves away, by fractions of a millimetre in how they set up the same scene. So a single simulator plays
all tasks of a group, and before the last info nothing depends on the one that is asked for.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import gymnasium
import numpy as np
from gymnasium import spaces

from .. import metaworld
from ..task import Expert, Task
from .hidden_variant import HiddenVariant, succeeded

Arm: TypeAlias = Any  # Meta-World's SawyerXYZEnv, whose package is imported when a task is made only
Place: TypeAlias = Callable[[Arm], np.ndarray]  # of something in the scene: x, y, z in metres

_BASES = {task.name.removeprefix("metaworld-"): task for task in metaworld.TASKS}
# Of Meta-World's observation: hand, opening, and where the places of one object or of two are.
_HAND, _OPENING, _OBJECTS, _GOAL = slice(0, 3), 3, (slice(4, 7), slice(11, 14)), slice(36, 39)
_MARK_SIZE, _MARK_COLOR = 0.025, (1.0, 0.73, 0.29, 1.0)  # metres, RGBA


@dataclass(frozen=True, kw_only=True)
class _Member:
    """One task of a group. It is done when what has to move is near the goal."""

    moves: Place
    goal: Place
    radius: float  # metres
    provided: Callable[[Arm], bool] = lambda arm: True  # what else Meta-World demands
    # The objects as the task's policy expects them in its observation.
    seen: tuple[Place, ...]

    def done(self, arm: Arm) -> bool:
        return bool(np.linalg.norm(self.moves(arm) - self.goal(arm)) <= self.radius) and self.provided(arm)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Tasks that can be told apart by a demonstration alone."""

    name: str
    description: str
    scene: str  # the Meta-World task that sets up the scene of all
    members: Mapping[str, _Member]  # by the name that Meta-World gives the task
    horizon: int  # steps
    num_objects: int = 1
    attributes: Mapping[str, Any]  # of the scene, where it differs from its task's


def _at(x: float, y: float, z: float) -> Place:
    return lambda arm: np.array([x, y, z])


def _moved(place: Place, x: float, y: float, z: float) -> Place:
    offset = np.array([x, y, z])
    return lambda arm: place(arm) + offset


def _fingers(arm: Arm) -> np.ndarray:
    """The middle between the finger tips."""
    return arm.tcp_center


def _puck(arm: Arm) -> np.ndarray:
    return arm.get_body_com("obj").copy()


def _faucet(arm: Arm) -> np.ndarray:
    return arm.obj_init_pos


def _site(name: str) -> Place:
    return lambda arm: arm._get_site_pos(name)


def _stick(arm: Arm) -> np.ndarray:
    return arm.get_body_com("stick").copy()


_THERMOS_HANDLE = _site("insertion")
_THERMOS_BODY = _moved(_THERMOS_HANDLE, 0, 0.09, 0)


def _holds_stick(arm: Arm) -> bool:
    return bool(arm.touching_main_object and _stick(arm)[2] - 0.01 > arm.stick_init_pos[2])


def _hooks_thermos(arm: Arm) -> bool:
    beyond, aside, above = _site("stick_end")(arm) - _THERMOS_HANDLE(arm)
    return bool(beyond >= 0 and abs(aside) <= 0.04 and abs(above) <= 0.06)


def _reach(goal: Place) -> _Member:
    return _Member(moves=_fingers, goal=goal, radius=0.05, seen=(_puck,))


def _place(goal: Place, radius: float) -> _Member:
    return _Member(moves=_puck, goal=goal, radius=radius, seen=(_puck,))


def _turn(direction: int, side: str) -> _Member:
    handle = _moved(_site(side), 0, 0, -0.01)
    goal = _moved(_faucet, direction * 0.175, 0, 0.125)  # a handle's length to the side
    return _Member(moves=handle, goal=goal, radius=0.07, seen=(handle,))


GROUPS: tuple[Group, ...] = (
    Group(
        name="metaworld-shown-table",
        description="Do what the demonstration does: reach a place, push the puck, or pick it up and hold it.",
        scene="pick-place",
        members={
            "reach": _reach(_at(-0.1, 0.8, 0.2)),
            "push": _place(_at(0.1, 0.8, 0.02), 0.05),
            "pick-place": _place(_at(0.1, 0.8, 0.2), 0.07),
        },
        horizon=100,
        attributes={},
    ),
    Group(
        name="metaworld-shown-wall",
        description="Do what the demonstration does behind the wall: reach a place, push the puck, or hold it up.",
        scene="pick-place-wall",
        members={
            "reach-wall": _reach(_at(-0.05, 0.85, 0.2)),
            "push-wall": _place(_at(0.05, 0.85, 0.02), 0.07),
            "pick-place-wall": _place(_at(0.05, 0.85, 0.2), 0.07),
        },
        horizon=150,
        attributes={},
    ),
    Group(
        name="metaworld-shown-faucet",
        description="Turn the handle of the faucet the way that the demonstration turns it.",
        scene="faucet-open",
        members={
            "faucet-open": _turn(1, "handleStartOpen"),
            "faucet-close": _turn(-1, "handleStartClose"),
        },
        horizon=100,
        attributes={},
    ),
    Group(
        name="metaworld-shown-stick",
        description="Push the thermos with the stick, or hook its handle and pull, as the demonstration does.",
        scene="stick-push",
        members={
            "stick-push": _Member(
                moves=_THERMOS_BODY,
                goal=_at(0.4, 0.69, 0.132),
                radius=0.12,
                provided=_holds_stick,
                seen=(_stick, _THERMOS_BODY),
            ),
            "stick-pull": _Member(
                moves=_THERMOS_HANDLE,
                goal=_at(0.2, 0.5, 0.02),
                radius=0.12,
                provided=_hooks_thermos,
                # Nearer to the handle's bar than it is: aimed at its middle, the hand would hit the thermos' body and
                # push it instead.
                seen=(_stick, _moved(_THERMOS_HANDLE, 0, -0.015, 0)),
            ),
        },
        horizon=140,
        num_objects=2,
        attributes={"obj_init_qpos": np.array([0.0, 0.09])},  # the thermos where stick-pull has it
    ),
)


class ShownArmTask(HiddenVariant):
    """A scene of Meta-World that asks for one of a group's tasks as reset option `task`, and shows no goal.

    The goal of each task is the same in every episode, or lies the same way from the faucet; the seed draws where the
    object is. The first task that is done ends the episode, with reward 1 if it is the asked one: experts of other
    tasks get nothing, and uniform actions next to nothing. The last info has the `task` that was done, or "none".

    Observations are float32, in metres but for the opening: how far the hand is from where it starts (3), its opening
    in [0, 1], from the hand to the object (3), and in the stick's scene from the stick to the thermos' handle (3).
    """

    option_names: ClassVar[tuple[str, ...]] = ("task",)

    def __init__(self, group: Group, render_mode: str | None = None) -> None:
        super().__init__(_BASES[group.scene].make(render_mode=render_mode, view="state-no-goal"), _variants(group))
        self._group = group
        self._arm: Arm = self.env.unwrapped
        for name, value in group.attributes.items():
            setattr(self._arm, name, value)
        self.observation_space = spaces.Box(-np.inf, np.inf, (4 + 3 * group.num_objects,), np.float32)
        self._num_steps = 0
        self._done = "none"

    @property
    def seen_with_goal(self) -> np.ndarray:
        """The observation (39,) float64 that the policy of the asked task would have in Meta-World, less what it does
        not look at.
        """
        member = self._group.members[self.variant["task"]]
        seen: np.ndarray = self.env.get_wrapper_attr("seen_with_goal").copy()
        for numbers, place in zip(_OBJECTS, member.seen, strict=False):
            seen[numbers] = place(self._arm)
        seen[_GOAL] = member.goal(self._arm)
        return seen

    def check(self, variant: Mapping[str, Any]) -> None:
        if variant["task"] not in list(self._group.members):
            raise ValueError(f"task is {variant['task']!r}, expected one of {', '.join(self._group.members)}")

    def begin(self, seed: int | None) -> np.ndarray:
        seen, _ = self.env.reset(seed=seed)
        self._num_steps = 0
        self._done = "none"
        self._mark_goal()
        return self._observed(seen)

    def advance(self, action: Any) -> tuple[np.ndarray, float, bool, bool]:
        seen, *_ = self.env.step(action)
        self._num_steps += 1
        self._done = next((name for name, member in self._group.members.items() if member.done(self._arm)), "none")
        done = self._done != "none"
        truncated = self._num_steps >= self._group.horizon and not done
        return self._observed(seen), float(self._done == self.variant["task"]), done, truncated

    def outcome(self) -> dict[str, Any]:
        return {"success": self._done == self.variant["task"], "task": self._done}

    def _observed(self, seen: np.ndarray) -> np.ndarray:
        hand = seen[_HAND]
        places = [hand, *(seen[numbers] for numbers in _OBJECTS[: self._group.num_objects])]
        return np.hstack([hand - self._arm.hand_init_pos, seen[_OPENING], np.diff(places, axis=0).ravel()]).astype(
            np.float32
        )

    def _mark_goal(self) -> None:
        """Puts the goal into the picture; sites take no part in the dynamics, nor in Meta-World's own reward."""
        goal = self._group.members[self.variant["task"]].goal(self._arm)
        (shown, _), *others = self._arm._target_site_config
        site = self._arm.model.site(shown)
        site.pos, site.size[:], site.rgba = goal, _MARK_SIZE, _MARK_COLOR
        self._arm._set_pos_site(shown, goal)
        for hidden, _ in others:
            self._arm.model.site(hidden).rgba[3] = 0


class _PackageExpert:
    """The package's policy for the asked task."""

    def __init__(self, env: gymnasium.Env[Any, Any], experts: Mapping[str, Expert]) -> None:
        self._env = env
        self._experts = experts

    def reset(self) -> None:
        """The task is read at every step."""

    def act(self, observation: np.ndarray) -> np.ndarray:
        return self._experts[self._env.get_wrapper_attr("variant")["task"]].act(observation)


def _make_expert(group: Group, env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> Expert:
    experts = {}
    for name in group.members:
        make_expert = _BASES[name].make_expert
        assert make_expert is not None
        experts[name] = make_expert(env, rng)  # which asks this environment for `seen_with_goal`
    return _PackageExpert(env, experts)


def _variants(group: Group) -> tuple[Mapping[str, Any], ...]:
    return tuple({"task": name} for name in group.members)


def _follows(variant: Mapping[str, Any], info: Mapping[str, Any]) -> bool:
    return variant["task"] == info["task"]


def _task(group: Group) -> Task:
    return Task(
        name=group.name,
        family="context",
        description=group.description,
        make=functools.partial(ShownArmTask, group),
        make_expert=functools.partial(_make_expert, group),
        max_episode_steps=group.horizon,
        success=succeeded,
        success_source="Meta-World (Yu et al., 2019): the condition of the asked task, held before that of any other",
        tags=frozenset({"continuous", "context"}),
        packages=_BASES[group.scene].packages,
        variants=_variants(group),
        follows=_follows,
    )


TASKS: tuple[Task, ...] = tuple(_task(group) for group in GROUPS)
