"""Gymnasium-Robotics' dexterous robots, without experts: the Shadow and the Adroit hand, and Franka's arm in a kitchen.

Source of the environments: https://robotics.farama.org; Plappert et al. (2018) for the Shadow hand, Rajeswaran et al.
(2018) for Adroit, Gupta et al. (2019) for the kitchen.
"""

import copy
import functools
from collections.abc import Mapping
from typing import Any

import gymnasium
from gymnasium.utils import RecordConstructorArgs

from .names import kebab_case
from .robotics import SteadyPictures, make_robot
from .task import Task

_FAMILY = "dexterous"
_TAGS = frozenset({"continuous"})
_PACKAGES = ("gymnasium-robotics", "mujoco")
_HAND_STEPS, _MANIPULATION_STEPS, _ADROIT_STEPS, _KITCHEN_STEPS = 50, 100, 200, 280  # those of the registrations


class OwnCopies(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """The kitchen with observations and infos that are the caller's own.

    It hands out its one goal and its one list of what is done, which would change in every timestep that was kept.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return copy.deepcopy(observation), copy.deepcopy(info)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return copy.deepcopy(observation), float(reward), terminated, truncated, copy.deepcopy(info)


def _make_hand(env_id: str, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    return SteadyPictures(make_robot(env_id, {}, render_mode))


def _make_adroit(env_id: str, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    return make_robot(env_id, {}, render_mode)


def _make_kitchen(chores: tuple[str, ...], render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    return OwnCopies(make_robot("FrankaKitchen-v1", {"tasks_to_complete": list(chores)}, render_mode))


def _at_goal(episode_return: float, info: Mapping[str, Any]) -> bool:
    return bool(info.get("is_success", False))


def _done(episode_return: float, info: Mapping[str, Any]) -> bool:
    return bool(info.get("success", False))


def _all_chores_done(num_chores: int, episode_return: float, info: Mapping[str, Any]) -> bool:
    return len(info.get("episode_task_completions", ())) == num_chores


def _hand(env_id: str, description: str, max_episode_steps: int, threshold: str) -> Task:
    return Task(
        name=kebab_case(env_id),
        family=_FAMILY,
        description=description,
        make=functools.partial(_make_hand, env_id),
        max_episode_steps=max_episode_steps,
        success=_at_goal,
        success_source=f"Plappert et al. (2018): {threshold} at the last step",
        tags=_TAGS,
        packages=_PACKAGES,
    )


def _adroit(what: str, description: str, threshold: str) -> Task:
    return Task(
        name=f"adroit-{what.lower()}",
        family=_FAMILY,
        description=description,
        make=functools.partial(_make_adroit, f"AdroitHand{what}-v1"),
        max_episode_steps=_ADROIT_STEPS,
        success=_done,
        success_source=f"Gymnasium-Robotics: {threshold} at the last step",
        tags=_TAGS,
        packages=_PACKAGES,
    )


def _kitchen(name: str, description: str, *chores: str) -> Task:
    return Task(
        name=f"franka-kitchen-{name}",
        family=_FAMILY,
        description=description,
        make=functools.partial(_make_kitchen, chores),
        max_episode_steps=_KITCHEN_STEPS,
        success=functools.partial(_all_chores_done, len(chores)),
        success_source="Gymnasium-Robotics: everything asked has been within 0.3 of its goal, which ends the episode",
        tags=_TAGS,
        packages=_PACKAGES,
    )


_TURNED = "turned to within 0.1 rad of the goal"
_PLACED = "within 1 cm and 0.1 rad of the goal"

TASKS: tuple[Task, ...] = (
    _hand(
        "HandReach-v3",
        "Bring all five fingertips of the hand to their goals.",
        _HAND_STEPS,
        "within 1 cm of the goals, taken together,",
    ),
    _hand(
        "HandManipulateBlockRotateZ-v1",
        "Turn the block in the hand about the vertical axis to the angle of the goal.",
        _MANIPULATION_STEPS,
        _TURNED,
    ),
    _hand(
        "HandManipulateBlockRotateParallel-v1",
        "Turn the block in the hand so that the faces of the goal point where they should, at any of its angles.",
        _MANIPULATION_STEPS,
        _TURNED,
    ),
    _hand(
        "HandManipulateBlockRotateXYZ-v1",
        "Turn the block in the hand to the orientation of the goal, which may be any.",
        _MANIPULATION_STEPS,
        _TURNED,
    ),
    _hand(
        "HandManipulateBlockFull-v1",
        "Bring the block in the hand to the place and the orientation of the goal.",
        _MANIPULATION_STEPS,
        _PLACED,
    ),
    _hand(
        "HandManipulateEggRotate-v1",
        "Turn the egg in the hand to the orientation of the goal.",
        _MANIPULATION_STEPS,
        _TURNED,
    ),
    _hand(
        "HandManipulateEggFull-v1",
        "Bring the egg in the hand to the place and the orientation of the goal.",
        _MANIPULATION_STEPS,
        _PLACED,
    ),
    _hand(
        "HandManipulatePenRotate-v1",
        "Turn the pen in the hand to point where the goal does.",
        _MANIPULATION_STEPS,
        f"{_TURNED}, but for its spin,",
    ),
    _hand(
        "HandManipulatePenFull-v1",
        "Bring the pen in the hand to the place of the goal, pointing where it does.",
        _MANIPULATION_STEPS,
        "within 5 cm and, but for its spin, 0.1 rad of the goal",
    ),
    _adroit("Door", "Undo the latch with the hand and swing the door open.", "the door is open by 1.35 rad"),
    _adroit(
        "Hammer", "Pick up the hammer with the hand and drive the nail into the board.", "the nail is within 1 cm of it"
    ),
    _adroit(
        "Pen",
        "Turn the pen between the fingers to point where the green one does.",
        "the pen is within 7.5 cm of its place, and the cosine of its angle to the goal above 0.95,",
    ),
    _adroit(
        "Relocate",
        "Pick up the ball with the hand and carry it to the target.",
        "the ball is within 10 cm of the target",
    ),
    _kitchen("microwave", "Open the door of the microwave.", "microwave"),
    _kitchen("kettle", "Put the kettle on the burner behind it.", "kettle"),
    _kitchen("light-switch", "Turn on the light over the stove.", "light switch"),
    _kitchen("slide-cabinet", "Slide the cabinet's door to the right.", "slide cabinet"),
    _kitchen("hinge-cabinet", "Swing open the door of the hinged cabinet.", "hinge cabinet"),
    _kitchen("bottom-burner", "Turn the knob of the lower burner.", "bottom burner"),
    _kitchen("top-burner", "Turn the knob of the upper burner.", "top burner"),
    _kitchen(
        "complete",
        "Open the microwave, move the kettle, turn on the light and slide the cabinet open, in any order.",
        "microwave",
        "kettle",
        "light switch",
        "slide cabinet",
    ),
)
