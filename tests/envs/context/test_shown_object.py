"""The room of nine objects: nothing but a demonstration may tell which of them is asked for."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from gato.envs.context.shown_object import COLORS, SHAPES, TASKS, place_number

(TASK,) = TASKS
KINDS = [(color, shape) for color in COLORS for shape in SHAPES]
LEFT, RIGHT, FORWARD = range(3)
OBJECT_CODES = {5: "key", 6: "ball", 7: "box"}  # MiniGrid's own
AGENT_CODE = 10


def variant(kind: tuple[str, str]) -> dict[str, str]:
    return {"color": kind[0], "shape": kind[1]}


@pytest.fixture(scope="module")
def env():
    return TASK.make()


def play(env, asked: tuple[str, str], actions: list[int], seed: int = 3) -> list[tuple]:
    """All answers of one episode, which may end before the actions do."""
    answers = [env.reset(seed=seed, options=variant(asked))]
    for action in actions:
        answers.append(env.step(action))
        if answers[-1][2] or answers[-1][3]:
            break
    return answers


def expert_episode(env, asked: tuple[str, str], seed: int) -> tuple[list[np.ndarray], list[int], float, dict]:
    expert = TASK.make_expert(env, np.random.default_rng(0))
    observation, _ = env.reset(seed=seed, options=variant(asked))
    expert.reset()
    observations, actions, ended = [observation], [], False
    while not ended:
        actions.append(expert.act(observations[-1]))
        observation, reward, terminated, truncated, info = env.step(actions[-1])
        observations.append(observation)
        ended = terminated or truncated
    return observations, actions, reward, info


def listed(observation: np.ndarray) -> list[tuple[tuple[str, str], int]]:
    """(kind, place) of each object, in the order of the observation."""
    return [((COLORS[color], SHAPES[shape]), int(place)) for color, shape, place in observation.reshape(9, 3)]


def offset(place: int) -> tuple[int, int]:
    """The inverse of `place_number`."""
    forward, right = divmod(place - place_number(-5, -5), 11)
    return forward - 5, right - 5


@pytest.mark.parametrize("view", TASK.views)
def test_asked_object_shows_neither_in_observations_nor_in_infos(view: str):
    env = TASK.seen_as(view).make()
    for seed in range(5):
        actions = np.random.default_rng(seed).integers(3, size=20).tolist()
        reference = play(env, KINDS[0], actions, seed)
        assert all(answer[-1] == {} for answer in reference[:-1])
        for kind in KINDS[1:]:
            answers = play(env, kind, actions, seed)
            assert data_equivalence(answers[:-1], reference[:-1], exact=True)
            assert data_equivalence(answers[-1][0], reference[-1][0], exact=True)
            assert answers[-1][2:4] == reference[-1][2:4]


def test_rooms_differ_in_everything_but_what_they_hold(env):
    layouts, starts = set(), set()
    for seed in range(60):
        observation, _ = env.reset(seed=seed, options=variant(KINDS[0]))
        assert sorted(kind for kind, _ in listed(observation)) == sorted(KINDS)
        layouts.add(tuple(cell and (cell.color, cell.type) for cell in env.unwrapped.grid.grid))
        starts.add((env.unwrapped.agent_pos, env.unwrapped.agent_dir))
    assert len(layouts) == 60
    assert len(starts) > 30


def test_objects_are_listed_by_distance_as_the_agent_sees_them(env):
    observation, _ = env.reset(seed=0, options=variant(KINDS[0]))
    world = env.unwrapped
    world.agent_pos, world.agent_dir = (3, 2), 1  # between the first and the second object of the first row, looks down
    at = {place: world.grid.get(*place) for place in ((2, 2), (4, 2), (2, 4), (4, 4), (6, 2))}
    observation, *_ = env.step(LEFT)  # looks right now: (4, 2) is ahead, (2, 2) behind
    kinds, places = zip(*listed(observation), strict=True)
    expected = [(4, 2), (2, 2), (6, 2), (4, 4), (2, 4)]  # the last three are three steps away
    assert kinds[:5] == tuple((at[place].color, at[place].type) for place in expected)
    assert [offset(place) for place in places] == [
        *((1, 0), (-1, 0), (3, 0), (1, 2), (-1, 2)),
        *((3, 2), (1, 4), (-1, 4), (3, 4)),
    ]


@pytest.mark.parametrize("forward", [-5, 0, 5])
def test_each_offset_has_a_number_of_its_own(forward: int):
    assert [offset(place_number(forward, right)) for right in range(-5, 6)] == [(forward, r) for r in range(-5, 6)]
    assert place_number(-5, -5) == 0
    assert place_number(5, 5) == 120


def test_views_agree(env):
    """The picture of codes, read by hand, lists the same objects at the same offsets."""
    symbols = TASK.seen_as("symbols").make()
    actions = np.random.default_rng(2).integers(3, size=20).tolist()
    for seed in range(5):
        for answer, shown in zip(
            play(env, KINDS[0], actions, seed), play(symbols, KINDS[0], actions, seed), strict=True
        ):
            codes = shown[0]
            [(row, column)] = np.argwhere(codes[..., 0] == AGENT_CODE)
            seen = {
                ((COLORS[codes[r, c, 1]], OBJECT_CODES[codes[r, c, 0]]), place_number(row - r, c - column))
                for r, c in np.argwhere(np.isin(codes[..., 0], list(OBJECT_CODES)))
            }
            assert seen == set(listed(answer[0]))


def test_places_are_those_of_the_kinds_in_a_fixed_order(env):
    """The list without its kinds: what stands where is told by the position of the number alone."""
    places = TASK.seen_as("places").make()
    actions = np.random.default_rng(2).integers(3, size=20).tolist()
    for seed in range(5):
        both = zip(play(env, KINDS[0], actions, seed), play(places, KINDS[0], actions, seed), strict=True)
        for answer, shown in both:
            assert dict(zip(KINDS, shown[0].tolist(), strict=True)) == dict(listed(answer[0]))
            assert places.observation_space.contains(shown[0])


def test_end_of_a_demonstration_seen_as_places_shows_the_asked_kind_straight_ahead():
    env = TASK.seen_as("places").make()
    for seed in range(18):
        asked = KINDS[seed % 9]
        observations, actions, *_ = expert_episode(env, asked, seed)
        assert observations[-1][KINDS.index(asked)] == place_number(1, 0)
        assert actions[-1] == FORWARD


def test_first_object_walked_into_ends_the_episode(env):
    env.reset(seed=0, options=variant(KINDS[0]))
    world = env.unwrapped
    thing = world.grid.get(4, 2)
    for kind in KINDS:
        asked = kind == (thing.color, thing.type)
        env.reset(seed=0, options=variant(kind))
        world.agent_pos, world.agent_dir = (3, 2), 1
        assert env.step(LEFT)[1:] == (0.0, False, False, {})  # to face it is not enough
        *_, reward, terminated, truncated, info = env.step(FORWARD)
        assert (reward, terminated, truncated) == (float(asked), True, False)
        assert info == {"success": asked, "color": thing.color, "shape": thing.type}
        assert TASK.follows(variant(kind), info) == asked


def test_walls_are_no_objects_and_time_runs_out(env):
    env.reset(seed=0, options=variant(KINDS[0]))
    env.unwrapped.agent_pos, env.unwrapped.agent_dir = (1, 1), 3
    answers = [env.step(FORWARD) for _ in range(20)]
    assert tuple(env.unwrapped.agent_pos) == (1, 1)
    assert [answer[2:4] for answer in answers] == [(False, False)] * 19 + [(False, True)]
    assert answers[-1][4] == {"success": False, "color": "none", "shape": "none"}
    assert not any(TASK.follows(variant(kind), answers[-1][4]) for kind in KINDS)


def test_expert_goes_to_the_asked_object_and_to_no_other(env):
    for seed in range(90):
        asked = KINDS[seed % 9]
        *_, reward, info = expert_episode(env, asked, seed)
        assert reward == 1
        assert [kind for kind in KINDS if TASK.follows(variant(kind), info)] == [asked]


def test_end_of_a_demonstration_shows_first_what_was_asked_for(env):
    for seed in range(18):
        observations, actions, *_ = expert_episode(env, KINDS[seed % 9], seed)
        assert actions[-1] == FORWARD
        assert listed(observations[-1])[0] == (KINDS[seed % 9], place_number(1, 0))


def test_demonstration_has_fewer_than_two_hundred_numbers(env):
    lengths = [len(expert_episode(env, KINDS[seed % 9], seed)[1]) for seed in range(180)]
    assert 5 < np.mean(lengths) < 6
    assert max(lengths) <= 11
    assert 28 * np.mean(lengths) + 27 < 200


def test_action_of_the_expert_depends_on_where_the_asked_object_lies_alone(env):
    actions: dict[int, set[int]] = {}
    for seed in range(300):
        asked = KINDS[seed % 9]
        observations, taken, *_ = expert_episode(env, asked, seed)
        for observation, action in zip(observations, taken, strict=False):
            actions.setdefault(dict(listed(observation))[asked], set()).add(action)
    assert len(actions) > 40
    assert {len(choices) for choices in actions.values()} == {1}
    assert actions[place_number(1, 0)] == {FORWARD}
    assert actions[place_number(0, 1)] == {RIGHT}
    assert actions[place_number(0, -1)] == actions[place_number(-1, 0)] == {LEFT}


def test_held_out_kinds_are_fixed_and_their_colors_and_shapes_are_trained():
    assert list(TASK.held_out_variants) == [
        {"color": "red", "shape": "ball"},
        {"color": "green", "shape": "box"},
        {"color": "blue", "shape": "key"},
    ]
    assert len(TASK.variants) == 6
    for name, values in (("color", COLORS), ("shape", SHAPES)):
        assert sorted(trained[name] for trained in TASK.variants) == sorted(2 * values)


def test_picture_frames_the_asked_object():
    env = TASK.make(render_mode="rgb_array")
    env.reset(seed=3, options=variant(KINDS[0]))
    pictures = []
    for kind in KINDS:
        env.reset(seed=3, options=variant(kind))
        pictures.append(env.render())
        corners = np.argwhere((pictures[-1][::32, ::32] == 255).all(axis=-1))
        [(y, x)] = corners
        assert (env.unwrapped.grid.get(x, y).color, env.unwrapped.grid.get(x, y).type) == kind
    assert pictures[0].shape == (288, 288, 3)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"color": "red"}, "expected .*color.*shape"),
        ({"color": "red", "shape": "ball", "size": 1}, "size"),
        ({"color": "pink", "shape": "ball"}, "color is 'pink', expected one of red, green, blue"),
        ({"color": "red", "shape": "door"}, "shape is 'door', expected one of ball, box, key"),
    ],
)
def test_bad_options_are_refused(env, options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        env.reset(options=options)
