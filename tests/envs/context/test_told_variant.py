import gymnasium
import numpy as np
import pytest

from gato.envs import get_task
from gato.envs.context.told_variant import Numbering, ToldVariant, with_task_id

TASKS = [get_task("pendulum-mode"), get_task("dark-room")]
NUMBERING = Numbering.of(TASKS)


def test_every_task_and_variant_has_a_number_of_its_own():
    seen = set()
    for task in TASKS:
        for number, variant in enumerate((*task.variants, *task.held_out_variants)):
            wanted = NUMBERING.of_episode(task.name, variant)
            assert wanted[1] == number
            seen.add(tuple(wanted))
    assert len(seen) == 4 + 49
    assert {task for task, _ in seen} == {0, 1}


def test_a_variant_is_known_by_its_options_in_any_order():
    task = get_task("go-to-shown")
    numbering = Numbering.of([task])
    options = dict(task.variants[3])
    assert len(options) > 1
    assert numbering.of_episode(task.name, dict(reversed(options.items()))).tolist() == [0, 3]


def test_the_observation_tells_the_variant_from_first_to_last_and_is_else_unchanged():
    task = TASKS[1]
    plain, telling = task.make(), with_task_id(task, NUMBERING).make()
    goal = dict(task.held_out_variants[2])
    first, _ = plain.reset(seed=3, options=goal)
    seen, _ = telling.reset(seed=3, options=goal)
    wanted = [1, len(task.variants) + 2]
    over = False
    while not over:
        assert seen in telling.observation_space
        np.testing.assert_array_equal(seen["observation"], first)
        assert seen["wanted"].tolist() == wanted
        first, *_ = plain.step(2)
        seen, _, terminated, truncated, info = telling.step(2)
        over = terminated or truncated
    assert task.follows is not None
    assert info.keys() == {"success", "final_cell"}


def test_an_episode_without_a_variant_has_nothing_to_tell():
    env = with_task_id(TASKS[1], NUMBERING).make()
    for options in (None, {"goal": 999}):
        with pytest.raises(ValueError, match=r"'dark-room': .* is none of its 49 variants: reset it with the options"):
            env.reset(seed=0, options=options)
    with pytest.raises(ValueError, match="task 'cartpole' has no number, expected one of"):
        NUMBERING.of_episode("cartpole", {})


def test_a_task_without_variants_is_told_too():
    task = get_task("cartpole")
    env = with_task_id(task, Numbering.of([task])).make()
    assert isinstance(env, ToldVariant)
    assert env.reset(seed=0)[0] in env.observation_space
    assert env.reset(seed=0)[0]["wanted"].tolist() == [0, 0]


def test_the_task_keeps_its_name_and_scores_and_loses_its_expert():
    task = with_task_id(TASKS[0], NUMBERING)
    assert (task.name, task.scores, task.variants) == (TASKS[0].name, TASKS[0].scores, TASKS[0].variants)
    assert task.make_expert is None
    assert isinstance(task.make(render_mode="rgb_array"), gymnasium.Env)
