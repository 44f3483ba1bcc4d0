"""MiniGrid (Chevalier-Boisvert et al., 2023): small worlds of rooms, doors, keys and lava, solved by a planner.

Left out are Playground, which has no goal, the WFC mazes, which need a generator of their own, and older versions of a
world that has a newer one. The planner knows the whole grid, so its demonstrations go straight to things that the agent
has not seen yet; only where the point is to remember something does it look first.
"""

import functools
from typing import Any

import gymnasium
import numpy as np

from .grid_planner import Plan, PlanExpert, Planner, plan_expert
from .grid_view import ACTION_NAMES, DONE, FORWARD, grid_tasks
from .task import Expert, Task


def _reach_goal(planner: Planner) -> Plan:
    return planner.walk_to(planner.find(lambda cell: cell.type == "goal"))


def _reach_goal_among_obstacles(planner: Planner) -> Plan:
    return planner.walk_among_movers(planner.find(lambda cell: cell.type == "goal"))


def _fetch(planner: Planner) -> Plan:
    world = planner.world
    return planner.pick_up(planner.find(lambda cell: (cell.type, cell.color) == (world.targetType, world.targetColor)))


def _say_done_at_target(planner: Planner) -> Plan:
    return planner.act_on([planner.cell_at(planner.world.target_pos)], DONE)


def _pick_up_object(planner: Planner) -> Plan:
    return planner.pick_up(planner.find(lambda cell: cell is planner.world.obj))


def _open_door(planner: Planner) -> Plan:
    return planner.open_door(planner.world.door)


def _open_red_then_blue(planner: Planner) -> Plan:
    world = planner.world
    return planner.open_door(world.blue_door if world.red_door.is_open else world.red_door)


def _put_near(planner: Planner) -> Plan:
    world = planner.world
    if planner.carrying is None:
        kind = (world.move_type, world.moveColor)
        return planner.pick_up(planner.find(lambda cell: (cell.type, cell.color) == kind))
    return planner.drop_at(planner.near(planner.cell_at(world.target_pos)))


class _MemoryExpert(PlanExpert):
    """Looks at the object in the first room before it goes to the one that matches."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env, _reach_goal)
        self._has_looked = False

    def reset(self) -> None:
        super().reset()
        self._has_looked = False

    def _new_plan(self) -> Plan:
        world: Any = self._env.unwrapped
        planner = Planner(self._env, forbidden=[world.failure_pos])
        cue = planner.cell_at((1, world.height // 2 - 1))
        view, _ = world.gen_obs_grid()
        self._has_looked = self._has_looked or any(cell is planner.cells[cue] for cell in view.grid)
        if self._has_looked:
            return planner.walk_to([planner.cell_at(world.success_pos)])
        plan = planner.face([cue])
        return plan and plan[:1]  # it may come into sight at every step


def _memory_expert(env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> Expert:
    return _MemoryExpert(env)


# Never trained on: more walls, and a larger place, than those that are trained.
HELD_OUT = ("SimpleCrossingS11N5-v0", "GoToObject-8x8-N2-v0")

_worlds = functools.partial(
    grid_tasks,
    family="minigrid",
    prefix="MiniGrid",
    success_source="MiniGrid: a positive reward is given for an accomplished mission only",
    held_out=HELD_OUT,
)

TASKS: tuple[Task, ...] = (
    *_worlds(
        plan_expert(_reach_goal),
        (
            ("Empty-5x5-v0", 100, "Cross a tiny empty room to the green goal in the far corner."),
            ("Empty-6x6-v0", 144, "Cross a small empty room to the green goal in the far corner."),
            ("Empty-8x8-v0", 256, "Cross a medium empty room to the green goal in the far corner."),
            ("Empty-16x16-v0", 1024, "Cross a large empty room to the green goal in the far corner."),
            ("Empty-Random-5x5-v0", 100, "Walk from anywhere in a tiny empty room to the green goal."),
            ("Empty-Random-6x6-v0", 144, "Walk from anywhere in a small empty room to the green goal."),
            ("FourRooms-v0", 100, "Find the green goal in one of four rooms that open into each other."),
            ("DoorKey-5x5-v0", 250, "Unlock the door with the key and reach the green goal, in a tiny grid."),
            ("DoorKey-6x6-v0", 360, "Unlock the door with the key and reach the green goal, in a small grid."),
            ("DoorKey-8x8-v0", 640, "Unlock the door with the key and reach the green goal, in a medium grid."),
            ("DoorKey-16x16-v0", 2560, "Unlock the door with the key and reach the green goal, in a large grid."),
            ("MultiRoom-N2-S4-v0", 40, "Go through the door of the first small room to the green goal in the second."),
            ("MultiRoom-N4-S5-v1", 80, "Go door after door through four small rooms to the green goal."),
            ("MultiRoom-N6-v0", 120, "Go door after door through six rooms to the green goal."),
            ("LockedRoom-v0", 190, "Fetch the key from the room named and reach the goal in the locked room."),
            ("SimpleCrossingS9N1-v0", 324, "Reach the green goal through the gap in a wall."),
            ("SimpleCrossingS9N2-v0", 324, "Reach the green goal through the gaps in two walls."),
            ("SimpleCrossingS9N3-v0", 324, "Reach the green goal through the gaps in three walls."),
            ("SimpleCrossingS11N5-v0", 484, "Reach the green goal through the gaps in five walls."),
            ("LavaCrossingS9N1-v0", 324, "Reach the green goal through the gap in a river of lava."),
            ("LavaCrossingS9N2-v0", 324, "Reach the green goal through the gaps in two rivers of lava."),
            ("LavaCrossingS9N3-v0", 324, "Reach the green goal through the gaps in three rivers of lava."),
            ("LavaCrossingS11N5-v0", 484, "Reach the green goal through the gaps in five rivers of lava."),
            ("LavaGapS5-v0", 100, "Pass the gap in the strip of lava across a tiny room to the green goal."),
            ("LavaGapS6-v0", 144, "Pass the gap in the strip of lava across a small room to the green goal."),
            ("LavaGapS7-v0", 196, "Pass the gap in the strip of lava across a medium room to the green goal."),
            ("DistShift1-v0", 252, "Walk around two strips of lava that lie side by side to the green goal."),
            ("DistShift2-v0", 252, "Walk between two strips of lava that lie far apart to the green goal."),
        ),
    ),
    *_worlds(
        plan_expert(_reach_goal_among_obstacles),
        (
            ("Dynamic-Obstacles-5x5-v0", 100, "Cross a tiny room to the goal without bumping into two moving balls."),
            (
                "Dynamic-Obstacles-6x6-v0",
                144,
                "Cross a small room to the goal without bumping into three moving balls.",
            ),
            (
                "Dynamic-Obstacles-8x8-v0",
                256,
                "Cross a medium room to the goal without bumping into four moving balls.",
            ),
            (
                "Dynamic-Obstacles-16x16-v0",
                1024,
                "Cross a large room to the goal without bumping into eight moving balls.",
            ),
            (
                "Dynamic-Obstacles-Random-5x5-v0",
                100,
                "Walk from anywhere in a tiny room to the goal past two moving balls.",
            ),
            (
                "Dynamic-Obstacles-Random-6x6-v0",
                144,
                "Walk from anywhere in a small room to the goal past three moving balls.",
            ),
        ),
        ACTION_NAMES[: FORWARD + 1],
    ),
    *_worlds(
        plan_expert(_fetch),
        (
            ("Fetch-5x5-N2-v0", 125, "Pick up the one of two objects in a tiny room that the mission names."),
            ("Fetch-6x6-N2-v0", 180, "Pick up the one of two objects in a small room that the mission names."),
            ("Fetch-8x8-N3-v0", 320, "Pick up the one of three objects in a medium room that the mission names."),
        ),
    ),
    *_worlds(
        plan_expert(_say_done_at_target),
        (
            ("GoToDoor-5x5-v0", 100, "Walk to the door that the mission names in a tiny room, and say done."),
            ("GoToDoor-6x6-v0", 144, "Walk to the door that the mission names in a small room, and say done."),
            ("GoToDoor-8x8-v0", 256, "Walk to the door that the mission names in a room of any size, and say done."),
            ("GoToObject-6x6-N2-v0", 180, "Walk to the object that the mission names in a small room, and say done."),
            ("GoToObject-8x8-N2-v0", 320, "Walk to the object that the mission names in a medium room, and say done."),
        ),
    ),
    *_worlds(
        plan_expert(_put_near),
        (
            ("PutNear-6x6-N2-v0", 30, "Carry one of two objects next to the other, as the mission says."),
            ("PutNear-8x8-N3-v0", 40, "Carry one of three objects next to another, as the mission says."),
        ),
    ),
    *_worlds(
        plan_expert(_open_red_then_blue),
        (
            ("RedBlueDoors-6x6-v0", 720, "Open the red door of a small room first, then the blue one."),
            ("RedBlueDoors-8x8-v0", 1280, "Open the red door of a medium room first, then the blue one."),
        ),
    ),
    *_worlds(
        plan_expert(_open_door),
        (("Unlock-v0", 288, "Take the key and unlock the door."),),
    ),
    *_worlds(
        plan_expert(_pick_up_object),
        (
            ("UnlockPickup-v0", 288, "Unlock the door with the key and pick up the box in the next room."),
            ("BlockedUnlockPickup-v0", 576, "Clear the ball from the door, unlock it and pick up the box behind it."),
            ("KeyCorridorS3R1-v0", 270, "Find the key and pick up the ball in the locked one of two tiny rooms."),
            ("KeyCorridorS3R2-v0", 270, "Find the key and pick up the ball in the locked one of four tiny rooms."),
            ("KeyCorridorS3R3-v0", 270, "Find the key and pick up the ball in the locked one of six tiny rooms."),
            ("KeyCorridorS4R3-v0", 480, "Find the key and pick up the ball in the locked one of six small rooms."),
            ("KeyCorridorS5R3-v0", 750, "Find the key and pick up the ball in the locked one of six medium rooms."),
            ("KeyCorridorS6R3-v0", 1080, "Find the key and pick up the ball in the locked one of six large rooms."),
            ("ObstructedMaze-1Dl-v0", 288, "Pick up the blue ball behind the locked door."),
            ("ObstructedMaze-1Dlh-v0", 288, "Pick up the blue ball behind a locked door whose key is in a box."),
            (
                "ObstructedMaze-1Dlhb-v0",
                288,
                "Pick up the blue ball behind a blocked, locked door; the key is in a box.",
            ),
            ("ObstructedMaze-2Dl-v0", 576, "Pick up the blue ball behind one of two locked doors."),
            ("ObstructedMaze-2Dlh-v0", 576, "Pick up the blue ball behind one of two locked doors; keys are in boxes."),
            ("ObstructedMaze-2Dlhb-v1", 576, "Pick up the blue ball behind blocked, locked doors; keys are in boxes."),
            (
                "ObstructedMaze-1Q-v1",
                720,
                "Find the blue ball behind the blocked, locked doors in a quarter of a maze.",
            ),
            ("ObstructedMaze-2Q-v1", 1584, "Find the blue ball behind the blocked, locked doors in half of a maze."),
            ("ObstructedMaze-Full-v1", 3600, "Find the blue ball behind the blocked, locked doors of a whole maze."),
        ),
    ),
    *_worlds(
        _memory_expert,
        (
            ("MemoryS7-v0", 245, "Look at the first object, then go to the same one at the end of a tiny hall."),
            ("MemoryS9-v0", 405, "Look at the first object, then go to the same one at the end of a short hall."),
            ("MemoryS11-v0", 605, "Look at the first object, then go to the same one at the end of a medium hall."),
            ("MemoryS13-v0", 845, "Look at the first object, then go to the same one at the end of a long hall."),
            ("MemoryS13Random-v0", 845, "Look at the first object, then find the same one; the hall has any length."),
            (
                "MemoryS17Random-v0",
                1445,
                "Look at the first object, then find the same one; the hall may be very long.",
            ),
        ),
    ),
)
