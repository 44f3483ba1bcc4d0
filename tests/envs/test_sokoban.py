"""Sokoban: its rules by hand-worked levels, and a solver that is checked against plain search."""

from collections import deque

import numpy as np
import pytest

from gato.envs import sokoban
from gato.envs.sokoban import TASKS, Sokoban
from gato.envs.sokoban_generator import draw_level
from gato.envs.sokoban_solver import Board, bits, solve, walk

TASK = {task.name: task for task in TASKS}
UP, DOWN, LEFT, RIGHT = range(4)


def level(*rows: str) -> tuple[Board, int, int]:
    """Board, boxes and player of a square level: # wall, . target, $ box, * box on target, @ player, + on target."""
    cells = "".join(rows)
    assert len(cells) == len(rows) ** 2

    def mask(letters: str) -> int:
        return sum(1 << index for index, cell in enumerate(cells) if cell in letters)

    (player,) = bits(mask("@+"))
    return Board(len(rows), mask(" .$*@+"), mask(".*+")), mask("$*"), player


def placed(*rows: str) -> Sokoban:
    board, boxes, player = level(*rows)
    env = Sokoban(size=len(rows), num_boxes=boxes.bit_count())
    env.board, env.boxes, env.player = board, boxes, player
    return env


def moves_of(board: Board, boxes: int, player: int, pushes: list) -> int:
    """Plays the pushes, each of which must be legal, to the solved state."""
    moves = 0
    for push in pushes:
        step = board.steps[push.action]
        moves += len(walk(board, boxes, player, push.player)) + 1
        player = push.player + step
        assert boxes >> player & 1
        assert (board.floor & ~boxes) >> player + step & 1
        boxes ^= 1 << player ^ 1 << player + step
    assert boxes == board.targets
    return moves


def fewest_moves(board: Board, boxes: int, player: int) -> int | None:
    """Breadth first, move by move."""
    queue, seen = deque([(boxes, player, 0)]), {(boxes, player)}
    while queue:
        boxes, player, moves = queue.popleft()
        if boxes == board.targets:
            return moves
        for step in board.steps:
            ahead, beyond, pushed = player + step, player + 2 * step, boxes
            if boxes >> ahead & 1:
                if not (board.floor & ~boxes) >> beyond & 1:
                    continue
                pushed ^= 1 << ahead ^ 1 << beyond
            if board.floor >> ahead & 1 and (pushed, ahead) not in seen:
                seen.add((pushed, ahead))
                queue.append((pushed, ahead, moves + 1))
    return None


def test_rewards_are_those_of_the_literature():
    env = placed("######", "#    #", "# .. #", "# $$@#", "#    #", "######")
    rewards = [env.step(action)[1] for action in (LEFT, UP)]
    assert rewards == pytest.approx([-0.1, -0.1])  # two boxes in a row do not move
    env = placed("######", "#    #", "# .. #", "# $$ #", "# @  #", "######")
    assert env.step(UP)[1:3] == (pytest.approx(-0.1 + 1), False)
    assert env.step(UP)[1:3] == (pytest.approx(-0.1 - 1), False)  # on, beyond and off the target


def test_last_box_on_target_ends_the_episode():
    env = placed("######", "#  .##", "#  $##", "#  @##", "######", "######")
    observation, reward, terminated, truncated, info = env.step(UP)
    assert (reward, terminated, truncated, info) == (pytest.approx(-0.1 + 1 + 10), True, False, {"success": True})
    assert observation[1, 3] == sokoban.BOX_ON_TARGET
    assert observation[2, 3] == sokoban.PLAYER


def test_walls_and_boxes_at_walls_do_not_move():
    env = placed("######", "#. $##", "#  @##", "#   ##", "######", "######")
    for action in (UP, RIGHT):
        before = (env.boxes, env.player)
        assert env.step(action)[1] == pytest.approx(-0.1)
        assert (env.boxes, env.player) == before


def test_symbols_show_everything():
    symbols = placed("######", "#.*$##", "# + ##", "#   ##", "######", "######").symbols()
    assert symbols[1].tolist() == [0, sokoban.TARGET, sokoban.BOX_ON_TARGET, sokoban.BOX, 0, 0]
    assert symbols[2].tolist() == [0, sokoban.FLOOR, sokoban.PLAYER_ON_TARGET, sokoban.FLOOR, 0, 0]


def test_solution_of_a_level_worked_by_hand():
    # Right, past the box and below it, is three moves away; then two pushes up.
    board, boxes, player = level("######", "#  . #", "#    #", "# @$ #", "#    #", "######")
    pushes = solve(board, boxes, player, max_expanded=1000)
    assert [push.action for push in pushes] == [UP, UP]
    assert moves_of(board, boxes, player, pushes) == 2 + 2


@pytest.mark.parametrize("seed", range(12))
def test_solver_needs_as_few_moves_as_plain_search(seed: int):
    drawn = draw_level(np.random.default_rng(seed), 7, 2, max_moves=100)
    pushes = solve(drawn.board, drawn.boxes, drawn.player, max_expanded=10_000)
    fewest = fewest_moves(drawn.board, drawn.boxes, drawn.player)
    assert moves_of(drawn.board, drawn.boxes, drawn.player, pushes) == fewest


@pytest.mark.parametrize("seed", range(12))
def test_solver_knows_a_lost_level_as_plain_search_does(seed: int):
    """Boxes put anywhere: some of these levels can be solved, most cannot."""
    rng = np.random.default_rng(seed)
    board = draw_level(rng, 7, 2, max_moves=100).board
    for _ in range(8):
        *boxes, player = rng.choice(list(bits(board.floor)), 3, replace=False).tolist()
        mask = sum(1 << box for box in boxes)
        solved = solve(board, mask, player, max_expanded=10_000) is not None
        assert solved == (fewest_moves(board, mask, player) is not None)


def test_two_boxes_side_by_side_at_a_wall_are_stuck():
    board, boxes, _ = level("######", "# $$ #", "#    #", "# .. #", "#  @ #", "######")
    assert board.is_frozen(boxes, next(bits(boxes)))
    assert solve(board, boxes, 26, max_expanded=1) is None
    board, boxes, _ = level("######", "# ** #", "#    #", "#    #", "#  @ #", "######")
    assert not board.is_frozen(boxes, next(bits(boxes)))


@pytest.mark.parametrize(("size", "num_boxes"), [(7, 1), (8, 2), (10, 3), (10, 4)])
def test_levels_come_with_a_solution_within_the_time(size: int, num_boxes: int):
    rng = np.random.default_rng(size + num_boxes)
    for _ in range(15):
        drawn = draw_level(rng, size, num_boxes, max_moves=sokoban.MAX_EPISODE_STEPS)
        assert drawn.boxes.bit_count() == drawn.board.targets.bit_count() == num_boxes
        assert not drawn.boxes & drawn.board.targets
        assert not (drawn.boxes | 1 << drawn.player | drawn.board.targets) & ~drawn.board.floor
        outer = [index for index in range(size**2) if {0, size - 1} & set(divmod(index, size))]
        assert not any(drawn.board.floor >> index & 1 for index in outer)
        moves = moves_of(drawn.board, drawn.boxes, drawn.player, list(drawn.solution))
        assert moves <= sokoban.MAX_EPISODE_STEPS


@pytest.mark.parametrize("name", TASK)
def test_expert_solves_every_level(name: str):
    task = TASK[name]
    env = task.make()
    expert = task.make_expert(env, np.random.default_rng(0))
    levels = set()
    for seed in range(500, 520):
        observation, _ = env.reset(seed=seed)
        levels.add(observation.tobytes())
        expert.reset()
        terminated = truncated = False
        while not (terminated or truncated):
            observation, _, terminated, truncated, info = env.step(expert.act(observation))
        assert task.success(0.0, info)
    assert len(levels) == 20


def test_expert_returns_to_its_plan_after_a_detour():
    task = TASK["sokoban-8x8-2"]
    env = task.make()
    expert = task.make_expert(env, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    solved = 0
    for seed in range(20):
        observation, _ = env.reset(seed=seed)
        expert.reset()
        terminated = truncated = False
        while not (terminated or truncated):
            action = expert.act(observation) if rng.random() > 0.2 else rng.integers(4)
            observation, _, terminated, truncated, _ = env.step(action)
        solved += terminated
    assert solved >= 15  # some detours push a box where it is lost


def test_expert_pushes_nothing_once_the_level_is_lost():
    env = placed("######", "#$   #", "#  $@#", "# .. #", "#    #", "######")
    expert = TASK["sokoban-8x8-2"].make_expert(env, np.random.default_rng(0))
    expert.reset()
    boxes = env.boxes
    for _ in range(10):
        observation, *_ = env.step(expert.act(env.symbols()))
    assert env.boxes == boxes
    assert observation.shape == (6, 6)


def test_pixels_show_the_symbols_and_video_shows_them_larger():
    task = TASK["sokoban-10x10-4"]
    symbols, _ = task.make().reset(seed=3)
    env = task.make(view="pixels", render_mode="rgb_array")
    picture, _ = env.reset(seed=3)
    assert picture.shape == (80, 80, 3)
    tiles = picture.reshape(10, 8, 10, 8, 3).swapaxes(1, 2).reshape(100, -1)
    looks = {symbol: {tile.tobytes() for tile in tiles[symbols.ravel() == symbol]} for symbol in np.unique(symbols)}
    assert all(len(pictures) == 1 for pictures in looks.values())
    assert len(set.union(*looks.values())) == len(looks)
    assert np.array_equal(env.render()[::4, ::4], picture)


def test_level_without_room_is_refused():
    with pytest.raises(ValueError, match=r"size is 5 .* expected a size of 6 or more"):
        Sokoban(size=5, num_boxes=1)
    with pytest.raises(ValueError, match=r"num_boxes 5, .* half as many as the size"):
        Sokoban(size=8, num_boxes=5)
