"""MiniGrid: views that equal its own, plans worked out by hand, an expert that looks before it remembers."""

import gymnasium
import numpy as np
import pytest

from gato.envs.babyai import TASKS as BABYAI_TASKS
from gato.envs.grid_planner import Planner
from gato.envs.grid_view import DROP, FORWARD, LEFT, PICK_UP, RIGHT, TOGGLE, GridView
from gato.envs.minigrid import TASKS
from gato.envs.simulator import import_simulator

BY_NAME = {task.name: task for task in TASKS}
# One of each kind of goal; worlds with walls that can and cannot be seen through.
SAMPLE = (
    "minigrid-empty-random-6x6",
    "minigrid-door-key-8x8",
    "minigrid-multi-room-n4-s5",
    "minigrid-lava-crossing-s9-n2",
    "minigrid-dynamic-obstacles-6x6",
    "minigrid-fetch-8x8-n3",
    "minigrid-go-to-door-6x6",
    "minigrid-go-to-object-8x8-n2",
    "minigrid-put-near-8x8-n3",
    "minigrid-red-blue-doors-6x6",
    "minigrid-memory-s13-random",
    "minigrid-unlock",
    "minigrid-blocked-unlock-pickup",
    "minigrid-key-corridor-s3-r3",
    "minigrid-obstructed-maze-full",
)


@pytest.fixture(scope="module")
def minigrid_wrappers():
    import_simulator("minigrid", "minigrid")
    return import_simulator("minigrid.wrappers", "minigrid")


def empty_room(view_size: int = 7) -> gymnasium.Env:
    """8x8 cells with walls around; the agent stands at (1, 1) and looks right, the goal lies at (6, 6)."""
    import_simulator("minigrid", "minigrid")
    env = GridView(gymnasium.make("MiniGrid-Empty-8x8-v0", disable_env_checker=True, agent_view_size=view_size))
    env.reset(seed=0)
    return env


def put(env: gymnasium.Env, name: str, x: int, y: int, *arguments, **options):
    thing = getattr(import_simulator("minigrid.core.world_object", "minigrid"), name)(*arguments, **options)
    env.unwrapped.grid.set(x, y, thing)
    return thing


def wall_off(env: gymnasium.Env, x: int) -> None:
    for y in range(1, 7):
        put(env, "Wall", x, y)


def play(task, seed: int, env: gymnasium.Env, noise: float = 0.0) -> tuple[float, list[int], dict]:
    """The return, the actions and the last info of one episode of the expert."""
    rng = np.random.default_rng(seed)
    expert = task.make_expert(env, rng)
    observation, _ = env.reset(seed=seed)
    expert.reset()
    episode_return, actions, ended, info = 0.0, [], False, {}
    while not ended:
        action = expert.act(observation)
        if rng.random() < noise:
            action = int(rng.integers(env.action_space.n))
        observation, reward, terminated, truncated, info = env.step(action)
        actions.append(action)
        episode_return += reward
        ended = terminated or truncated
    return episode_return, actions, info


def follow(env: gymnasium.Env, plan) -> int:
    """Asks for a plan and carries it out, again and again, until none is left; returns the number of steps."""
    num_steps = 0
    while actions := plan(Planner(env)):
        for action in actions:
            env.step(action)
            num_steps += 1
        assert num_steps < 200
    return num_steps


@pytest.mark.parametrize("name", SAMPLE)
@pytest.mark.parametrize(("view", "tile_size"), [("symbols", None), ("pixels", 8), ("pixels-16", 16)])
def test_view_equals_minigrids_own(name: str, view: str, tile_size: int | None, minigrid_wrappers):
    task = BY_NAME[name]
    ours = (task if view == "symbols" else task.seen_as(view)).make()
    stock = gymnasium.make(ours.spec.id, disable_env_checker=True)
    if tile_size is not None:
        stock = minigrid_wrappers.RGBImgPartialObsWrapper(stock, tile_size=tile_size)
    rng = np.random.default_rng(0)
    expert = task.make_expert(ours, rng)
    for seed in range(3):
        expected, _ = stock.reset(seed=seed)
        observation, _ = ours.reset(seed=seed)
        expert.reset()
        for _ in range(40):
            assert observation["direction"] == expected["direction"]
            assert observation["mission"] == expected["mission"]
            assert observation["image"].dtype == expected["image"].dtype
            assert np.array_equal(observation["image"], expected["image"])
            action = int(rng.integers(ours.action_space.n)) if rng.random() < 0.3 else expert.act(observation)
            expected, reward, terminated, truncated, _ = stock.step(action)
            observation, *outcome, _ = ours.step(action)
            assert outcome == [reward, terminated, truncated]
            if terminated or truncated:
                break


@pytest.mark.parametrize("view_size", [3, 5, 9])
@pytest.mark.parametrize("tile_size", [None, 8])
def test_view_of_another_size_equals_minigrids_own(view_size: int, tile_size: int | None, minigrid_wrappers):
    stock = gymnasium.make("MiniGrid-KeyCorridorS3R2-v0", disable_env_checker=True, agent_view_size=view_size)
    ours = GridView(
        gymnasium.make("MiniGrid-KeyCorridorS3R2-v0", disable_env_checker=True, agent_view_size=view_size),
        tile_size=tile_size,
    )
    if tile_size is not None:
        stock = minigrid_wrappers.RGBImgPartialObsWrapper(stock, tile_size=tile_size)
    rng = np.random.default_rng(0)
    expected, _ = stock.reset(seed=1)
    observation, _ = ours.reset(seed=1)
    for action in rng.choice([0, 1, 2, 2, 2, 3, 4, 5], size=150).tolist():
        assert np.array_equal(observation["image"], expected["image"])
        assert ours.observation_space.contains(observation)
        expected, observation = stock.step(action)[0], ours.step(action)[0]


def test_plan_turns_towards_the_goal_and_walks():
    env = empty_room()
    planner = Planner(env)
    plan = planner.walk_to([planner.cell_at((6, 6))])
    assert len(plan) == 11  # five steps right, one turn, five steps down
    assert sorted(plan) == [RIGHT] + [FORWARD] * 10


def test_plan_does_not_enter_lava_or_what_is_forbidden():
    env = empty_room()
    for y in (1, 2, 3, 4):
        put(env, "Lava", 3, y)
    planner = Planner(env)
    plan = planner.walk_to([planner.cell_at((4, 1))])
    assert plan == [RIGHT, *[FORWARD] * 4, LEFT, *[FORWARD] * 3, LEFT, *[FORWARD] * 4]
    planner = Planner(env, forbidden=[(3, 5), (3, 6)])
    assert planner.walk_to([planner.cell_at((4, 1))]) is None


def test_plan_opens_a_closed_door_on_its_way():
    env = empty_room()
    wall_off(env, 3)
    put(env, "Door", 3, 1, "red")
    planner = Planner(env)
    assert planner.walk_to([planner.cell_at((4, 1))]) == [FORWARD, TOGGLE, FORWARD, FORWARD]


def test_key_is_taken_out_of_its_box_to_unlock_a_blocked_door():
    env = empty_room()
    wall_off(env, 4)
    door = put(env, "Door", 4, 3, "red", is_locked=True)
    put(env, "Ball", 3, 3, "green")
    box = put(env, "Box", 1, 6, "blue")
    box.contains = import_simulator("minigrid.core.world_object", "minigrid").Key("red")
    prize = put(env, "Ball", 6, 1, "purple")
    follow(env, lambda planner: planner.pick_up(planner.find(lambda thing: thing is prize)))
    assert env.unwrapped.carrying is prize
    assert door.is_open


def test_hand_is_emptied_before_it_takes_something_else():
    env = empty_room()
    first, second = put(env, "Ball", 2, 1, "red"), put(env, "Key", 5, 1, "blue")
    assert Planner(env).pick_up([Planner(env).cell_at((2, 1))]) == [PICK_UP]
    env.step(PICK_UP)
    follow(env, lambda planner: planner.pick_up(planner.find(lambda thing: thing is second)))
    assert env.unwrapped.carrying is second
    assert first in env.unwrapped.grid


def test_nothing_is_put_down_before_a_door():
    """Not even before one that the way does not lead through."""
    env = empty_room()
    wall_off(env, 4)
    put(env, "Door", 4, 3, "red")
    put(env, "Key", 1, 6, "blue")
    put(env, "Ball", 3, 3, "green")
    env.unwrapped.agent_pos = (2, 3)
    env.step(PICK_UP)
    assert env.unwrapped.grid.get(3, 3) is None
    planner = Planner(env)
    plan = planner.pick_up([planner.cell_at((1, 6))])
    assert plan[-1] == DROP
    for action in plan:
        env.step(action)
    assert env.unwrapped.carrying is None
    assert env.unwrapped.grid.get(3, 3) is None


def test_impossible_plans_are_none():
    env = empty_room()
    wall_off(env, 3)
    planner = Planner(env)
    beyond = planner.cell_at((5, 5))
    assert planner.walk_to([beyond]) is None
    door = put(env, "Door", 3, 3, "red", is_locked=True)
    assert Planner(env).walk_to([beyond]) is None
    put(env, "Key", 5, 5, "red")  # behind the door that it opens
    assert Planner(env).open_door(door) is None
    assert Planner(env).pick_up([]) is None


def test_moving_things_are_never_bumped_into():
    task = BY_NAME["minigrid-dynamic-obstacles-8x8"]
    env = task.make()
    for seed in range(30):
        episode_return, _, _ = play(task, seed, env)
        assert episode_return > 0


@pytest.mark.parametrize("name", [task.name for task in TASKS])
def test_planner_accomplishes_every_mission(name: str):
    task = BY_NAME[name]
    env = task.make()
    outcomes = [play(task, seed, env) for seed in range(100, 108)]
    assert all(task.success(episode_return, info) for episode_return, _, info in outcomes)


@pytest.mark.parametrize("name", SAMPLE)
def test_planner_carries_on_under_noise(name: str):
    task = BY_NAME[name]
    env = task.make()
    outcomes = [play(task, seed, env, noise=0.2) for seed in range(12)]
    # A random action may say done, or walk into what ends the episode.
    assert np.mean([task.success(episode_return, info) for episode_return, _, info in outcomes]) >= 0.5


@pytest.mark.parametrize("name", ["minigrid-memory-s13", "minigrid-memory-s17-random"])
def test_memory_expert_sees_the_first_object_before_it_chooses(name: str):
    task = BY_NAME[name]
    env = task.make()
    expert = task.make_expert(env, np.random.default_rng(0))
    turned_back = 0
    for seed in range(20):
        observation, _ = env.reset(seed=seed)
        expert.reset()
        world = env.unwrapped
        cue = world.grid.get(1, world.height // 2 - 1)
        has_seen, ended, reward = False, False, 0.0
        while not ended:
            view, _ = world.gen_obs_grid()
            has_seen = has_seen or any(thing is cue for thing in view.grid)
            action = expert.act(observation)
            turned_back += world.agent_dir == 2
            observation, reward, terminated, truncated, _ = env.step(action)
            ended = terminated or truncated
        assert has_seen
        assert reward > 0
    assert turned_back > 0


def test_carried_object_is_shown_from_the_first_observation_on():
    (task,) = [task for task in BABYAI_TASKS if task.name == "babyai-put-next-s5-n2-carrying"]
    env = task.make()
    observation, _ = env.reset(seed=0)
    thing = env.unwrapped.carrying
    assert tuple(observation["image"][3, 6]) == thing.encode()  # the agent's own cell, nearest row, middle column
    assert np.array_equal(observation["image"], env.step(6)[0]["image"])


@pytest.mark.parametrize("name", SAMPLE)
def test_earlier_episodes_leave_no_trace(name: str):
    task = BY_NAME[name]
    used, fresh = task.make(), task.make()
    for seed in (5, 6):
        play(task, seed, used, noise=0.3)
    play(task, 7, used)
    used_episode, fresh_episode = play(task, 9, used), play(task, 9, fresh)
    assert used_episode == fresh_episode


def test_drop_beside_a_thing_needs_an_empty_cell():
    env = empty_room()
    put(env, "Ball", 2, 1, "red")
    env.step(PICK_UP)
    planner = Planner(env)
    target = planner.cell_at((4, 1))
    plan = planner.drop_at(planner.near(target))
    assert plan[-1] == DROP
    assert LEFT not in plan[:1]
    for action in plan:
        env.step(action)
    (x,) = [x for x in range(8) for y in range(8) if getattr(env.unwrapped.grid.get(x, y), "type", "") == "ball"]
    assert abs(x - 4) <= 1
