"""Plans in MiniGrid's worlds, made with full knowledge of the grid: doors, keys, boxes, things in the way.

A plan is a list of actions up to the next point where it pays to look again: its end may lie before the goal, at a
key that was fetched or a ball that was moved aside. An empty plan means that the goal is reached, None that no way
leads there.
"""

import heapq
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np

from .grid_view import DROP, FORWARD, LEFT, PICK_UP, RIGHT, TOGGLE
from .task import Expert

_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))  # (x, y) of a step in each direction of MiniGrid
_RING = ((-1, -1), (0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0))  # a cell's neighbours, clockwise
_PICKABLE = ("key", "ball", "box")
# What a way through costs, in steps: moving a thing aside, and finding the key of a locked door.
_BLOCKED, _LOCKED = 20, 200
_MAX_DEPTH = 20  # keys behind doors whose keys lie behind doors

Plan = list[int] | None


class Planner:
    """The present state of a MiniGrid world, and ways through it; cells are indices, row by row.

    The world is read, never changed.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], forbidden: Iterable[tuple[int, int]] = ()) -> None:
        """Takes a snapshot of the world.

        Args:
            env: a MiniGrid environment.
            forbidden: (x, y) of cells not to enter, beside walls and lava.
        """
        world: Any = env.unwrapped
        self.world = world
        grid = world.grid
        self.width: int = grid.width
        self.cells: list[Any] = grid.grid
        self._num_rows: int = grid.height
        self.carrying: Any = world.carrying
        x, y = (int(number) for number in world.agent_pos)
        self._pose = (y * self.width + x) * 4 + int(world.agent_dir)
        self._forbidden = {self.cell_at(position) for position in forbidden}
        self._steps = tuple(y_step * self.width + x_step for x_step, y_step in _STEPS)
        self._ring = tuple(y_step * self.width + x_step for x_step, y_step in _RING)
        self._costs = [self._cost(index, cell) for index, cell in enumerate(self.cells)]
        self._kept_free: set[int] = set()  # cells of the ways planned so far, where nothing may be put down
        self._depth = 0

    def cell_at(self, position: tuple[int, int]) -> int:
        """The index of the cell at (x, y)."""
        return int(position[1]) * self.width + int(position[0])

    def find(self, matches: Callable[[Any], bool]) -> list[int]:
        """The cells whose object matches."""
        return [index for index, cell in enumerate(self.cells) if cell is not None and matches(cell)]

    def near(self, cell: int) -> list[int]:
        """The eight cells around one that is not at the grid's edge."""
        return [cell + step for step in self._ring]

    def walk_to(self, cells: Iterable[int]) -> Plan:
        """To stand on the nearest of the cells."""
        cells = set(cells)
        plan, _ = self._go({cell * 4 + direction for cell in cells for direction in range(4)}, allowed=cells)
        return plan

    def walk_among_movers(self, cells: Iterable[int]) -> Plan:
        """One action on the way to the nearest of the cells, past things that move by themselves at every step.

        It never walks into a thing that is there now: it waits by turning, or goes round it.
        """
        cells = set(cells)
        ahead = self._pose // 4 + self._steps[self._pose % 4]
        costs = [1 if cost == _BLOCKED or index in cells else cost for index, cost in enumerate(self._costs)]
        if self._costs[ahead] == _BLOCKED:
            costs[ahead] = 0
        ends = {cell * 4 + direction for cell in cells for direction in range(4)}
        if (route := self._route(ends, costs)) is None or len(route) < 2:
            return None
        here, there = route[:2]
        return [FORWARD] if here // 4 != there // 4 else [RIGHT if (there - here) % 4 == 1 else LEFT]

    def face(self, cells: Iterable[int]) -> Plan:
        """To stand before the nearest of the cells, looking at it."""
        plan, _ = self._go(self._poses_before(cells))
        return plan

    def act_on(self, cells: Iterable[int], action: int) -> Plan:
        """To face the nearest of the cells and take an action there."""
        plan, complete = self._go(self._poses_before(cells))
        return [*plan, action] if plan is not None and complete else plan

    def open_door(self, door: Any) -> Plan:
        """To open a door; its key is fetched where it is locked."""
        if door.is_locked and not self._has_key_of(door):
            return self._fetch_key(door)
        return self.act_on(self.find(lambda cell: cell is door), TOGGLE)

    def pick_up(self, cells: Iterable[int]) -> Plan:
        """To take the nearest of the cells' objects into the hand, which is emptied before."""
        before = self._poses_before(cells)
        if self.carrying is not None and (route := self._route(before, self._costs)) is not None:
            plan, complete = self._follow(route)
            if complete:  # doors on the way need no key any more
                self._kept_free.update(pose // 4 for pose in route)
                plan = self._put_down()
            return plan
        plan, complete = self._go(before)
        return [*plan, PICK_UP] if plan is not None and complete else plan

    def drop_at(self, cells: Iterable[int]) -> Plan:
        """To put what the hand holds onto the nearest of the cells that are empty."""
        agent = self._pose // 4
        return self.act_on([cell for cell in cells if self.cells[cell] is None and cell != agent], DROP)

    def _cost(self, index: int, cell: Any) -> int:
        """Of walking into a cell; 0 where that is impossible or ends the episode."""
        row, column = divmod(index, self.width)
        if index in self._forbidden or row in (0, self._num_rows - 1) or column in (0, self.width - 1):
            return 0  # beyond the grid's edge there is nothing, even where it has a door
        if cell is None or cell.type == "floor":
            return 1
        if cell.type == "door":
            if cell.is_open:
                return 1
            return 2 if not cell.is_locked or self._has_key_of(cell) else _LOCKED
        return _BLOCKED if cell.type in _PICKABLE else 0

    def _has_key_of(self, door: Any) -> bool:
        return self.carrying is not None and self.carrying.type == "key" and self.carrying.color == door.color

    def _poses_before(self, cells: Iterable[int]) -> set[int]:
        """Those that face one of the cells."""
        return {
            (cell - step) * 4 + direction
            for cell in cells
            for direction, step in enumerate(self._steps)
            if 0 <= cell - step < len(self.cells)
        }

    def _go(self, ends: set[int], allowed: Iterable[int] = ()) -> tuple[Plan, bool]:
        """The plan towards the nearest of the poses, and whether it gets there."""
        costs = self._costs
        if allowed:
            costs = list(costs)
            for cell in allowed:
                costs[cell] = costs[cell] or 1
        route = self._route(ends, costs)
        return (None, False) if route is None else self._follow(route)

    def _route(self, ends: set[int], costs: list[int]) -> list[int] | None:
        """The cheapest chain of poses (cell * 4 + direction) from here to one of the ends, by Dijkstra's search."""
        queue = [(0, self._pose)]
        best = {self._pose: 0}
        before: dict[int, int] = {}
        while queue:
            cost, pose = heapq.heappop(queue)
            if cost > best[pose]:
                continue
            if pose in ends:
                route = [pose]
                while route[-1] in before:
                    route.append(before[route[-1]])
                return route[::-1]
            cell, direction = divmod(pose, 4)
            ahead = cell + self._steps[direction]
            turned = cell * 4
            neighbours = [(turned + (direction + 3) % 4, 1), (turned + (direction + 1) % 4, 1)]
            if costs[ahead]:
                neighbours.append((ahead * 4 + direction, costs[ahead]))
            for neighbour, step_cost in neighbours:
                if cost + step_cost < best.get(neighbour, 1 << 30):
                    best[neighbour] = cost + step_cost
                    before[neighbour] = pose
                    heapq.heappush(queue, (cost + step_cost, neighbour))
        return None

    def _follow(self, route: list[int]) -> tuple[Plan, bool]:
        """The actions along a route, or what has to be done first where something is in the way."""
        plan: list[int] = []
        way = {pose // 4 for pose in route}
        for here, there in pairwise(route):
            if here // 4 == there // 4:
                plan.append(RIGHT if (there - here) % 4 == 1 else LEFT)
                continue
            obstacle = self.cells[there // 4]
            if obstacle is not None and obstacle.type == "door" and not obstacle.is_open:
                if obstacle.is_locked and not self._has_key_of(obstacle):
                    self._kept_free |= way
                    return self._fetch_key(obstacle), False
                plan.append(TOGGLE)
                if obstacle.is_locked:  # the key has done its work, which may change what comes next
                    return plan, False
            elif obstacle is not None and obstacle.type in _PICKABLE:
                self._kept_free |= way
                return self._take_away(there // 4), False
            plan.append(FORWARD)
        return plan, True

    def _fetch_key(self, door: Any) -> Plan:
        """To take the key of a locked door, out of its box where it is in one."""

        def is_key(thing: Any) -> bool:
            return thing is not None and thing.type == "key" and thing.color == door.color

        self._depth += 1
        if self._depth > _MAX_DEPTH:
            return None
        if keys := self.find(is_key):
            return self.pick_up(keys)
        if boxes := self.find(lambda cell: cell.type == "box" and is_key(cell.contains)):
            return self.act_on(boxes, TOGGLE)
        return None if self.carrying is None else self._put_down()  # the box may be in the hand

    def _take_away(self, cell: int) -> Plan:
        """To take what lies in the way; whatever comes next puts it aside."""
        self._depth += 1
        return None if self._depth > _MAX_DEPTH else self.pick_up([cell])

    def _put_down(self) -> Plan:
        """To lay what the hand holds where it is not in the way, as far as there is such a place."""
        here = self._pose // 4
        free = [
            index
            for index, (cell, cost) in enumerate(zip(self.cells, self._costs, strict=True))
            if cell is None and cost and index != here
        ]
        aside = [index for index in free if index not in self._kept_free]
        passable = [0 if cost >= _BLOCKED else cost for cost in self._costs]
        for choice in ([index for index in aside if self._is_harmless(index)], aside, free):
            route = self._route(self._poses_before(choice), passable)
            if route is not None:
                plan, complete = self._follow(route)
                return [*plan, DROP] if plan is not None and complete else plan
        return None

    def _is_harmless(self, index: int) -> bool:
        """Whether the cells around stay connected with each other when this one is blocked, and no door is beside."""
        ring = [self.cells[cell] for cell in self.near(index)]
        if any(cell is not None and cell.type == "door" for cell in ring[1::2]):
            return False
        free = [cell is None for cell in ring]
        return sum(one != other for one, other in pairwise([*free, free[0]])) <= 2


class PlanExpert:
    """Follows a plan while the world goes as planned, and plans again when it does not."""

    def __init__(self, env: gymnasium.Env[Any, Any], goal: Callable[[Planner], Plan]) -> None:
        self._env = env
        self._goal = goal
        self._plan: list[int] = []
        self._expected: tuple[int, int] | None = None  # number of steps and last action, if the plan is followed

    def reset(self) -> None:
        self._plan = []

    def act(self, observation: dict[str, Any]) -> int:
        num_steps = self._env.unwrapped.step_count  # type: ignore[attr-defined]
        if not self._plan or (num_steps, self._env.get_wrapper_attr("last_action")) != self._expected:
            # Where there is no way, as when noise destroyed what the mission needs, it turns until the time is up.
            self._plan = self._new_plan() or [LEFT]
        action = self._plan.pop(0)
        self._expected = (num_steps + 1, action)
        return action

    def _new_plan(self) -> Plan:
        return self._goal(Planner(self._env))


def plan_expert(goal: Callable[[Planner], Plan]) -> Callable[[gymnasium.Env[Any, Any], np.random.Generator], Expert]:
    """Turns what plans the way to a goal into what `Task.make_expert` expects."""

    def make_expert(env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> Expert:
        return PlanExpert(env, goal)

    return make_expert
