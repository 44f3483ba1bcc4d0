"""Sokoban solved with the fewest moves: A* over pushes, on boards held as bit masks.

A cell is a bit: cell (row, column) of a board of some width is bit `row * width + column`. Outer cells are walls, so
that shifted masks never leave the board.
"""

import functools
import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

_INFINITE = 10**6


class Push(NamedTuple):
    """The player stands on `player` and moves one cell in direction `action`, a box before it."""

    player: int  # bit index
    action: int


@dataclass(frozen=True)
class Board:
    """What does not move in a level, and what follows from it."""

    width: int
    floor: int  # mask of all cells that are no wall
    targets: int  # mask
    steps: tuple[int, ...] = field(init=False)  # what each action (up, down, left, right) adds to a bit index

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", (-self.width, self.width, -1, 1))

    @functools.cached_property
    def push_distances(self) -> list[list[int]]:
        """Fewest pushes from each cell to each target, by target then cell, were there no other box."""
        tables = []
        for target in bits(self.targets):
            distances = [_INFINITE] * self.floor.bit_length()
            distances[target] = 0
            queue = [target]
            for cell in queue:
                for step in self.steps:
                    # The box came from `origin`, the player stood behind it.
                    origin, player = cell - step, cell - 2 * step
                    if self.floor >> origin & 1 and self.floor >> player & 1 and distances[origin] == _INFINITE:
                        distances[origin] = distances[cell] + 1
                        queue.append(origin)
            tables.append(distances)
        return tables

    @functools.cached_property
    def dead(self) -> int:
        """Mask of the floor from which a box reaches no target."""
        tables = self.push_distances
        return sum(1 << cell for cell in bits(self.floor) if min(table[cell] for table in tables) == _INFINITE)

    def pushes_left(self, boxes: int) -> int | None:
        """A lower bound: the cheapest way to give each box a target of its own, were each alone; None = no way."""
        totals = {0: 0}  # by the mask of targets taken
        for box in bits(boxes):
            better: dict[int, int] = {}
            for taken, total in totals.items():
                for index, table in enumerate(self.push_distances):
                    if not taken >> index & 1 and table[box] < _INFINITE:
                        now = taken | 1 << index
                        better[now] = min(better.get(now, _INFINITE), total + table[box])
            totals = better
        return min(totals.values(), default=None)

    def spread(self, cells: int) -> int:
        """The cells and their neighbours, walls included."""
        return cells | cells << 1 | cells >> 1 | cells << self.width | cells >> self.width

    def reachable(self, boxes: int, player: int) -> int:
        """Mask of the cells that the player can walk to."""
        free = self.floor & ~boxes
        seen, grown = 0, 1 << player
        while grown != seen:
            seen, grown = grown, self.spread(grown) & free
        return seen

    def is_frozen(self, boxes: int, box: int) -> bool:
        """Whether this box and others keep each other from ever moving while one of them is off target."""
        frozen = self._frozen_with(boxes, box, 0)
        return bool(frozen & ~self.targets)

    def _frozen_with(self, boxes: int, box: int, assumed: int) -> int:
        """Mask of the boxes that do not move if those in `assumed` do not, this one among them; 0 if it moves."""
        assumed |= 1 << box
        for step in (1, self.width):
            beside = 1 << (box - step) | 1 << (box + step)
            if beside & (~self.floor | assumed) or (beside & self.dead) == beside:
                continue
            for neighbour in bits(beside & boxes):
                if held := self._frozen_with(boxes, neighbour, assumed):
                    assumed = held
                    break
            else:
                return 0
        return assumed


def bits(mask: int) -> Iterator[int]:
    """The indices of the set bits, lowest first."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def shifted(mask: int, step: int) -> int:
    """All cells moved by `step` bits."""
    return mask << step if step > 0 else mask >> -step


def walk(board: Board, boxes: int, player: int, goal: int) -> list[int] | None:
    """Actions of a shortest way that pushes nothing; None where there is none."""
    free = board.floor & ~boxes
    layers = [1 << goal]
    seen = layers[0]
    while not layers[-1] >> player & 1:
        layers.append(board.spread(layers[-1]) & free & ~seen)
        seen |= layers[-1]
        if not layers[-1]:
            return None
    actions = []
    for layer in reversed(layers[:-1]):
        action = next(action for action, step in enumerate(board.steps) if layer >> (player + step) & 1)
        player += board.steps[action]
        actions.append(action)
    return actions


def solve(board: Board, boxes: int, player: int, *, max_expanded: int, greed: float = 1.0) -> list[Push] | None:
    """The pushes of a solution.

    Args:
        board: the level without what moves.
        boxes: mask.
        player: bit index.
        max_expanded: states that the search may look at.
        greed: 1 finds a solution of fewest moves, walking included; more is quicker and may take up to so many times
            as many moves.

    Returns:
        The pushes in order; the player walks a shortest way between them. None where there is no solution, or none
        was found among so many states.
    """
    pushes_left = functools.cache(board.pushes_left)
    start_left = pushes_left(boxes)
    if start_left is None:
        return None
    start = boxes << _PLAYER_BITS | player
    moves = {start: 0}
    parents: dict[int, tuple[int, Push]] = {}
    done: set[int] = set()
    queue = [(greed * start_left, start_left, start)]
    while queue and len(done) < max_expanded:
        _, _, state = heapq.heappop(queue)
        if state in done:
            continue
        done.add(state)
        boxes, player = state >> _PLAYER_BITS, state & _PLAYER_MASK
        if boxes == board.targets:
            return _way_to(state, parents)
        for push, cost in _pushes(board, boxes, player):
            step = board.steps[push.action]
            box = push.player + step
            pushed = boxes ^ 1 << box ^ 1 << box + step
            successor = pushed << _PLAYER_BITS | box
            total = moves[state] + cost
            if total >= moves.get(successor, _INFINITE):
                continue
            left = pushes_left(pushed)
            if left is None or board.is_frozen(pushed, box + step):
                continue
            moves[successor] = total
            parents[successor] = (state, push)
            heapq.heappush(queue, (total + greed * left, left, successor))
    return None


_PLAYER_BITS = 10  # of a state, which holds the boxes above them
_PLAYER_MASK = (1 << _PLAYER_BITS) - 1


def _pushes(board: Board, boxes: int, player: int) -> Iterator[tuple[Push, int]]:
    """Every push that leads to no dead cell, with the moves that it takes from here."""
    free = board.floor & ~boxes
    room = free & ~board.dead
    pushers = [shifted(boxes, -step) & shifted(room, -2 * step) & free for step in board.steps]
    anywhere = functools.reduce(int.__or__, pushers)
    layer = seen = 1 << player
    distance = 0
    while layer:
        distance += 1
        if layer & anywhere:
            for action, mask in enumerate(pushers):
                for cell in bits(layer & mask):
                    yield Push(cell, action), distance
        layer = board.spread(layer) & free & ~seen
        seen |= layer


def _way_to(state: int, parents: dict[int, tuple[int, Push]]) -> list[Push]:
    way = []
    while state in parents:
        state, push = parents[state]
        way.append(push)
    return way[::-1]
