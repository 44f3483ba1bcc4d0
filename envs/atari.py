"""Atari games of the Arcade Learning Environment (ALE), without experts: the 57 of the literature, and others.

Sticky actions, four frames a step and half an hour of play, as Machado et al. (2018) recommend and ALE's v5 has it.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from .names import kebab_case
from .simulator import import_simulator
from .task import Score, Task

PIXELS_SIZE = 84  # side of the first view, as in Mnih et al. (2015)
_FRAMES_PER_STEP = 4
_MAX_EPISODE_STEPS = 27_000
_HUMAN_SOURCE = (
    "human starts after up to 30 no-ops: Wang et al., 2016 (arXiv 1511.06581), as listed in DeepMind's dqn_zoo"
)
_BUTTONS = (
    "do nothing",
    "fire",
    "up",
    "right",
    "left",
    "down",
    "up right",
    "up left",
    "down right",
    "down left",
    "up and fire",
    "right and fire",
    "left and fire",
    "down and fire",
    "up right and fire",
    "up left and fire",
    "down right and fire",
    "down left and fire",
)  # ALE's numbering
_ALL_BUTTONS = range(len(_BUTTONS))
_CROSS = range(6)
_FIRING_CROSS = (*_CROSS, 10, 11, 12, 13)
_UP_DOWN = (0, 1, 2, 5, 10, 13)
_LEFT_RIGHT = (0, 1, 3, 4, 11, 12)
_EIGHT_WAYS = (0, *range(2, 10))
_CROSS_PLAIN = (0, *range(2, 6))
_UP_DOWN_FIRE = (0, 1, 2, 5)


class SmallGray(
    gymnasium.Wrapper[np.ndarray, np.int64, np.ndarray, np.int64],
    RecordConstructorArgs,
):
    """Several frames a step, seen as one (84, 84, 1) uint8 picture: the brighter of the last two, shrunk by area.

    Games draw some objects in every other frame only, which a picture of the last frame would miss.

    Source: Mnih et al. (2015), methods; Machado et al. (2018) keep it.
    """

    def __init__(self, env: gymnasium.Env[np.ndarray, np.int64]) -> None:
        """Wraps a game that plays one frame a step and shows it in gray, (height, width) uint8."""
        RecordConstructorArgs.__init__(self)
        super().__init__(env)
        assert env.observation_space.shape is not None
        height, width = env.observation_space.shape
        self._row_shares = _area_shares(height, PIXELS_SIZE)
        self._column_shares = _area_shares(width, PIXELS_SIZE)
        self._whole = height * width
        self.observation_space = spaces.Box(0, 255, (PIXELS_SIZE, PIXELS_SIZE, 1), np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        frame, info = self.env.reset(seed=seed, options=options)
        return self._shrink(frame), info

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        total = 0.0
        frames: list[np.ndarray] = []
        for _ in range(_FRAMES_PER_STEP):
            frame, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            frames.append(frame)
            if terminated or truncated:
                break
        return self._shrink(np.maximum.reduce(frames[-2:])), total, terminated, truncated, info

    def _shrink(self, frame: np.ndarray) -> np.ndarray:
        # Whole numbers that float32 holds exactly, so that every machine sees the same picture.
        sums = self._row_shares @ frame.astype(np.float32) @ self._column_shares.T
        return ((sums + self._whole // 2) // self._whole).astype(np.uint8)[:, :, None]


def _area_shares(size: int, new_size: int) -> np.ndarray:
    """(new_size, size) float32: how much of each old pixel every new one covers; a whole one counts `new_size`."""
    old, new = np.arange(size) * new_size, np.arange(new_size) * size
    ends = np.minimum(old + new_size, new[:, None] + size)
    return np.maximum(ends - np.maximum(old, new[:, None]), 0).astype(np.float32)


def _make(rom: str, render_mode: str | None = None, view: str = "pixels") -> gymnasium.Env[Any, Any]:
    ale = import_simulator("ale_py", "atari")  # registers the games
    ale.ALEInterface.setLoggerMode(ale.LoggerMode.Error)  # before the first game greets
    # Frames are skipped by ALE or by our wrapper: the game is the same.
    settings: dict[str, Any] = {
        "pixels": {"obs_type": "grayscale", "frameskip": 1},
        "pixels-full": {"obs_type": "rgb", "frameskip": _FRAMES_PER_STEP},
        "ram": {"obs_type": "ram", "frameskip": _FRAMES_PER_STEP},
    }[view]
    env = gymnasium.make(
        f"ALE/{rom.title().replace('_', '')}-v5",
        max_num_frames_per_episode=_MAX_EPISODE_STEPS * _FRAMES_PER_STEP,
        render_mode=render_mode,
        disable_env_checker=True,
        **settings,
    )
    return SmallGray(env) if view == "pixels" else env


def _reached(target: float, episode_return: float, info: Mapping[str, Any]) -> bool:
    return episode_return >= target


class _Game(NamedTuple):
    """One of the 57, whose human score the literature has."""

    rom: str  # ALE's name
    human: float  # mean return
    buttons: Sequence[int]  # the actions that differ in this game
    description: str


class _OtherGame(NamedTuple):
    """A game without a human score."""

    rom: str  # ALE's name
    target: float  # return that counts as success
    meaning: str  # of the target
    buttons: Sequence[int]  # the actions that differ in this game
    description: str


_GAMES = (
    _Game("alien", 7127.7, _ALL_BUTTONS, "Collect the eggs in the ship's corridors and keep away from the aliens."),
    _Game("amidar", 1719.5, _FIRING_CROSS, "Paint the grid of paths by walking along it, and avoid those who walk it."),
    _Game(
        "assault", 742.0, (0, 1, 2, 3, 4, 11, 12), "Shoot the craft that the mother ship sends, without overheating."
    ),
    _Game("asterix", 8503.3, _EIGHT_WAYS, "Collect what flies by on the lanes, but not the lyres."),
    _Game("asteroids", 47388.7, (*range(8), *range(10, 16)), "Shoot the drifting rocks to pieces without being hit."),
    _Game("atlantis", 29028.1, (0, 1, 11, 12), "Defend the city on the sea bed with its guns against passing ships."),
    _Game("bank_heist", 753.1, _ALL_BUTTONS, "Rob the banks of the maze, and lay dynamite for the police behind you."),
    _Game("battle_zone", 37187.5, _ALL_BUTTONS, "Drive the tank across the plain and shoot the enemy's vehicles."),
    _Game("beam_rider", 16926.5, (0, 1, 2, 3, 4, 6, 7, 11, 12), "Slide along the beams and shoot the saucers on them."),
    _Game("berzerk", 2630.4, _ALL_BUTTONS, "Shoot the robots in the maze and touch no wall."),
    _Game("bowling", 160.7, _UP_DOWN, "Knock down as many pins as possible in ten frames."),
    _Game("boxing", 12.1, _ALL_BUTTONS, "Land more punches than the other boxer."),
    _Game("breakout", 30.5, (0, 1, 3, 4), "Bounce the ball off the paddle to break the wall of bricks."),
    _Game("centipede", 12017.0, _ALL_BUTTONS, "Shoot the centipede that winds down between the mushrooms."),
    _Game("chopper_command", 7387.8, _ALL_BUTTONS, "Fly the helicopter and protect the trucks from enemy aircraft."),
    _Game("crazy_climber", 35829.4, _EIGHT_WAYS, "Climb the buildings and dodge closing windows and falling things."),
    _Game("defender", 18688.9, _ALL_BUTTONS, "Shoot the invaders before they carry people away from the ground."),
    _Game("demon_attack", 1971.0, _LEFT_RIGHT, "Shoot the waves of demons above and dodge what they drop."),
    _Game("double_dunk", -16.4, _ALL_BUTTONS, "Outscore the other pair at street basketball."),
    _Game("enduro", 860.5, (0, 1, 3, 4, 5, 8, 9, 11, 12), "Overtake as many cars each day as the race demands."),
    _Game("fishing_derby", -38.7, _ALL_BUTTONS, "Catch more fish than the neighbour, and keep them from the shark."),
    _Game("freeway", 29.6, (0, 2, 5), "Bring chickens across the busy road."),
    _Game("frostbite", 4334.7, _ALL_BUTTONS, "Jump from floe to floe to build an igloo, and enter it in time."),
    _Game("gopher", 2412.5, (0, 1, 2, 3, 4, 10, 11, 12), "Keep the gopher from the carrots by filling its holes."),
    _Game("gravitar", 3351.4, _ALL_BUTTONS, "Steer through the pull of the planets and destroy their bunkers."),
    _Game("hero", 30826.4, _ALL_BUTTONS, "Descend the mine shafts with a helicopter pack and rescue the miners."),
    _Game("ice_hockey", 0.9, _ALL_BUTTONS, "Score more goals than the other ice hockey team."),
    _Game("jamesbond", 302.8, _ALL_BUTTONS, "Drive the armed car through the missions and shoot what attacks it."),
    _Game("kangaroo", 3035.0, _ALL_BUTTONS, "Climb to the captured child, dodging and punching the monkeys."),
    _Game("krull", 2665.5, _ALL_BUTTONS, "Fight and ride through the scenes to the fortress of the beast."),
    _Game(
        "kung_fu_master",
        22736.3,
        (0, *range(2, 6), 8, 9, *range(11, 18)),
        "Fight along the floors of the temple with kicks and punches.",
    ),
    _Game("montezuma_revenge", 4753.3, _ALL_BUTTONS, "Gather keys and treasure in the pyramid's chambers of traps."),
    _Game("ms_pacman", 6951.6, _EIGHT_WAYS, "Eat the dots of the maze and avoid the ghosts, unless they turn blue."),
    _Game("name_this_game", 8049.0, _LEFT_RIGHT, "Guard the treasure under water from the shark and the octopus."),
    _Game("phoenix", 7242.6, (0, 1, 3, 4, 5, 11, 12, 13), "Shoot the flocks of birds and the ship behind them."),
    _Game("pitfall", 6463.7, _ALL_BUTTONS, "Run and swing through the jungle to its treasures, past pits and beasts."),
    _Game("pong", 14.6, _LEFT_RIGHT, "Return the ball past the other paddle."),
    _Game("private_eye", 69571.3, _ALL_BUTTONS, "Find the clues and stolen things in town and bring them back."),
    _Game("qbert", 13455.0, _CROSS, "Hop on every cube of the pyramid to change its color."),
    _Game("riverraid", 17118.0, _ALL_BUTTONS, "Fly up the river, shoot what is in the way and refuel in time."),
    _Game("road_runner", 7845.0, _ALL_BUTTONS, "Run along the road, pick up seeds and escape the coyote."),
    _Game("robotank", 11.9, _ALL_BUTTONS, "Find the enemy's robot tanks and shoot them."),
    _Game("seaquest", 42054.7, _ALL_BUTTONS, "Pick up divers with the submarine, shoot sharks and surface for air."),
    _Game("skiing", -4336.9, (0, 3, 4), "Ski down through all the gates as fast as possible."),
    _Game(
        "solaris", 12326.7, _ALL_BUTTONS, "Travel the galaxy's sectors, fight the invaders and find the lost planet."
    ),
    _Game("space_invaders", 1668.7, _LEFT_RIGHT, "Shoot the rows of invaders before they land."),
    _Game("star_gunner", 10250.0, _ALL_BUTTONS, "Shoot the enemy's ships and drones and evade their bombs."),
    _Game("surround", 6.5, (0, 2, 3, 4, 5), "Lay a growing wall so that the opponent runs into one first."),
    _Game("tennis", -8.3, _ALL_BUTTONS, "Win more games of tennis than the opponent."),
    _Game("time_pilot", 5229.2, _FIRING_CROSS, "Fly through the ages and shoot down the aircraft of each."),
    _Game("tutankham", 167.6, (0, 2, 3, 4, 5, 10, 11, 12), "Take the tomb's treasures and shoot its creatures."),
    _Game("up_n_down", 11693.2, _UP_DOWN, "Collect the flags along the hilly roads and jump over other cars."),
    _Game("venture", 1187.5, _ALL_BUTTONS, "Take the treasure from the dungeon's rooms, and shoot the monsters."),
    _Game(
        "video_pinball", 17667.9, (*_CROSS, 10, 11, 12), "Keep the ball in play with the flippers and hit the targets."
    ),
    _Game("wizard_of_wor", 4756.5, _FIRING_CROSS, "Shoot the monsters in the maze of the wizard."),
    _Game("yars_revenge", 54576.9, _ALL_BUTTONS, "Nibble through the shield and hit the enemy behind it."),
    _Game("zaxxon", 9173.3, _ALL_BUTTONS, "Fly through the fortress in space, over walls and past its guns."),
)

_FAR = "a score far beyond what random play gets"
_RICHER = "more chips than at the start"

# ALE's other sixteen games for one player are not here: random play goes on in them for eight minutes of the game and
# more, if it ends before the limit at all, and would take hours to measure.
_OTHER_GAMES = (
    _OtherGame("air_raid", 5000, _FAR, _LEFT_RIGHT, "Shoot the raiders from the sky before they bomb the houses."),
    _OtherGame(
        "atlantis2",
        1000,
        _FAR,
        (0, 1, 11, 12),
        "Defend the city on the sea bed with its guns against ever faster ships.",
    ),
    _OtherGame("basic_math", 8, "eight of ten problems", _CROSS, "Solve the problems of arithmetic."),
    _OtherGame("blackjack", 1, _RICHER, _UP_DOWN_FIRE, "Bet on hands of blackjack and play them against the dealer."),
    _OtherGame("carnival", 5000, _FAR, _LEFT_RIGHT, "Shoot the targets of the stall before the bullets run out."),
    _OtherGame("casino", 1, _RICHER, _UP_DOWN_FIRE, "Bet on hands of cards and play them against the dealer."),
    _OtherGame("crossbow", 2000, _FAR, _ALL_BUTTONS, "Shoot what threatens the friends who walk through the scenes."),
    _OtherGame("donkey_kong", 2000, _FAR, _ALL_BUTTONS, "Climb the girders to the captive and jump over the barrels."),
    _OtherGame(
        "flag_capture",
        5,
        "flags in 75 seconds",
        _ALL_BUTTONS,
        "Find the hidden flags with the hints under the squares of the field.",
    ),
    _OtherGame("frogger", 100, _FAR, _CROSS_PLAIN, "Bring the frogs over the road and the river to their homes."),
    _OtherGame("galaxian", 5000, _FAR, _LEFT_RIGHT, "Shoot the aliens in their convoy and those that dive from it."),
    _OtherGame("hangman", 1, "the word is guessed", _ALL_BUTTONS, "Guess the word letter by letter with few mistakes."),
    _OtherGame(
        "human_cannonball",
        7,
        "seven hits before seven misses",
        _ALL_BUTTONS,
        "Aim the cannon so that the man lands in the water tower.",
    ),
    _OtherGame(
        "journey_escape",
        0,
        "no money lost",
        (0, *range(2, 10), *range(11, 18)),
        "Lead the band past fans and managers to the escape vehicle.",
    ),
    _OtherGame("kaboom", 200, _FAR, (0, 1, 3, 4), "Catch the falling bombs in the buckets."),
    _OtherGame(
        "keystone_kapers",
        3000,
        _FAR,
        range(14),
        "Chase the thief through the department store, over and under what is in the way.",
    ),
    _OtherGame("king_kong", 1000, _FAR, _CROSS, "Climb the building to the captive and jump over the bombs."),
    _OtherGame("klax", 100, _FAR, _ALL_BUTTONS, "Catch the tiles and drop them so that three of a color make a line."),
    _OtherGame(
        "koolaid",
        1000,
        _FAR,
        _EIGHT_WAYS,
        "Keep the thirsty creatures from drinking the pool dry by running into them.",
    ),
    _OtherGame(
        "laser_gates", 5000, _FAR, _ALL_BUTTONS, "Fly through the cavern past its gates and shoot what defends it."
    ),
    _OtherGame("lost_luggage", 200, _FAR, _EIGHT_WAYS, "Catch the suitcases that fly off the carousel."),
    _OtherGame(
        "mario_bros", 5000, _FAR, _ALL_BUTTONS, "Knock over the pests of the sewer from below and kick them away."
    ),
    _OtherGame("mr_do", 20000, _FAR, _FIRING_CROSS, "Dig for cherries and fell the monsters with apples or the ball."),
    _OtherGame(
        "pacman", 200, _FAR, _CROSS_PLAIN, "Eat the wafers of the maze and avoid the ghosts, unless they turn blue."
    ),
    _OtherGame("pooyan", 3000, _FAR, _UP_DOWN, "Shoot the wolves that float past on balloons before they land."),
    _OtherGame("sir_lancelot", 50000, _FAR, _LEFT_RIGHT, "Fly the winged horse against the beasts over the castle."),
    _OtherGame(
        "tetris", 10, "rows filled", (0, 1, 3, 4, 5), "Turn and drop the falling pieces so that they fill rows."
    ),
    _OtherGame(
        "tic_tac_toe_3d", 1, "a game won", range(10), "Get four in a row in a cube of four grids before the opponent."
    ),
    _OtherGame("trondead", 1000, _FAR, _ALL_BUTTONS, "Throw the disc at the warriors of the arena and dodge theirs."),
    _OtherGame(
        "turmoil",
        5000,
        _FAR,
        (*range(10), 11, 12),
        "Shoot along the lanes at what comes from both sides, and fetch the prizes.",
    ),
    _OtherGame(
        "word_zapper",
        3,
        "all three words",
        _ALL_BUTTONS,
        "Shoot the letters of the word in their order as they scroll past.",
    ),
)


def _task(rom: str, description: str, buttons: Sequence[int], target: float, success_source: str) -> Task:
    return Task(
        name=f"atari-{kebab_case(rom)}",
        family="atari",
        description=description,
        make=functools.partial(_make, rom),
        max_episode_steps=_MAX_EPISODE_STEPS,
        success=functools.partial(_reached, target),
        success_source=success_source,
        tags=frozenset({"discrete", "pixels"}),
        packages=("ale-py",),
        views={
            "pixels": frozenset({"pixels"}),
            "pixels-full": frozenset({"pixels"}),
            "ram": frozenset({"symbols"}),
        },
        action_names=tuple(_BUTTONS[button] for button in buttons),
    )


def _with_human(game: _Game) -> Task:
    task = _task(
        game.rom, game.description, game.buttons, game.human, "ours: the return of the human in the literature"
    )
    return dataclasses.replace(task, human=Score(mean=game.human, date="2016", source=_HUMAN_SOURCE))


TASKS: tuple[Task, ...] = (
    *(_with_human(game) for game in _GAMES),
    *(
        _task(
            game.rom,
            game.description,
            game.buttons,
            game.target,
            f"ours, since the literature has no human score: {game.meaning}, a return of {game.target:g}",
        )
        for game in _OTHER_GAMES
    ),
)
