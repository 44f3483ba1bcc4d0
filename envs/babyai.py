"""BabyAI levels (Chevalier-Boisvert et al., 2019) from MiniGrid: missions in English, and the bot that solves them.

Every level exists twice, with the agent's view as a small picture and as the grid of codes behind it.
"""

import contextlib
import functools
import io
import string
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from .simulator import import_simulator
from .task import Expert, Task
from .tiles import NUM_COLORS, NUM_OBJECTS, NUM_STATES, assemble, cell_codes, tile_atlas

VIEW_SIZE = 7  # cells along a side of the agent's view
TILE_SIZE = 8  # pixels along a side of a cell
ACTION_NAMES = ("turn left", "turn right", "go forward", "pick up", "drop", "open", "done")
_DONE = 6
_MAX_MISSION_LENGTH = 128
_MAX_PUSHED = 200  # subgoals that the bot may push for one action; it needs a few, and where stuck never stops
_MAX_RESTARTS = 10  # fresh starts of the bot in one episode


class BabyAIView(gymnasium.Wrapper[dict[str, Any], int, dict[str, Any], int], RecordConstructorArgs):
    """A level with storable observations: the mission as `spaces.Text`, the view as codes or as a picture.

    The picture equals that of MiniGrid's `RGBImgPartialObsWrapper`. `last_action` is the action of the last step.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], *, pixels: bool) -> None:
        RecordConstructorArgs.__init__(self, pixels=pixels)
        super().__init__(env)
        self.last_action: int | None = None
        self._pixels = pixels
        view = (VIEW_SIZE, VIEW_SIZE, 3)
        picture = (VIEW_SIZE * TILE_SIZE, VIEW_SIZE * TILE_SIZE, 3)
        highest_codes = np.broadcast_to(np.array([NUM_OBJECTS, NUM_COLORS, NUM_STATES]) - 1, view)
        self.observation_space = spaces.Dict(
            direction=spaces.Discrete(4),
            image=spaces.Box(0, 255, picture, np.uint8)
            if pixels
            else spaces.Box(np.zeros(view, np.uint8), highest_codes.astype(np.uint8), dtype=np.uint8),
            mission=spaces.Text(_MAX_MISSION_LENGTH, charset=string.ascii_lowercase + " ,"),
        )
        # MiniGrid rotates copies of the grid cell by cell for each view, most of the time of a step.
        env.unwrapped.gen_obs_grid = functools.partial(_seen_grid, env.unwrapped)  # type: ignore[attr-defined]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        self.last_action = None
        with contextlib.redirect_stdout(io.StringIO()):  # MiniGrid prints every layout that it rejects
            observation, info = self.env.reset(seed=seed, options=options)
        return self._convert(observation), info

    def step(self, action: int) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.last_action = int(action)
        return self._convert(observation), float(reward), terminated, truncated, info

    def _convert(self, observation: dict[str, Any]) -> dict[str, Any]:
        if not self._pixels:
            return observation
        codes = cell_codes(observation["image"]).T  # MiniGrid indexes by column, then row
        tiles = tile_atlas(TILE_SIZE, lit=True)[codes]
        agent_row, agent_column = VIEW_SIZE - 1, VIEW_SIZE // 2
        tiles[agent_row, agent_column] = tile_atlas(TILE_SIZE, lit=True, agent=True)[codes[agent_row, agent_column]]
        return {**observation, "image": assemble(tiles)}


def _seen_grid(env: Any, agent_view_size: int | None = None) -> tuple[Any, np.ndarray]:
    """What `MiniGridEnv.gen_obs_grid` returns: the view's grid and the mask of its visible cells."""
    size = agent_view_size or env.agent_view_size
    world = env.grid
    width, height, world_cells = world.width, world.height, world.grid
    forward_x, forward_y = (int(step) for step in env.dir_vec)
    right_x, right_y = -forward_y, forward_x
    # World coordinates of the view's far left cell; rows come nearer, columns go right.
    left_x = int(env.agent_pos[0]) + forward_x * (size - 1) - right_x * (size // 2)
    left_y = int(env.agent_pos[1]) + forward_y * (size - 1) - right_y * (size // 2)
    outside = _wall()
    cells: list[Any] = []
    for row in range(size):
        x, y = left_x - forward_x * row, left_y - forward_y * row
        for _ in range(size):
            cells.append(world_cells[y * width + x] if 0 <= x < width and 0 <= y < height else outside)
            x, y = x + right_x, y + right_y
    agent_index = size * (size - 1) + size // 2
    seen = [True] * len(cells) if env.see_through_walls else _line_of_sight(cells, size, agent_index)
    cells = [cell if visible else None for cell, visible in zip(cells, seen, strict=True)]
    cells[agent_index] = env.carrying
    view = type(world)(size, size)
    view.grid = cells
    return view, np.array(seen).reshape(size, size).T


def _line_of_sight(cells: list[Any], size: int, agent_index: int) -> list[bool]:
    """Spreads sight from the agent's cell, row by row away from it, through all that can be seen past."""
    clear = [cell is None or cell.see_behind() for cell in cells]
    seen = [False] * len(cells)
    seen[agent_index] = True
    for row in range(size - 1, -1, -1):
        start = row * size
        for step, columns in ((1, range(size - 1)), (-1, range(size - 1, 0, -1))):
            for index in range(start + columns.start, start + columns.stop, step):
                if seen[index] and clear[index]:
                    seen[index + step] = True
                    if row > 0:
                        seen[index - size] = seen[index - size + step] = True
    return seen


@functools.cache
def _wall() -> Any:
    return import_simulator("minigrid.core.world_object", "babyai").Wall()


class _PlanTooLongError(Exception):
    """The bot pushes subgoals without end."""


class _BoundedPlan(list[Any]):
    """The bot's stack of subgoals, which counts what is pushed while one action is found."""

    pushed = 0

    def append(self, subgoal: Any) -> None:
        self.pushed += 1
        if self.pushed > _MAX_PUSHED:
            raise _PlanTooLongError
        super().append(subgoal)


class _BotExpert:
    """MiniGrid's BabyAIBot, told which actions were really executed.

    Where the bot finds no plan, or believes the mission accomplished, it starts afresh from the present state. After
    too many fresh starts it answers `done`, which does nothing, until the episode runs out of time.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self._env = env
        module = import_simulator("minigrid.utils.baby_ai_bot", "babyai")
        self._new_bot = module.BabyAIBot
        self._failures = (AssertionError, _PlanTooLongError, module.DisappearedBoxError)
        self._bot: Any = None
        self._restarts = 0

    def reset(self) -> None:
        self._restarts = 0
        self._start_bot()

    def act(self, observation: dict[str, Any]) -> int:
        action = self._suggestion(self._env.get_wrapper_attr("last_action"))
        if action == _DONE and self._restarts < _MAX_RESTARTS:
            self._restarts += 1
            self._start_bot()
            action = self._suggestion(None)
        return action

    def _start_bot(self) -> None:
        self._bot = self._new_bot(self._env)
        self._bot.stack = _BoundedPlan(self._bot.stack)

    def _suggestion(self, last_action: int | None) -> int:
        if self._bot is None:
            return _DONE
        self._bot.stack.pushed = 0
        try:
            return int(self._bot.replan(last_action))
        except self._failures:
            self._bot = None
            return _DONE


def _make_expert(env: gymnasium.Env[Any, Any], rng: np.random.Generator) -> Expert:
    return _BotExpert(env)


def _make(env_id: str, pixels: bool, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
    import_simulator("minigrid", "babyai")  # registers the levels
    return BabyAIView(gymnasium.make(env_id, render_mode=render_mode, disable_env_checker=True), pixels=pixels)


def _succeeded(episode_return: float, info: Mapping[str, Any]) -> bool:
    return episode_return > 0


def _level(name: str, env_id: str, description: str, max_episode_steps: int) -> tuple[Task, ...]:
    """The level in its two forms."""
    return tuple(
        Task(
            name=f"{name}-{form}",
            family="babyai",
            description=description,
            make=functools.partial(_make, env_id, form == "pixels"),
            make_expert=_make_expert,
            max_episode_steps=max_episode_steps,
            success=_succeeded,
            success_source="BabyAI: reward is given for an accomplished mission only",
            tags=frozenset({"text", "discrete", form}),
            action_names=ACTION_NAMES,
        )
        for form in ("pixels", "symbols")
    )


TASKS: tuple[Task, ...] = (
    *_level(
        "go-to-red-ball-grey",
        "BabyAI-GoToRedBallGrey-v0",
        "Walk to the red ball in a room where everything else is grey.",
        64,
    ),
    *_level("go-to-local", "BabyAI-GoToLocal-v0", "Walk to the object that the mission names, among others.", 64),
    *_level("open-door", "BabyAI-OpenDoor-v0", "Open the door that the mission names by color or by place.", 576),
    *_level(
        "pickup-loc", "BabyAI-PickupLoc-v0", "Pick up the object that the mission names, perhaps by where it lies.", 64
    ),
)
