"""Sokoban levels drawn at random: rooms joined by corridors, and boxes pulled away from their targets.

What pulling has brought about, pushing undoes, so that every level comes with a solution. Drawing levels by reverse
play follows Weber et al. (2017), "Imagination-augmented agents for deep reinforcement learning", appendix; the rooms
and the search for a hard start are our own.
"""

import heapq
from dataclasses import dataclass

import numpy as np

from .sokoban_solver import Board, Push, bits, shifted, walk

_ROOM_SIDES = (2, 4)  # cells, both included
_PILLARS = 0.1  # share of the floor, where it stays in one piece
_PULL_SEARCHES = (20, 300)  # states that reverse play looks at: few make easy levels
_LEAST_PUSHES = 3  # per box


@dataclass(frozen=True)
class Level:
    """A board, what stands on it at the start, and one way to solve it."""

    board: Board
    boxes: int  # mask
    player: int  # bit index
    solution: tuple[Push, ...]  # not the shortest


def draw_level(rng: np.random.Generator, size: int, num_boxes: int, *, max_moves: int) -> Level:
    """A level of `size` times `size` cells, outer walls included, that is solved in `max_moves` moves or fewer.

    No box starts on a target.
    """
    while True:
        floor = _draw_rooms(rng, size)
        cells = list(bits(floor))
        if len(cells) < 4 * num_boxes:
            continue
        targets = sum(1 << int(cell) for cell in rng.choice(cells, num_boxes, replace=False))
        board = Board(size, floor, targets)
        level = _play_backwards(rng, board, max_moves)
        if level is not None:
            return level


def _draw_rooms(rng: np.random.Generator, size: int) -> int:
    """Mask of the floor: rooms with some pillars, each joined to the one before by a corridor with one corner."""
    floor = 0
    row = column = None
    for _ in range(int(rng.integers(size // 2 - 1, size // 2 + 2))):
        height, width = rng.integers(_ROOM_SIDES[0], _ROOM_SIDES[1] + 1, 2).tolist()
        top, left = int(rng.integers(1, size - height)), int(rng.integers(1, size - width))
        floor |= _rectangle(size, top, top + height - 1, left, left + width - 1)
        next_row, next_column = top + height // 2, left + width // 2
        if row is not None and column is not None:
            floor |= _rectangle(size, row, next_row, column, column)
            floor |= _rectangle(size, next_row, next_row, column, next_column)
        row, column = next_row, next_column
    cells = list(bits(floor))
    for cell in rng.choice(cells, round(_PILLARS * len(cells)), replace=False).tolist():
        with_pillar = Board(size, floor ^ 1 << cell, 0)
        if with_pillar.reachable(0, next(bits(with_pillar.floor))) == with_pillar.floor:
            floor = with_pillar.floor
    return floor


def _rectangle(size: int, row: int, other_row: int, column: int, other_column: int) -> int:
    """Mask of the cells between two corners, both included."""
    top, bottom = sorted((row, other_row))
    left, right = sorted((column, other_column))
    line = (1 << right + 1) - (1 << left)
    return sum(line << size * number for number in range(top, bottom + 1))


def _play_backwards(rng: np.random.Generator, board: Board, max_moves: int) -> Level | None:
    """Pulls boxes towards states that are far from solved; None where all stay near."""
    free = list(bits(board.floor & ~board.targets))
    first = (board.targets, board.reachable(board.targets, int(rng.choice(free))))
    parents: dict[tuple[int, int], tuple[tuple[int, int], Push]] = {}
    seen = {first}
    best, best_left = first, 0
    queue: list[tuple[float, tuple[int, int]]] = [(0.0, first)]
    for _ in range(int(rng.integers(*_PULL_SEARCHES))):
        if not queue:
            break
        _, state = heapq.heappop(queue)
        boxes, region = state
        left = board.pushes_left(boxes)
        assert left is not None, "pulled boxes can be pushed back"
        if left > best_left and not boxes & board.targets:
            best, best_left = state, left
        for push, pulled, player in _pulls(board, boxes, region):
            successor = (pulled, board.reachable(pulled, player))
            if successor not in seen:
                seen.add(successor)
                parents[successor] = (state, push)
                # Random detours: the straight way would pull one box to the far end after the other.
                heapq.heappush(queue, (rng.random() * 6 - (board.pushes_left(pulled) or 0), successor))
    boxes, region = best
    if best_left < _LEAST_PUSHES * board.targets.bit_count():
        return None
    solution = []
    state = best
    while state in parents:
        state, push = parents[state]
        solution.append(push)
    player = int(rng.choice(list(bits(region))))
    level = Level(board, boxes, player, tuple(solution))
    return level if _num_moves(level) <= max_moves else None


def _pulls(board: Board, boxes: int, region: int) -> list[tuple[Push, int, int]]:
    """Every pull: the push that undoes it, the boxes after it and the player after it."""
    free = board.floor & ~boxes
    pulls = []
    for action, step in enumerate(board.steps):
        # The push goes along `step`, the pull against it: the player backs off from between the box and free floor.
        for box in bits(boxes & shifted(region, step) & shifted(free, 2 * step)):
            player = box - 2 * step
            pulls.append((Push(player, action), boxes ^ 1 << box ^ 1 << box - step, player))
    return pulls


def _num_moves(level: Level) -> int:
    """Moves of the level's own solution."""
    boxes, player, moves = level.boxes, level.player, 0
    for push in level.solution:
        way = walk(level.board, boxes, player, push.player)
        assert way is not None, "reverse play leaves a way"
        moves += len(way) + 1
        player = push.player + level.board.steps[push.action]
        boxes ^= 1 << player ^ 1 << player + level.board.steps[push.action]
    return moves
