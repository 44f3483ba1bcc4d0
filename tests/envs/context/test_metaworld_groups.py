"""Meta-World's tasks in one scene: nothing but a demonstration may tell which of them to do."""

from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from gato.envs import Task, metaworld
from gato.envs.context.metaworld_groups import GROUPS, TASKS, ShownArmTask

NUM_SEEDS = 4
FIRST_SEED = 93_000
STAY = np.zeros(4, np.float32)


@pytest.fixture(scope="module", params=TASKS, ids=lambda task: task.name)
def task(request) -> Task:
    return request.param


@pytest.fixture(scope="module")
def env(task: Task) -> ShownArmTask:
    return task.make()


@pytest.fixture(scope="module")
def table() -> ShownArmTask:
    return TASKS[0].make()


def answers_to(env: ShownArmTask, asked: dict[str, Any], seed: int, actions: list[np.ndarray]) -> list[tuple]:
    """All answers of one episode, which may end before the actions do."""
    answers: list[tuple] = [env.reset(seed=seed, options=dict(asked))]
    for action in actions:
        answers.append(env.step(action))
        if answers[-1][2] or answers[-1][3]:
            break
    return answers


def demonstrate(task: Task, env: ShownArmTask, asked: dict[str, Any], seed: int) -> tuple[list[np.ndarray], list]:
    """The actions of the expert, and its observations."""
    expert = task.make_expert(env, np.random.default_rng(0))
    observation, info = env.reset(seed=seed, options=dict(asked))
    expert.reset()
    actions, observations = [], [observation]
    while not info:
        actions.append(expert.act(observations[-1]))
        observation, *_, info = env.step(actions[-1])
        observations.append(observation)
    return actions, observations


def put(env: ShownArmTask, *, puck: tuple[float, float, float]) -> None:
    """Where the next step finds the puck; it falls by less than a millimetre in that step."""
    env.unwrapped._set_obj_xyz(np.array(puck))


def test_asked_task_shows_neither_in_observations_nor_in_when_the_episode_ends(task: Task, env: ShownArmTask):
    """Random actions first, then those of each expert up to the very end."""
    rng = np.random.default_rng(0)
    series = [list(rng.uniform(-1, 1, (40, 4)).astype(np.float32))]
    series += [demonstrate(task, env, asked, FIRST_SEED)[0] for asked in task.variants]
    for actions in series:
        reference, *others = [answers_to(env, asked, FIRST_SEED, actions) for asked in task.variants]
        assert reference[0][1] == {}
        assert all(answer[4] == {} for answer in reference[1:-1])
        for answers in others:
            assert data_equivalence(answers[:-1], reference[:-1], exact=True)
            assert data_equivalence(answers[-1][0], reference[-1][0], exact=True)
            assert answers[-1][2:4] == reference[-1][2:4]


def test_the_same_actions_do_the_same_task_whatever_is_asked_for(task: Task, env: ShownArmTask):
    for shown in task.variants:
        actions, _ = demonstrate(task, env, shown, FIRST_SEED)
        for asked in task.variants:
            *before, (_, reward, terminated, truncated, info) = answers_to(env, asked, FIRST_SEED, actions)
            assert sum(answer[1] for answer in before[1:]) == 0
            assert (terminated, truncated) == (True, False)
            assert info == {"success": asked == shown, "task": shown["task"]}
            assert reward == float(asked == shown)


def test_experts_do_what_is_asked_for_and_nothing_else(task: Task, env: ShownArmTask):
    for asked in task.variants:
        for seed in range(FIRST_SEED, FIRST_SEED + NUM_SEEDS):
            actions, _ = demonstrate(task, env, asked, seed)
            info = answers_to(env, asked, seed, actions)[-1][4]
            assert [variant for variant in task.variants if task.follows(variant, info)] == [asked]
            assert len(actions) < task.max_episode_steps


def test_starts_depend_on_the_seed_and_on_nothing_before(task: Task, env: ShownArmTask):
    first, second = task.variants[:2]
    starts = [env.reset(seed=seed, options=dict(first))[0] for seed in range(6)]
    assert len({tuple(start[4:7]) for start in starts}) == 6
    assert np.all([np.abs(start[:3]) < 0.02 for start in starts])  # the hand starts at its place
    fresh = task.make()
    demonstrate(task, env, second, FIRST_SEED)  # leaves the objects elsewhere
    for seed in (3, 1):
        for used_or_fresh in (env, fresh):
            assert np.array_equal(used_or_fresh.reset(seed=seed, options=dict(second))[0], starts[seed])
    fresh.close()


def test_an_observation_is_hand_opening_and_offsets(table: ShownArmTask):
    observation, _ = table.reset(seed=0, options={"task": "reach"})
    assert observation.shape == (7,)
    put(table, puck=(0.1, 0.7, 0.02))
    before, *_ = table.step(STAY)
    for _ in range(10):
        after, *_ = table.step(np.array([1, 0, 0, 0], np.float32))
    hand = np.array([0.0, 0.6, 0.2]) + before[:3]
    assert hand + before[4:] == pytest.approx((0.1, 0.7, 0.02), abs=0.003)
    moved = after[:3] - before[:3]
    assert moved[0] > 0.05
    assert after[4:] - before[4:] == pytest.approx(-moved, abs=0.001)  # who moves is the hand, not the puck


def test_opening_follows_the_fingers(table: ShownArmTask):
    openings = {}
    for effort in (-1, 1):
        table.reset(seed=0, options={"task": "reach"})
        for _ in range(10):
            observation, *_ = table.step(np.array([0, 0, 0, effort], np.float32))
        openings[effort] = observation[3]
    assert 0 <= openings[1] < 0.6 < 0.9 < openings[-1] <= 1


@pytest.mark.parametrize(
    "puck, done",
    [
        ((0.1, 0.8, 0.02), "push"),
        ((0.1, 0.845, 0.02), "push"),
        ((0.1, 0.855, 0.02), "none"),
        ((0.1, 0.8, 0.2), "pick-place"),
        ((0.1, 0.865, 0.2), "pick-place"),
        ((0.1, 0.8, 0.11), "none"),
    ],
)
def test_where_the_puck_is_decides(table: ShownArmTask, puck: tuple[float, float, float], done: str):
    for asked in ("reach", "push", "pick-place"):
        table.reset(seed=0, options={"task": asked})
        put(table, puck=puck)
        _, reward, terminated, truncated, info = table.step(STAY)
        assert reward == float(asked == done)
        assert (terminated, truncated) == (done != "none", False)
        assert info == ({"success": asked == done, "task": done} if terminated else {})


def test_time_runs_out():
    table = TASKS[0].make()
    *before, last = answers_to(table, {"task": "push"}, 0, [STAY] * 200)[1:]
    assert len(before) + 1 == TASKS[0].max_episode_steps
    assert last[1:] == (0.0, False, True, {"success": False, "task": "none"})
    assert not any(TASKS[0].follows(variant, last[4]) for variant in TASKS[0].variants)


def test_the_faucet_s_goals_lie_on_either_side_of_it():
    """A handle turned by a right angle, either way, is what Meta-World asks for; by half of that it is not."""
    task = TASKS[2]
    faucet = task.make()
    joint = faucet.unwrapped.model.joint("knob_Joint_1").qposadr[0]
    for angle, done in ((1.4, "faucet-open"), (-1.4, "faucet-close"), (0.7, "none"), (-0.7, "none")):
        for seed in range(3):
            faucet.reset(seed=seed, options={"task": "faucet-open"})
            faucet.unwrapped.data.qpos[joint] = angle
            *_, terminated, _, info = faucet.step(STAY)
            assert terminated == (done != "none")
            assert info.get("task", "none") == done


def test_end_of_a_demonstration_shows_which_way_the_thermos_went():
    task = TASKS[3]
    env = task.make()
    for seed in range(FIRST_SEED, FIRST_SEED + NUM_SEEDS):
        ends = {}
        for asked in task.variants:
            _, observations = demonstrate(task, env, asked, seed)
            # Hand, hand to stick, stick to handle.
            first, last = (shown[:3] + shown[4:7] + shown[7:] for shown in (observations[0], observations[-1]))
            ends[asked["task"]] = last - first
        aside, towards, _ = ends["stick-push"]
        assert aside > 0.075
        assert abs(towards) < 0.05
        aside, towards, _ = ends["stick-pull"]
        assert abs(aside) < 0.05
        assert towards < -0.05


def test_the_scene_is_the_same_for_puck_tasks_in_meta_world():
    """One simulator may stand for all because the models differ in nothing that moves."""
    models = {
        base.name.removeprefix("metaworld-"): base.make().unwrapped.model
        for base in metaworld.TASKS
        if base.name.removeprefix("metaworld-") in {"push", "pick-place", "push-wall", "pick-place-wall"}
    }
    for one, other in (("push", "pick-place"), ("push-wall", "pick-place-wall")):
        for name in ("body_mass", "body_inertia", "geom_size", "geom_pos", "geom_friction", "geom_solref", "jnt_type"):
            assert np.array_equal(getattr(models[one], name), getattr(models[other], name)), name


def test_names_and_variants():
    assert {task.name: [variant["task"] for variant in task.variants] for task in TASKS} == {
        "metaworld-shown-table": ["reach", "push", "pick-place"],
        "metaworld-shown-wall": ["reach-wall", "push-wall", "pick-place-wall"],
        "metaworld-shown-faucet": ["faucet-open", "faucet-close"],
        "metaworld-shown-stick": ["stick-push", "stick-pull"],
    }
    assert all(task.held_out_variants == () for task in TASKS)


def test_goal_is_in_the_picture_where_the_asked_task_has_it():
    env = TASKS[0].make(render_mode="rgb_array")
    columns = {}
    for asked in ("reach", "pick-place", "push"):
        env.reset(seed=0, options={"task": asked})
        env.step(STAY)  # and stays there when the simulator moves on
        red, green, blue = np.moveaxis(env.render().astype(int), -1, 0)
        lamp = (red > 180) & (red - blue > 90) & (green > 110)
        assert lamp.sum() > 30, asked
        columns[asked] = np.argwhere(lamp).mean(axis=0)
    env.close()
    assert abs(columns["reach"][1] - columns["pick-place"][1]) > 40  # 20 cm apart, left and right
    assert columns["push"][0] > columns["pick-place"][0] + 40  # 18 cm below


@pytest.mark.parametrize(
    "options, message",
    [
        ({"task": "reach-wall"}, "task is 'reach-wall', expected one of reach, push, pick-place"),
        ({"task": 3}, "task is 3, expected one of"),
        ({"goal": "reach"}, r"\['goal'\], expected \['task'\]"),
    ],
)
def test_bad_options_are_refused(table: ShownArmTask, options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        table.reset(options=options)


def test_every_group_has_a_task():
    assert [group.name for group in GROUPS] == [task.name for task in TASKS]
