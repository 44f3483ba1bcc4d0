"""Remapped moves: nothing but a demonstration may tell which action goes where, until the agent has moved itself."""

import itertools
from collections import Counter

import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from gato.envs.context.remapped_moves import TASKS, nearer

(TASK,) = TASKS
VARIANTS = [*TASK.variants, *TASK.held_out_variants]


@pytest.fixture(scope="module")
def env():
    return TASK.make()


def play(env, moves: str, actions: list[int], seed: int = 3) -> list[tuple]:
    return [env.reset(seed=seed, options={"moves": moves}), *(env.step(action) for action in actions)]


def expert_episode(env, moves: str, seed: int) -> tuple[list[int], float, dict]:
    expert = TASK.make_expert(env, np.random.default_rng(seed))
    observation, _ = env.reset(seed=seed, options={"moves": moves})
    expert.reset()
    actions, episode_return, ended = [], 0.0, False
    while not ended:
        actions.append(expert.act(observation))
        observation, reward, terminated, truncated, info = env.step(actions[-1])
        episode_return += reward
        ended = terminated or truncated
    return actions, episode_return, info


def gap(answer: tuple) -> tuple[int, int]:
    row, column = answer[0].tolist()
    return row - 2, column - 2


def test_mapping_shows_in_nothing_but_where_actions_lead(env):
    """The same directions look the same, whatever actions they took."""
    directions = np.random.default_rng(0).choice(list("udlr"), size=16)
    reference = play(env, "udlr", ["udlr".index(direction) for direction in directions])
    assert all(answer[-1] == {} for answer in reference[:-1])
    for variant in VARIANTS:
        moves = variant["moves"]
        answers = play(env, moves, [moves.index(direction) for direction in directions])
        assert data_equivalence(answers[:-1], reference[:-1], exact=True)
        assert data_equivalence(answers[-1][:4], reference[-1][:4], exact=True)


def test_moves_go_where_the_variant_says_and_round_the_edge(env):
    start = play(env, "rdlu", [])[0]
    row, column = gap(start)
    steps = {0: (0, 1), 1: (1, 0), 2: (0, -1), 3: (-1, 0)}  # right, down, left, up
    for action, (row_step, column_step) in steps.items():
        moved = gap(play(env, "rdlu", [action])[1])
        assert moved == (row - row_step, column - column_step)
    away = 0 if column < 0 else 2
    gaps = [gap(answer)[1] for answer in play(env, "rdlu", [away] * 5)]
    assert gaps == [column * factor for factor in (1, 2, -2, -1, 0, 1)]


@pytest.mark.parametrize(
    "gap, directions",
    [((-1, 1), "ur"), ((1, 0), "d"), ((0, -2), "l"), ((2, 2), "dr"), ((-2, 0), "u"), ((0, 0), "")],
)
def test_nearer_directions(gap: tuple[int, int], directions: str):
    assert nearer(gap) == directions


def test_goals_are_diagonal_and_every_second_is_opposite(env):
    seen = Counter()
    for seed in range(40):
        moves = "udlr"
        answers = play(env, moves, [], seed)
        goals = [gap(answers[0])]
        for turn in range(16):
            answers.append(env.step(moves.index(nearer(gap(answers[-1]))[0])))
            if turn % 2 and turn < 15:
                goals.append(gap(answers[-1]))
        assert [answer[1] for answer in answers[1:]] == [0.0, 0.125] * 8
        assert gap(answers[-1]) == (0, 0)  # no goal is left
        assert [(-row, -column) for row, column in goals[::2]] == goals[1::2]
        seen.update(goals)
    assert set(seen) == set(itertools.product((-1, 1), repeat=2))


def test_goals_do_not_depend_on_how_they_were_reached(env):
    moves = "udlr"
    sequences = []
    for detour in (0, 3):
        answer = play(env, moves, [], seed=5)[0]
        rng = np.random.default_rng(detour)
        goals = [gap(answer)]
        for turn in range(14):
            wanted = nearer(gap(answer))
            action = int(rng.integers(4)) if turn < detour else moves.index(wanted[int(rng.integers(len(wanted)))])
            answer = env.step(action)
            if answer[1] > 0:
                goals.append(gap(answer))
        sequences.append(goals)
    direct, roundabout = sequences
    assert 2 < len(roundabout) < len(direct)
    assert roundabout == direct[: len(roundabout)]


def test_first_four_moves_are_judged_and_later_ones_are_not(env):
    start = gap(play(env, "rdlu", [])[0])
    wanted = ["l" if start[1] < 0 else "r", "u" if start[0] < 0 else "d"]
    back = ["r" if start[1] < 0 else "l", "d" if start[0] < 0 else "u"]
    right = ["rdlu".index(direction) for direction in wanted + back]
    choices = [nearer(start), wanted[1], nearer((-start[0], -start[1])), back[1]]
    told = " ".join(f"{action}{directions}" for action, directions in zip(right, choices, strict=True))

    answers = play(env, "rdlu", right + [0] * 12)
    assert answers[-1][4] == {"success": True, "first_moves": told}
    for place in range(4):
        wrong = [*right]
        wrong[place] = "rdlu".index({"u": "d", "d": "u", "l": "r", "r": "l"}["rdlu"[right[place]]])
        assert play(env, "rdlu", wrong + [0] * 12)[-1][4]["success"] is False


def test_following_is_judged_by_what_the_actions_would_mean():
    info = {"first_moves": "2ul 0u 1dr 3r"}
    assert TASK.follows({"moves": "udlr"}, info)
    assert not TASK.follows({"moves": "lurd"}, info)  # 0 would go left, where up alone is nearer
    assert [v["moves"] for v in VARIANTS if TASK.follows(v, info)] == ["udlr"]


def test_expert_follows_its_own_mapping_and_no_other(env):
    for seed, variant in enumerate(2 * VARIANTS):
        actions, episode_return, info = expert_episode(env, variant["moves"], seed)
        assert len(actions) == 16
        assert episode_return == 1
        assert set(actions[:4]) == {0, 1, 2, 3}
        assert info["success"]
        assert [other for other in VARIANTS if TASK.follows(other, info)] == [variant]


def test_expert_of_another_mapping_reaches_nothing_yet_follows_its_own(env):
    returns = []
    for seed, (scored, shown) in enumerate(itertools.permutations(VARIANTS[::3], 2)):
        rng = np.random.default_rng(seed)
        observation, _ = env.reset(seed=seed, options=scored)
        episode_return, over = 0.0, False
        while not over:
            ways = nearer((observation[0] - 2, observation[1] - 2))
            observation, reward, _, over, info = env.step(shown["moves"].index(ways[rng.integers(len(ways))]))
            episode_return += reward
        assert TASK.follows(shown, info)
        assert not info["success"]
        returns.append(episode_return)
    assert np.mean(returns) < 0.05


def test_expert_varies_its_way(env):
    env.reset(seed=0, options={"moves": "udlr"})
    firsts = {TASK.make_expert(env, np.random.default_rng(seed)).act(None) for seed in range(20)}
    assert firsts == {"udlr".index(direction) for direction in nearer(env.unwrapped.gap)}


def test_held_out_mappings_are_fixed_and_every_meaning_of_an_action_is_trained():
    assert [variant["moves"] for variant in TASK.held_out_variants] == ["udlr", "urdl", "dlur", "ludr", "lrud", "rdul"]
    assert len(TASK.variants) == 18
    meanings = Counter((action, direction) for v in TASK.variants for action, direction in enumerate(v["moves"]))
    assert len(meanings) == 16
    assert min(meanings.values()) >= 3


def test_picture_shows_the_goal_and_where_each_action_leads():
    env = TASK.make(render_mode="rgb_array")
    env.reset(seed=3, options={"moves": "udlr"})
    one = env.render()
    row, column = env.unwrapped.gap
    assert one.shape == (240, 240, 3)
    assert one[24::48, 24::48][2 + row, 2 + column].tolist() == [255, 186, 73]
    env.reset(seed=3, options={"moves": "durl"})
    other = env.render()
    cells = [slice(48 * number, 48 * (number + 1)) for number in range(5)]
    differing = {(r, c) for r in range(5) for c in range(5) if (one != other)[cells[r], cells[c]].any()}
    assert differing == {(1, 2), (3, 2), (2, 1), (2, 3)}
    assert (one[cells[1], cells[2]] == other[cells[3], cells[2]]).all()  # action 0 goes up, then down


@pytest.mark.parametrize(
    "options, message",
    [
        ({"moves": "udl"}, "moves is 'udl', expected each of the letters 'udlr' once"),
        ({"moves": "uudl"}, "'uudl'"),
        ({"moves": 3}, "moves is 3"),
        ({"mapping": "udlr"}, "expected .*moves"),
    ],
)
def test_bad_options_are_refused(env, options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        env.reset(options=options)
