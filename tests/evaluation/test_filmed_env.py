import gymnasium as gym
import numpy as np
import pytest

from gato.evaluation.filmed_env import FilmedEnv


class Drawn(gym.Env):
    """Draws how many steps it has made, and ends after seven."""

    observation_space = gym.spaces.Discrete(9)
    action_space = gym.spaces.Discrete(1)

    def __init__(self, frame=None):
        self.made = 0
        self.frame = frame

    def reset(self, *, seed=None, options=None):
        self.made = 0
        return 0, {}

    def step(self, action):
        self.made += 1
        return self.made, 1.0, self.made == 7, False, {}

    def render(self):
        return np.full((4, 8, 3), self.made, np.uint8) if self.frame is None else self.frame


def play(env, num_steps=7):
    assert env.reset(seed=0)[0] == 0
    return [env.step(0)[0] for _ in range(num_steps)]


def test_frames_are_kept_of_the_asked_steps_and_of_the_last():
    env = FilmedEnv(Drawn(), {0, 3, 20}, 8)
    assert play(env) == [1, 2, 3, 4, 5, 6, 7]
    assert {step: frame[0, 0, 0] for step, frame in env.frames.items()} == {0: 0, 3: 3, 7: 7}
    play(env, 2)
    assert list(env.frames) == [0]  # another episode has begun


def test_wide_frames_are_averaged_to_the_width():
    frame = np.zeros((4, 8, 3), np.uint8)
    frame[:, ::2] = 200
    env = FilmedEnv(Drawn(frame), {0}, 4)
    env.reset()
    assert env.frames[0].shape == (2, 4, 3)
    assert set(env.frames[0].ravel().tolist()) == {100}


@pytest.mark.parametrize(
    ("frame", "came"),
    [("a picture", "str"), (np.zeros((4, 4), np.uint8), r"uint8 \(4, 4\)"), (np.zeros((4, 4, 3)), "float64")],
)
def test_what_is_no_picture_is_refused(frame, came):
    with pytest.raises(ValueError, match=rf"render\(\) returned {came}.*, expected uint8 \(height, width, 3\)"):
        FilmedEnv(Drawn(frame), {0}, 4).reset()
