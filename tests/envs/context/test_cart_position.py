"""The cart's set-point: nothing but a demonstration may tell where the pole is to be balanced."""

from typing import Any

import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.utils.env_checker import data_equivalence

from gato.envs.context import cart_position
from gato.envs.context.cart_position import CartPosition

(TASK,) = cart_position.TASKS
POSITIONS = [-1.2, -0.9, -0.6, -0.3, 0.0, 0.3, 0.6, 0.9, 1.2]


class Still(CartPosition):
    """A cart that stays where it is put: what counts as success can be worked out by hand."""

    def __init__(self, places: dict[int, float], falls_at: int | None = None) -> None:
        super().__init__()
        self.places, self.falls_at, self.steps = places, falls_at, 0
        self.unwrapped.step = self.move

    def move(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.steps += 1
        place = next(place for last, place in self.places.items() if self.steps <= last)
        return np.array([place, 0, 0, 0], dtype=np.float32), 1.0, self.steps == self.falls_at, False, {}


def finish(env: CartPosition, position: float) -> tuple[list[float], bool, dict[str, Any]]:
    """Rewards, whether it terminated, and the last info."""
    env.reset(seed=0, options={"position": position})
    rewards = []
    while True:
        _, reward, terminated, truncated, info = env.step(0)
        rewards.append(reward)
        if terminated or truncated:
            return rewards, terminated, info
        assert info == {}


def demonstrate(env: CartPosition, position: float, seed: int) -> list[tuple]:
    expert = TASK.make_expert(env, np.random.default_rng(0))
    steps: list[tuple] = [env.reset(seed=seed, options={"position": position})]
    expert.reset()
    while len(steps) == 1 or not (steps[-1][2] or steps[-1][3]):
        steps.append(env.step(expert.act(steps[-1][0])))
    return steps


def test_position_shows_neither_at_the_start_nor_in_what_follows():
    env = CartPosition()
    played = demonstrate(env, 0.3, seed=5)
    actions = [int(action) for action in np.random.default_rng(0).integers(2, size=12)]
    expected: list[Any] = []
    for position in POSITIONS:
        first = env.reset(seed=5, options={"position": position})
        steps = [env.step(action) for action in actions]
        answers = [first, *((step[0], *step[2:]) for step in steps)]
        expected = expected or answers
        assert data_equivalence(answers, expected, exact=True)
    assert data_equivalence(expected[0], played[0], exact=True)


def test_starts_are_cartpoles_but_farther_from_the_centre():
    env, cart = CartPosition(), CartPoleEnv()
    starts = []
    for seed in range(100):
        start, expected = env.reset(seed=seed)[0], cart.reset(seed=seed)[0]
        np.testing.assert_allclose(start, expected * [27, 1, 1, 1], rtol=1e-6)
        starts.append(start[0])
    assert max(starts) > 1.2
    assert min(starts) < -1.2


def test_steps_are_cartpoles():
    env, cart = CartPosition(), CartPoleEnv()
    env.reset(seed=2)
    cart.reset(seed=2)
    cart.state = env.unwrapped.state
    for action in [0, 1, 1, 0, 0, 0, 1]:
        assert data_equivalence(env.step(action)[0], cart.step(action)[0], exact=True)


def test_only_the_last_fifty_steps_count():
    rewards, terminated, info = finish(Still({190: 2.0, 240: 0.5}), 0.6)
    assert rewards == [0.0] * 190 + [0.02] * 50
    assert not terminated
    assert info == {"success": True, "balanced": True, "mean_position": 0.5, "position_spread": 0.0}


def test_steps_in_the_tolerance_pay_but_success_asks_for_the_root_mean_square():
    # Half of the steps at the set-point and half 0.25 away: root mean square 0.177, mean distance 0.125.
    rewards, _, info = finish(Still({215: 0.25, 240: 0.5}), 0.5)
    assert sum(rewards) == pytest.approx(0.5)
    assert (info["mean_position"], info["position_spread"]) == (0.375, 0.125)
    assert not info["success"]
    assert TASK.follows({"position": 0.3}, info)  # 0.146 away from it
    assert not TASK.follows({"position": 0.2}, info)


def test_a_pole_that_falls_fails_however_near_the_cart_is():
    rewards, terminated, info = finish(Still({240: 0.3}, falls_at=240), 0.3)
    assert terminated
    assert sum(rewards) == pytest.approx(49 / 50)
    assert (info["success"], info["balanced"]) == (False, False)
    assert not TASK.follows({"position": 0.3}, info)
    rewards, terminated, info = finish(CartPosition(), 0.0)  # pushed left all the time
    assert len(rewards) < 15
    assert (sum(rewards), terminated, info["balanced"]) == (0, True, False)


def test_each_expert_follows_its_own_position_and_no_other():
    env = CartPosition()
    for position in POSITIONS:
        for seed in range(8):
            steps = demonstrate(env, position, seed)
            info = steps[-1][4]
            assert [other for other in POSITIONS if TASK.follows({"position": other}, info)] == [position]
            assert info["success"]
            assert sum(step[1] for step in steps[1:]) == pytest.approx(1)
            assert info["position_spread"] < 0.1


def test_expert_keeps_the_pole_up_when_some_actions_are_random():
    env = CartPosition()
    rng = np.random.default_rng(0)
    expert = TASK.make_expert(env, rng)
    followed = []
    for seed in range(30):
        observation, info = env.reset(seed=seed, options={"position": POSITIONS[seed % 9]})
        over = False
        while not over:
            action = expert.act(observation)
            observation, _, terminated, truncated, info = env.step(action if rng.random() > 0.1 else rng.integers(2))
            over = terminated or truncated
        followed.append(info["success"])
    assert np.mean(followed) > 0.85


def test_held_out_positions_lie_between_trained_ones():
    trained = [variant["position"] for variant in TASK.variants]
    held_out = [variant["position"] for variant in TASK.held_out_variants]
    assert held_out == [-0.6, 0.0, 0.6]
    assert sorted(trained + held_out) == POSITIONS
    assert all({round(position - 0.3, 1), round(position + 0.3, 1)} <= set(trained) for position in held_out)


def test_a_trained_position_is_drawn_where_none_is_given():
    env = CartPosition()
    drawn = set()
    for seed in range(60):
        env.reset(seed=seed)
        drawn.add(env.variant["position"])
    assert drawn == {variant["position"] for variant in TASK.variants}


def test_picture_marks_the_position():
    env = CartPosition(render_mode="rgb_array")
    env.reset(seed=0, options={"position": 0.6})
    rows, columns = np.nonzero((env.render() == (255, 186, 73)).all(axis=2))
    env.close()
    assert columns.mean() == pytest.approx(300 + 0.6 * 125, abs=1)  # 600 pixels show 4.8 metres
    assert np.ptp(columns) == pytest.approx(0.3 * 125, abs=2)
    assert rows.min() > 315  # below the cart
    assert CartPosition().render() is None


@pytest.mark.parametrize(
    "options, message",
    [
        ({"position": 1.3}, r"position is 1.3, expected .*\[-1.2, 1.2\]"),
        ({"position": float("nan")}, "position is nan"),
        ({"position": "left"}, "position is 'left'"),
        ({"place": 0.3}, r"\['place'\], expected \['position'\]"),
    ],
)
def test_bad_options_are_refused(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        CartPosition().reset(options=options)
