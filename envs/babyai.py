"""BabyAI levels (Chevalier-Boisvert et al., 2019) from MiniGrid: missions in English, and the bot that solves them.

Each level is here once. Left out are a second name of KeyCorridor (S6R3) and the levels called Debug: they begin like
the plain ones and differ only in ending where a wrong thing is opened or picked up. Two of those, OpenDoorsOrder's,
can moreover not be solved: the step that opens the first door counts as a wrong opening of the second.

Some missions of GoToImpUnlock (7 of 100) and Unlock (2 of 100) cannot be accomplished either: MiniGrid 3.2.0 may lay
the only key into the room that it opens.
"""

import functools
from typing import Any

import gymnasium
import numpy as np

from .grid_planner import Plan, Planner, plan_expert
from .grid_view import DONE, EXTRA, grid_tasks
from .simulator import import_simulator
from .task import Expert, Task

_MAX_PUSHED = 200  # subgoals that the bot may push for one action; it needs a few, and where stuck never stops
_MAX_RESTARTS = 10  # fresh starts of the bot in one episode


class _PlanTooLongError(Exception):
    """The bot pushes subgoals without end."""


class _BoundedPlan(list[Any]):
    """The bot's stack of subgoals, which counts what is pushed while one action is found."""

    pushed = 0

    def append(self, subgoal: Any) -> None:
        self.pushed += 1
        if self.pushed > _MAX_PUSHED:
            raise _PlanTooLongError
        super().append(subgoal)


class _BotExpert:
    """MiniGrid's BabyAIBot, told which actions were really executed.

    Where the bot finds no plan, or believes the mission accomplished, it starts afresh from the present state. After
    too many fresh starts it answers `done`, which does nothing, until the episode runs out of time.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self._env = env
        module = import_simulator("minigrid.utils.baby_ai_bot", EXTRA)
        self._new_bot = module.BabyAIBot
        # Where it finds no place to put something down, it takes None for a position.
        self._failures = (AssertionError, TypeError, _PlanTooLongError, module.DisappearedBoxError)
        self._bot: Any = None
        self._restarts = 0

    def reset(self) -> None:
        self._restarts = 0
        self._start_bot()

    def act(self, observation: dict[str, Any]) -> int:
        action = self._suggestion(self._env.get_wrapper_attr("last_action"))
        if action == DONE and self._restarts < _MAX_RESTARTS:
            self._restarts += 1
            self._start_bot()
            action = self._suggestion(None)
        return action

    def _start_bot(self) -> None:
        self._bot = self._new_bot(self._env)
        world: Any = self._env.unwrapped
        move = getattr(world.instrs, "desc_move", None)
        if move is not None and any(thing is world.carrying for thing in move.obj_set):
            del self._bot.stack[-2:]  # to go and pick up what is in the hand already
        self._bot.stack = _BoundedPlan(self._bot.stack)

    def _suggestion(self, last_action: int | None) -> int:
        if self._bot is None:
            return DONE
        self._bot.stack.pushed = 0
        try:
            return int(self._bot.replan(last_action))
        except self._failures:
            self._bot = None
            return DONE


def _open_the_door(planner: Planner) -> Plan:
    (door,) = planner.world.instrs.desc.obj_set
    return planner.open_door(door)


def _pick_up_the_ball(planner: Planner) -> Plan:
    (ball,) = planner.world.instrs.desc.obj_set
    return planner.pick_up(planner.find(lambda cell: cell is ball))


def _bot(env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> Expert:
    return _BotExpert(env)


# Never trained on: a known mission in a new place, and a size between those that are trained.
HELD_OUT = ("PickupAbove-v0", "PutNextS6N3-v0")

# A mission of several parts gets time by their number: the steps are those of the longest mission.
_levels = functools.partial(
    grid_tasks,
    family="babyai",
    prefix="BabyAI",
    success_source="BabyAI: reward is given for an accomplished mission only",
    held_out=HELD_OUT,
)

TASKS: tuple[Task, ...] = (
    *_levels(
        _bot,
        (
            ("GoToRedBallGrey-v0", 64, "Walk to the red ball in a room where everything else is grey."),
            ("GoToRedBall-v0", 64, "Walk to the red ball among objects of all colors."),
            ("GoToRedBallNoDists-v0", 64, "Walk to the red ball in a room that holds nothing else."),
            ("GoToRedBlueBall-v0", 64, "Walk to the ball that is red or blue, as the mission says, among others."),
            ("GoToObj-v0", 64, "Walk to the only object in the room."),
            ("GoToObjS4-v0", 16, "Walk to the only object in a tiny room."),
            ("GoToObjS6-v1", 36, "Walk to the only object in a small room."),
            ("GoToLocal-v0", 64, "Walk to the object that the mission names, among others."),
            ("GoToLocalS5N2-v0", 25, "Walk to the one of two objects in a tiny room that the mission names."),
            ("GoToLocalS6N2-v0", 36, "Walk to the one of two objects in a small room that the mission names."),
            ("GoToLocalS6N3-v0", 36, "Walk to the one of three objects in a small room that the mission names."),
            ("GoToLocalS6N4-v0", 36, "Walk to the one of four objects in a small room that the mission names."),
            ("GoToLocalS7N4-v0", 49, "Walk to the one of four objects in a medium room that the mission names."),
            ("GoToLocalS7N5-v0", 49, "Walk to the one of five objects in a medium room that the mission names."),
            ("GoToLocalS8N2-v0", 64, "Walk to the one of two objects in a large room that the mission names."),
            ("GoToLocalS8N3-v0", 64, "Walk to the one of three objects in a large room that the mission names."),
            ("GoToLocalS8N4-v0", 64, "Walk to the one of four objects in a large room that the mission names."),
            ("GoToLocalS8N5-v0", 64, "Walk to the one of five objects in a large room that the mission names."),
            ("GoToLocalS8N6-v0", 64, "Walk to the one of six objects in a large room that the mission names."),
            ("GoToLocalS8N7-v0", 64, "Walk to the one of seven objects in a large room that the mission names."),
            ("GoTo-v0", 576, "Find the object named in nine rooms with doors, and walk to it."),
            ("GoToOpen-v0", 576, "Find the object named in nine rooms with open doors, and walk to it."),
            ("GoToObjMaze-v0", 576, "Find the only object in nine rooms with doors, and walk to it."),
            ("GoToObjMazeOpen-v0", 576, "Find the only object in nine rooms with open doors, and walk to it."),
            ("GoToObjMazeS4R2-v0", 64, "Find the only object in four tiny rooms with doors, and walk to it."),
            ("GoToObjMazeS4-v0", 144, "Find the only object in nine tiny rooms with doors, and walk to it."),
            ("GoToObjMazeS5-v0", 225, "Find the only object in nine small rooms with doors, and walk to it."),
            ("GoToObjMazeS6-v0", 324, "Find the only object in nine medium rooms with doors, and walk to it."),
            ("GoToObjMazeS7-v0", 441, "Find the only object in nine large rooms with doors, and walk to it."),
            ("GoToImpUnlock-v0", 576, "Find the object named behind a locked door whose key lies elsewhere."),
            ("GoToSeq-v0", 2304, "Walk to several things in nine rooms in the order told."),
            ("GoToSeqS5R2-v0", 400, "Walk to several things in four small rooms in the order told."),
            ("GoToDoor-v0", 441, "Walk to the door of the color that the mission names."),
            ("GoToObjDoor-v0", 576, "Walk to the object or the door that the mission names."),
            ("ActionObjDoor-v0", 441, "Walk to something, pick it up or open it, as the mission says."),
            ("Open-v0", 576, "Find the door of the color that the mission names in nine rooms, and open it."),
            ("OpenRedDoor-v0", 50, "Open the red door, the only one in the room."),
            ("OpenDoor-v0", 576, "Open the door that the mission names by color or by place."),
            ("OpenDoorColor-v0", 576, "Open the door that the mission names by color."),
            ("OpenDoorLoc-v0", 576, "Open a door named by place: left, right, in front or behind."),
            ("OpenTwoDoors-v0", 720, "Open the two doors of the room in the order that the mission tells."),
            ("OpenRedBlueDoors-v0", 720, "Open the red door first and then the blue one."),
            ("OpenDoorsOrderN2-v0", 720, "Open one door or both of two, in the order that the mission tells."),
            ("OpenDoorsOrderN4-v0", 720, "Open one or two of four doors, in the order that the mission tells."),
            ("Pickup-v0", 576, "Find the object that the mission names in nine rooms, and pick it up."),
            ("UnblockPickup-v0", 576, "Find the object named, move aside what is in the way, and pick it up."),
            ("PickupLoc-v0", 64, "Pick up the object that the mission names, perhaps by where it lies."),
            ("PickupDist-v0", 49, "Pick up an object that the mission names by color, type or both."),
            ("PickupAbove-v0", 288, "Pick up the object in the room above, through the door."),
            ("OneRoomS8-v0", 64, "Pick up the ball in a small room that holds nothing else."),
            ("OneRoomS12-v0", 144, "Pick up the ball in a medium room that holds nothing else."),
            ("OneRoomS16-v0", 256, "Pick up the ball in a large room that holds nothing else."),
            ("OneRoomS20-v0", 400, "Pick up the ball in a huge room that holds nothing else."),
            ("FindObjS5-v0", 500, "Find the only object in nine small rooms, and pick it up."),
            ("FindObjS6-v0", 720, "Find the only object in nine medium rooms, and pick it up."),
            ("FindObjS7-v0", 980, "Find the only object in nine large rooms, and pick it up."),
            ("PutNextLocal-v0", 128, "Put one of the eight objects in the room next to another."),
            ("PutNextLocalS5N3-v0", 50, "Put one of three objects in a tiny room next to another."),
            ("PutNextLocalS6N4-v0", 72, "Put one of four objects in a small room next to another."),
            ("PutNextS4N1-v0", 128, "Put an object next to one on the other side; each tiny side has one object."),
            ("PutNextS5N1-v0", 200, "Put an object next to one on the other side; each small side has one object."),
            ("PutNextS5N2-v0", 200, "Put an object next to one on the other side; each small side has two objects."),
            ("PutNextS6N3-v0", 288, "Put an object next to one on the other side; each medium side has three objects."),
            ("PutNextS7N4-v0", 392, "Put an object next to one on the other side; each large side has four objects."),
            ("PutNextS5N2Carrying-v0", 200, "Put the object in hand next to one of the two on the other side."),
            ("PutNextS6N3Carrying-v0", 288, "Put the object in hand next to one of the three on the other side."),
            ("PutNextS7N4Carrying-v0", 392, "Put the object in hand next to one of the four on the other side."),
            ("MoveTwoAcrossS5N2-v0", 400, "Put two objects next to two others across a small room, in order."),
            ("MoveTwoAcrossS8N9-v0", 1024, "Put two objects next to two others across a large, full room, in order."),
            ("Unlock-v0", 576, "Find the key of the locked door named among nine rooms, and open the door."),
            ("UnlockLocal-v0", 576, "Open the locked door with the key that lies in the same room."),
            ("UnlockLocalDist-v0", 576, "Open the locked door with the key that lies among other objects."),
            ("UnlockPickup-v0", 72, "Unlock the door with the key and pick up the box in the next room."),
            ("UnlockPickupDist-v0", 72, "Unlock the door and pick up the box in the next room among other objects."),
            ("BlockedUnlockPickup-v0", 576, "Clear the ball from the door, unlock it and pick up the box behind it."),
            ("KeyCorridorS3R1-v0", 270, "Find the key and pick up the ball in the locked one of two tiny rooms."),
            ("KeyCorridorS3R2-v0", 270, "Find the key and pick up the ball in the locked one of four tiny rooms."),
            ("KeyCorridorS3R3-v0", 270, "Find the key and pick up the ball in the locked one of six tiny rooms."),
            ("KeyCorridorS4R3-v0", 480, "Find the key and pick up the ball in the locked one of six small rooms."),
            ("KeyCorridorS5R3-v0", 750, "Find the key and pick up the ball in the locked one of six medium rooms."),
            ("KeyCorridor-v0", 1080, "Find the key and pick up the ball in the locked one of six large rooms."),
            ("Synth-v0", 1152, "Go to, pick up, open or put next to something in nine rooms, as told."),
            ("SynthS5R2-v0", 300, "Go to, pick up, open or put next to something in six small rooms, as told."),
            ("SynthLoc-v0", 1152, "Go to, pick up, open or put next to something, perhaps named by place, as told."),
            ("SynthSeq-v0", 4608, "Do several things in nine rooms in the order told."),
            ("MiniBossLevel-v0", 800, "Do several things in four small rooms in order, unlocking doors unasked."),
            ("BossLevel-v0", 4608, "Do several things in nine rooms in order, unlocking doors unasked."),
            ("BossLevelNoUnlock-v0", 4608, "Do several things in nine rooms without locked doors in the order told."),
        ),
    ),
    # The bot does not look into boxes, and loses its way between two locked doors.
    *_levels(
        plan_expert(_open_the_door),
        (("KeyInBox-v0", 576, "Open the locked door with the key that is hidden in a box."),),
    ),
    *_levels(
        plan_expert(_pick_up_the_ball),
        (("UnlockToUnlock-v0", 1080, "Fetch the key of one locked door from behind another, and pick up the ball."),),
    ),
)
