import math

import numpy as np
import pytest

from gato.envs.linear_control import linearize, lqr_gain, riccati


def test_scalar_riccati_equation_has_its_closed_form():
    # p = a²p - a²b²p²/(r + b²p) + q with a = b = q = r = 1 gives p² = p + 1: the golden ratio.
    one = np.eye(1)
    golden = (1 + math.sqrt(5)) / 2
    assert riccati(one, one, one, one).item() == pytest.approx(golden, rel=1e-12)
    assert lqr_gain(one, one, one, one).item() == pytest.approx(golden / (1 + golden), rel=1e-12)


def test_unstable_scalar_system_is_brought_to_its_mirror_image():
    # Where only control costs anything, the cheapest stable closed loop of x' = a x + u is 1/a.
    unstable = np.array([[2.0]])
    gain = lqr_gain(unstable, np.eye(1), np.zeros((1, 1)) + 1e-12, np.eye(1))
    assert (unstable - gain).item() == pytest.approx(0.5, abs=1e-9)


def test_no_other_gain_of_a_double_integrator_costs_less():
    transition = np.array([[1.0, 0.1], [0.0, 1.0]])
    control = np.array([[0.005], [0.1]])
    state_cost, action_cost = np.diag([1.0, 0.1]), np.array([[0.5]])
    start = np.array([1.0, -0.3])

    def cost(gain: np.ndarray) -> float:
        state, total = start, 0.0
        for _ in range(2000):
            action = -gain @ state
            total += state @ state_cost @ state + action @ action_cost @ action
            state = transition @ state + control @ action
        return float(total)

    gain = lqr_gain(transition, control, state_cost, action_cost)
    best = cost(gain)
    assert best == pytest.approx(start @ riccati(transition, control, state_cost, action_cost) @ start, rel=1e-9)
    for change in np.array([[[0.05, 0]], [[-0.05, 0]], [[0, 0.05]], [[0, -0.05]]]):
        assert cost(gain + change) > best


def test_what_control_cannot_reach_must_not_be_unstable():
    with pytest.raises(ValueError, match="cannot be stabilised"):
        riccati(np.diag([2.0, 0.5]), np.array([[0.0], [1.0]]), np.eye(2), np.eye(1))


def test_linearisation_of_a_pendulum_is_that_of_the_textbook():
    def step(state: np.ndarray, action: np.ndarray) -> np.ndarray:
        angle, rotation = state
        return np.array([angle + 0.01 * rotation, rotation + 0.01 * (9.81 * math.sin(angle) + 3 * action[0])])

    by_state, by_action = linearize(step, np.array([math.pi / 3, 0.7]), np.array([0.2]))
    np.testing.assert_allclose(by_state, [[1, 0.01], [0.01 * 9.81 * 0.5, 1]], atol=1e-9)
    np.testing.assert_allclose(by_action, [[0], [0.03]], atol=1e-9)
