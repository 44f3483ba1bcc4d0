"""The dark room: nothing but a demonstration may tell where the goal is."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from gato.envs import get_task
from gato.envs.context.dark_room import DarkRoom

UP, DOWN, LEFT, RIGHT, STAY = range(5)


def play(goal: int, actions: list[int], seed: int = 3) -> list[tuple]:
    room = DarkRoom()
    return [room.reset(seed=seed, options={"goal": goal}), *(room.step(action) for action in actions)]


def test_goal_shows_neither_in_observations_nor_in_infos():
    actions = np.random.default_rng(0).integers(5, size=15).tolist()
    reference = play(0, actions)
    for goal in range(1, 49):
        steps = play(goal, actions)
        assert data_equivalence(steps[:-1], reference[:-1], exact=True)
        assert data_equivalence(steps[-1][0], reference[-1][0], exact=True)


def test_start_does_not_depend_on_the_goal_and_is_uniform():
    room = DarkRoom()
    starts = {goal: room.reset(seed=11, options={"goal": goal})[0].tolist() for goal in range(49)}
    assert len({tuple(start) for start in starts.values()}) == 1
    room.reset(seed=0)
    counts = np.zeros((7, 7))
    for _ in range(4900):
        counts[tuple(room.reset()[0])] += 1
    assert counts.min() > 50
    assert counts.max() < 160


def test_only_the_last_cell_counts():
    start = play(0, [])[0][0]
    away = RIGHT if start[1] < 6 else LEFT
    back = LEFT if away == RIGHT else RIGHT
    goal = int(start @ (7, 1))
    stayed = play(goal, [away, back] + [STAY] * 13)
    assert [step[1] for step in stayed[1:]] == [0.0] * 14 + [1.0]
    assert stayed[-1][3:] == (True, {"success": True, "final_cell": goal})
    left = play(goal, [STAY] * 14 + [away])
    assert sum(step[1] for step in left[1:]) == 0
    assert left[-1][4] == {"success": False, "final_cell": goal + (1 if away == RIGHT else -1)}


def test_walls_hold_and_moves_go_where_they_say():
    steps = play(0, [UP] * 7 + [LEFT] * 7 + [DOWN])
    assert steps[14][0].tolist() == [0, 0]
    assert steps[15][0].tolist() == [1, 0]
    steps = play(0, [DOWN] * 7 + [RIGHT] * 7 + [UP])
    assert steps[14][0].tolist() == [6, 6]
    assert steps[15][0].tolist() == [5, 6]


def test_expert_reaches_every_goal_by_a_shortest_path_then_stays():
    task = get_task("dark-room")
    env = task.make()
    expert = task.make_expert(env, np.random.default_rng(0))
    for goal in range(49):
        observation, _ = env.reset(seed=goal, options={"goal": goal})
        expert.reset()
        distance = int(np.abs(observation - divmod(goal, 7)).sum())
        actions = []
        for _ in range(task.max_episode_steps):
            actions.append(expert.act(observation))
            observation, reward, *_ = env.step(actions[-1])
        assert reward == 1
        assert [action == STAY for action in actions] == [False] * distance + [True] * (15 - distance)


def test_expert_varies_its_way():
    task = get_task("dark-room")
    env = task.make()
    env.reset(seed=0, options={"goal": 48})
    observation = np.array([0, 0])
    actions = {task.make_expert(env, np.random.default_rng(seed)).act(observation) for seed in range(20)}
    assert actions == {DOWN, RIGHT}


def test_held_out_goals_are_fixed_and_every_row_and_column_is_trained():
    task = get_task("dark-room")
    held_out = [divmod(variant["goal"], 7) for variant in task.held_out_variants]
    assert held_out == [(0, 4), (1, 2), (2, 0), (2, 5), (3, 3), (4, 1), (4, 6), (5, 4), (6, 2)]
    trained = np.array([divmod(variant["goal"], 7) for variant in task.variants])
    assert len(trained) == 40
    assert set(trained[:, 0]) == set(trained[:, 1]) == set(range(7))


def test_goal_is_drawn_where_none_is_given():
    room = DarkRoom()
    goals = []
    for seed in range(60):
        room.reset(seed=seed)
        goals.append(room.goal)
    assert len(set(goals)) > 25


def test_picture_marks_goal_and_agent():
    room = DarkRoom(render_mode="rgb_array")
    room.reset(seed=3, options={"goal": 8})
    first = room.render()
    assert first.shape == (336, 336, 3)
    assert first.dtype == np.uint8
    row, column = play(8, [])[0][0]
    centre = (slice(24, None, 48), slice(24, None, 48))
    assert first[centre][row, column].tolist() == [236, 240, 255]
    assert first[centre][1, 1].tolist() == [255, 186, 73]


@pytest.mark.parametrize(
    "options, message", [({"goal": 49}, r"goal is 49, expected .*\[0, 49\)"), ({"gaol": 1}, "gaol")]
)
def test_bad_options_are_refused(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        DarkRoom().reset(options=options)
