"""The pendulum's mode: nothing but a demonstration may tell what to do with it."""

import math
from typing import Any

import numpy as np
import pytest
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from gymnasium.utils.env_checker import data_equivalence

from gato.envs.context import pendulum_mode
from gato.envs.context.pendulum_mode import MODES, PendulumMode

(TASK,) = pendulum_mode.TASKS
UP, HANG, LEFT, RIGHT = "up", "hang", "counterclockwise", "clockwise"


class Shown(PendulumMode):
    """A pendulum that shows the given (angle, velocity): what counts can be worked out by hand."""

    def __init__(self, shown: list[tuple[float, float]]) -> None:
        super().__init__()
        self.shown = iter(shown)
        self.unwrapped.step = self.show

    def show(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        angle, velocity = next(self.shown)
        return np.array([np.cos(angle), np.sin(angle), velocity], dtype=np.float32), -1.0, False, False, {}


def finish(env: PendulumMode, mode: str) -> tuple[list[float], dict[str, Any]]:
    """Rewards and the last info."""
    env.reset(seed=0, options={"mode": mode})
    rewards = []
    while True:
        _, reward, terminated, truncated, info = env.step(np.zeros(1, dtype=np.float32))
        rewards.append(reward)
        assert not terminated
        if truncated:
            return rewards, info
        assert info == {}


def demonstrate(env: PendulumMode, mode: str, seed: int) -> tuple[float, dict[str, Any]]:
    """Return and last info of an expert's episode."""
    expert = TASK.make_expert(env, np.random.default_rng(0))
    observation, info = env.reset(seed=seed, options={"mode": mode})
    expert.reset()
    episode_return = 0.0
    while not info:
        observation, reward, _, _, info = env.step(expert.act(observation))
        episode_return += reward
    return episode_return, info


def test_mode_shows_neither_at_the_start_nor_in_what_follows():
    env = PendulumMode()
    actions = np.random.default_rng(0).uniform(-2, 2, size=(90, 1)).astype(np.float32)
    expected: list[Any] = []
    for mode in MODES:
        first = env.reset(seed=5, options={"mode": mode})
        steps = [env.step(action) for action in actions]
        infos = [step[4] for step in steps[:-1]]
        assert not any(infos)
        answers = [first, *(step[0] for step in steps), *(step[2:4] for step in steps), steps[-1][4]["mode"]]
        expected = expected or answers
        assert data_equivalence(answers, expected, exact=True)


def test_start_and_steps_are_pendulums():
    env, pendulum = PendulumMode(), PendulumEnv()
    assert data_equivalence(env.reset(seed=9)[0], pendulum.reset(seed=9)[0], exact=True)
    for torque in [2.0, -1.0, 0.5]:
        action = np.array([torque], dtype=np.float32)
        assert data_equivalence(env.step(action)[0], pendulum.step(action)[0], exact=True)


@pytest.mark.parametrize(
    "angle, velocity, mode",
    [
        (0.3, 0.5, UP),  # cosine 0.955
        (-0.3, -0.9, UP),
        (0.5, 0.0, "none"),  # cosine 0.878
        (0.3, 1.1, "none"),
        (math.pi - 0.3, -0.5, HANG),
        (math.pi + 0.3, 1.1, "none"),
        (0.0, 4.1, LEFT),
        (2.0, -4.1, RIGHT),
        (math.pi, 3.9, "none"),
    ],
)
def test_mode_of_an_episode(angle: float, velocity: float, mode: str):
    for asked in MODES:
        rewards, info = finish(Shown([(angle, velocity)] * 90), asked)
        assert info == {"success": asked == mode, "mode": mode}
        assert rewards == [0.0] * 70 + [0.05 if asked == mode else 0.0] * 20
        assert TASK.follows({"mode": asked}, info) == (asked == mode)


def test_only_the_last_twenty_steps_count_and_two_of_them_may_fail():
    up, hang = (0.0, 0.0), (math.pi, 0.0)
    rewards, info = finish(Shown([hang] * 72 + [up] * 18), UP)
    assert info == {"success": True, "mode": UP}
    assert sum(rewards) == pytest.approx(18 / 20)
    rewards, info = finish(Shown([up] * 71 + [hang] * 3 + [up] * 16), UP)
    assert info == {"success": False, "mode": "none"}
    assert sum(rewards) == pytest.approx(17 / 20)


def test_each_expert_follows_its_own_mode_and_no_other():
    env = PendulumMode()
    for mode in MODES:
        results = [demonstrate(env, mode, seed) for seed in range(40)]
        ends = [info["mode"] for _, info in results]
        assert ends.count(mode) >= 39
        assert set(ends) <= {mode, "none"}
        assert np.mean([episode_return for episode_return, _ in results]) > 0.97


def test_a_wrong_expert_earns_nothing():
    env = PendulumMode()
    for asked in MODES:
        for shown in set(MODES) - {asked}:
            env.reset(seed=1, options={"mode": shown})
            expert = TASK.make_expert(env, np.random.default_rng(0))
            observation, info = env.reset(seed=1, options={"mode": asked})
            earned = 0.0
            while not info:
                env.variant = {"mode": shown}
                action = expert.act(observation)
                env.variant = {"mode": asked}
                observation, reward, _, _, info = env.step(action)
                earned += reward
            assert earned <= 0.1
            assert info == {"success": False, "mode": shown}


def test_angles_grow_counterclockwise_in_the_picture():
    env = PendulumMode(render_mode="rgb_array")
    env.reset(seed=0, options={"mode": UP})
    env.unwrapped.state = np.array([0.6, 0.0])
    rod = (env.render() == (204, 77, 77)).all(axis=2)
    env.close()
    rows, columns = np.nonzero(rod)
    assert rows.mean() < 220  # above the axle
    assert columns.mean() < 230  # and left of it


def test_experts_of_opposite_spins_are_mirror_images():
    env = PendulumMode()
    expert = TASK.make_expert(env, np.random.default_rng(0))
    for angle, velocity in np.random.default_rng(0).uniform([-math.pi, -8], [math.pi, 8], size=(200, 2)):
        torques = []
        for mode, sign in ((LEFT, 1), (RIGHT, -1)):
            env.reset(options={"mode": mode})
            torques.append(sign * expert.act(np.array([math.cos(angle), sign * math.sin(angle), sign * velocity]))[0])
        assert torques[0] == pytest.approx(torques[1], abs=1e-6)


def test_experts_set_a_pendulum_at_rest_going():
    env = PendulumMode()
    expert = TASK.make_expert(env, np.random.default_rng(0))
    for mode in (UP, LEFT, RIGHT):
        observation, info = env.reset(seed=0, options={"mode": mode})
        env.unwrapped.state = np.array([math.pi, 0.0])
        observation = np.array([-1, 0, 0], dtype=np.float32)
        assert abs(expert.act(observation)[0]) > 0.5
        while not info:
            observation, _, _, _, info = env.step(expert.act(observation))
        assert info["mode"] == mode


def test_all_modes_are_drawn_and_none_is_held_out():
    env = PendulumMode()
    drawn = set()
    for seed in range(40):
        env.reset(seed=seed)
        drawn.add(env.variant["mode"])
    assert drawn == set(MODES) == {variant["mode"] for variant in TASK.variants}
    assert TASK.held_out_variants == ()


def test_picture_marks_the_mode():
    pictures = {}
    for mode in MODES:
        env = PendulumMode(render_mode="rgb_array")
        env.reset(seed=0, options={"mode": mode})
        pictures[mode] = env.render()
        env.close()
    mark = (255, 186, 73)
    assert pictures[UP][250 - 159, 250].tolist() == pictures[HANG][250 + 159, 250].tolist() == list(mark)
    # The ring is bright where a spin begins, and fades behind it: counterclockwise, bright right of the top.
    right_of_top, left_of_top = (94, 280), (94, 220)
    for mode, bright, faint in ((LEFT, right_of_top, left_of_top), (RIGHT, left_of_top, right_of_top)):
        assert pictures[mode][bright][2] < 100
        assert pictures[mode][faint][2] > 230
    assert PendulumMode().render() is None


@pytest.mark.parametrize(
    "options, message",
    [
        ({"mode": "swing"}, "mode is 'swing', expected one of .*'hang'"),
        ({"mode": ["up"]}, r"mode is \['up'\]"),
        ({"node": "up"}, r"\['node'\], expected \['mode'\]"),
    ],
)
def test_bad_options_are_refused(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        PendulumMode().reset(options=options)
