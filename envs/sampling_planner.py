"""Model-predictive control by sampling, for MuJoCo models that no theory gives a controller for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .simulator import import_simulator


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Settings of `SamplingPlanner`."""

    num_moves: int  # actions in a plan
    hold: int  # steps for which each of them is held
    num_samples: int  # plans that are tried against the old one
    spread: float  # standard deviation of their difference, in units of action


class SamplingPlanner:
    """Model-predictive control by sampling: of some random variations on the last plan, the cheapest.

    A plan that costs nothing is kept. Plans are tried on data of the planner's own.

    Source: predictive sampling (Howell et al., 2022).
    """

    def __init__(
        self, physics: Any, cost: Callable[[Any], float], settings: Sampling, rng: np.random.Generator
    ) -> None:
        """Starts from the plan to do nothing.

        Args:
            physics: the suite's; its state is read, never changed.
            cost: of the `mujoco.MjData` behind an action of a plan, not negative.
            settings: how to sample.
            rng: where the variations are drawn.
        """
        self._mujoco = import_simulator("mujoco", "dm-control")
        self._model, self._data = physics.model.ptr, physics.data.ptr
        self._cost, self._settings, self._rng = cost, settings, rng
        self._scratch = self._mujoco.MjData(self._model)
        self._kind = self._mujoco.mjtState.mjSTATE_INTEGRATION
        self._start = np.zeros(self._mujoco.mj_stateSize(self._model, self._kind))
        self._plan = np.zeros((settings.num_moves, self._model.nu))
        self._age = 0

    def act(self, num_substeps: int) -> np.ndarray:
        if self._age % self._settings.hold == 0:
            self._mujoco.mj_getState(self._model, self._data, self._start, self._kind)
            self._improve(num_substeps * self._settings.hold)
        self._age += 1
        return self._plan[0].astype(np.float32)

    def _improve(self, num_substeps: int) -> None:
        self._plan = np.concatenate([self._plan[1:], self._plan[-1:]])
        best = self._cost_of(self._plan, num_substeps)
        if best == 0:
            return
        shifts = self._rng.normal(0, self._settings.spread, (self._settings.num_samples, *self._plan.shape))
        shifts[::3] *= 0.3  # some small ones, to finish what is nearly right
        for plan in np.clip(self._plan + shifts, -1, 1):
            if (cost := self._cost_of(plan, num_substeps)) < best:
                best, self._plan = cost, plan

    def _cost_of(self, plan: np.ndarray, num_substeps: int) -> float:
        self._mujoco.mj_setState(self._model, self._scratch, self._start, self._kind)
        total = 0.0
        for action in plan:
            self._scratch.ctrl[:] = action
            self._mujoco.mj_step(self._model, self._scratch, num_substeps)
            self._mujoco.mj_kinematics(self._model, self._scratch)
            total += self._cost(self._scratch)
        return total
