"""Linear control of smooth systems: a numerical linearisation, and the discrete linear-quadratic regulator for it."""

from collections.abc import Callable

import numpy as np

_MAX_DOUBLINGS = 60  # each doubles the horizon: far beyond what any stabilisable system needs


def linearize(
    step: Callable[[np.ndarray, np.ndarray], np.ndarray], state: np.ndarray, action: np.ndarray, delta: float = 1e-5
) -> tuple[np.ndarray, np.ndarray]:
    """Central differences of the map (state, action) -> next state.

    Args:
        step: the dynamics, a function of its arguments alone.
        state: (S,), where to linearise.
        action: (A,), likewise.
        delta: half the distance between the two points of a difference, in the units of state and action.

    Returns:
        The Jacobians (S, S) by state and (S, A) by action.
    """
    by_state = [step(state + shift, action) - step(state - shift, action) for shift in delta * np.eye(len(state))]
    by_action = [step(state, action + shift) - step(state, action - shift) for shift in delta * np.eye(len(action))]
    return np.stack(by_state, axis=1) / (2 * delta), np.stack(by_action, axis=1) / (2 * delta)


def riccati(transition: np.ndarray, control: np.ndarray, state_cost: np.ndarray, action_cost: np.ndarray) -> np.ndarray:
    """Stabilising solution P of the discrete algebraic Riccati equation, so that x'Px is the optimal cost from x.

    The system is x' = transition x + control u and pays x'(state_cost)x + u'(action_cost)u a step.

    Args:
        transition: (S, S).
        control: (S, A).
        state_cost: (S, S), symmetric, not negative.
        action_cost: (A, A), symmetric, positive.

    Raises:
        ValueError: there is no such solution, as when an unstable direction cannot be controlled.

    Source: the structure-preserving doubling algorithm (Chu, Fan, Lin and Wang, 2004), each round of which
    doubles the horizon over which the cost is counted.
    """
    identity = np.eye(len(transition))
    reach = control @ np.linalg.solve(action_cost, control.T)
    cost = np.asarray(state_cost, float)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(_MAX_DOUBLINGS):
            try:
                half = np.linalg.solve(identity + reach @ cost, np.hstack([transition, reach]))
            except np.linalg.LinAlgError:
                break
            through, spread = np.split(half, [len(transition)], axis=1)
            change = transition.T @ cost @ through
            reach = reach + transition @ spread @ transition.T
            transition = transition @ through
            cost = cost + (change + change.T) / 2
            if not np.isfinite(cost).all():
                break
            if np.abs(change).max() <= 1e-12 * np.abs(cost).max():
                return cost
    raise ValueError("the Riccati equation has no stabilising solution: the system cannot be stabilised by its control")


def lqr_gain(
    transition: np.ndarray, control: np.ndarray, state_cost: np.ndarray, action_cost: np.ndarray
) -> np.ndarray:
    """Gain K (A, S) of the optimal feedback u = -K x; arguments and errors are those of `riccati`."""
    weight = control.T @ riccati(transition, control, state_cost, action_cost)
    return np.linalg.solve(action_cost + weight @ control, weight @ transition)
