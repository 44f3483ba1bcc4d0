"""Atari: the game is ALE's own in every view, and what is shown of it."""

import gymnasium
import numpy as np
import pytest

from gato.envs.atari import PIXELS_SIZE, TASKS

TASK = {task.name: task for task in TASKS}
pytest.importorskip("ale_py")


def play(env, actions: list[int], seed: int) -> list[tuple]:
    observation, info = env.reset(seed=seed)
    steps = [(observation, 0.0, False, False, info)]
    for action in actions:
        steps.append(env.step(np.int64(action)))
        if steps[-1][2] or steps[-1][3]:
            break
    return steps


# Those that random play hardly ends, so that measuring chance takes hours.
LEFT_OUT = {
    "Adventure",
    "Backgammon",
    "Darkchambers",
    "Earthworld",
    "ElevatorAction",
    "Entombed",
    "Et",
    "HauntedHouse",
    "MiniatureGolf",
    "Othello",
    "Pitfall2",
    "SpaceWar",
    "Superman",
    "VideoCheckers",
    "VideoChess",
    "VideoCube",
}


def test_there_are_the_57_games_of_the_literature():
    assert sum(task.human is not None for task in TASKS) == 57
    assert TASK["atari-ms-pacman"].human.mean == 6951.6
    assert TASK["atari-pong"].success(15.0, {})
    assert not TASK["atari-pong"].success(14.0, {})


def test_games_are_all_of_ales_for_one_player_but_the_endless():
    games = {spec.removeprefix("ALE/").removesuffix("-v5") for spec in gymnasium.registry if spec.startswith("ALE/")}
    assert games >= LEFT_OUT
    theirs = {game.lower() for game in games - LEFT_OUT}
    assert {name.removeprefix("atari-").replace("-", "") for name in TASK} == theirs


@pytest.mark.parametrize(
    "name, enough, too_little",
    [("hangman", 1, 0), ("human-cannonball", 7, 6), ("journey-escape", 0, -300), ("basic-math", 8, 7)],
)
def test_success_without_a_human_score_is_a_return_that_the_source_names(name: str, enough: float, too_little: float):
    task = TASK[f"atari-{name}"]
    assert task.success_source.endswith(f"a return of {enough}")
    assert task.success(enough, {})
    assert not task.success(too_little, {})


@pytest.mark.parametrize("name", TASK)
def test_actions_are_those_of_the_game(name: str):
    env = TASK[name].make(view="ram")
    ours = [words.replace(" and ", "").replace(" ", "") for words in TASK[name].action_names]
    ours[0] = "noop"
    assert ours == [meaning.lower() for meaning in env.unwrapped.get_action_meanings()]
    env.close()


def test_all_views_are_one_game():
    actions = np.random.default_rng(0).integers(4, size=300).tolist()
    views = [play(TASK["atari-breakout"].make(view=view), actions, 5) for view in TASK["atari-breakout"].views]
    pixels, full, ram = views
    assert len(pixels) > 100
    assert [step[1:] for step in pixels] == [step[1:] for step in full] == [step[1:] for step in ram]
    assert pixels[0][0].shape == (PIXELS_SIZE, PIXELS_SIZE, 1)
    assert full[0][0].shape == (210, 160, 3)
    assert ram[0][0].shape == (128,)


@pytest.mark.parametrize("name", ["atari-pong", "atari-surround", "atari-seaquest", "atari-mr-do"])
def test_episode_depends_on_its_seed_alone(name: str):
    env = TASK[name].make()
    num_actions = len(TASK[name].action_names)
    actions = np.random.default_rng(0).integers(num_actions, size=100).tolist()
    first, other, again = play(env, actions, 1), play(env, actions, 2), play(env, actions, 1)
    fresh = play(TASK[name].make(), actions, 1)
    for one, two in ((first, again), (first, fresh)):
        assert all(np.array_equal(a[0], b[0]) and str(a[1:]) == str(b[1:]) for a, b in zip(one, two, strict=True))
    assert any(not np.array_equal(a[0], b[0]) for a, b in zip(first, other, strict=False))


def test_picture_is_the_mean_of_the_area_that_it_shrinks():
    env = TASK["atari-pong"].make()
    observation, _ = env.reset(seed=0)
    gray = env.unwrapped.ale.getScreenGrayscale().astype(float)
    # Both scales by hand: 210 rows to 84 is 5 to 2, 160 columns to 84 is 40 to 21.
    fine = gray.repeat(2, axis=0).repeat(21, axis=1)
    means = fine.reshape(84, 5, 84, 40).mean(axis=(1, 3))
    assert np.abs(observation[:, :, 0] - means).max() <= 0.5


def test_picture_shows_what_either_of_the_last_two_frames_shows():
    env = TASK["atari-space-invaders"].make()
    env.reset(seed=0)
    inner = env.env
    frames = []
    step = inner.step

    def recording_step(action):
        outcome = step(action)
        frames.append(outcome[0])
        return outcome

    inner.step = recording_step
    flickered = False
    for _ in range(60):
        frames.clear()
        observation, *_ = env.step(np.int64(1))
        assert len(frames) == 4
        brighter = np.maximum(frames[2], frames[3]).repeat(2, axis=0).repeat(21, axis=1)
        means = brighter.reshape(84, 5, 84, 40).astype(float).mean(axis=(1, 3))
        assert np.abs(observation[:, :, 0] - means).max() <= 0.5
        flickered |= bool((frames[2] > frames[3]).any())
    assert flickered


def test_nothing_is_printed(capfd: pytest.CaptureFixture):
    TASK["atari-pong"].make().reset(seed=0)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
