from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from gato.evaluation.actors import ExpertActor, RandomActor
from gato.evaluation.rollout import EpisodeJob, Rollout, play_jobs, rollout


class Countdown(gym.Env):
    """Ends after a number of steps that the seed decides; the reward is the action, the observation a reused buffer."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012
    observation_space = spaces.Dict({"left": spaces.Box(0, 99, (1,), np.int64), "word": spaces.Text(9)})

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode
        self.action_space = spaces.Discrete(4)
        self.buffer = np.zeros(1, np.int64)
        self.secret = 0
        self.closed = False

    def observe(self) -> dict[str, Any]:
        return {"left": self.buffer, "word": "x" * int(self.buffer[0])}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.buffer[0] = self.np_random.integers(2, 9)
        self.secret = int(self.np_random.integers(4))
        self.bonus = (options or {}).get("bonus", 0)
        return self.observe(), {}

    def step(self, action: Any):
        self.buffer[0] -= 1
        over = bool(self.buffer[0] == 0)
        return self.observe(), float(action) + self.bonus, over, False, {"secret": self.secret} if over else {}

    def render(self) -> np.ndarray | None:  # type: ignore[override]
        return None if self.render_mode is None else np.full((4, 6, 3), self.buffer[0], np.uint8)

    def close(self) -> None:
        self.closed = True


class Clairvoyant:
    """Says the environment's secret number."""

    def __init__(self, env: gym.Env, rng: np.random.Generator) -> None:
        self.env = env

    def reset(self) -> None: ...

    def act(self, observation: Any) -> int:
        return self.env.unwrapped.secret


def same(first: Rollout, second: Rollout) -> None:
    np.testing.assert_array_equal(first.episode.observations["left"], second.episode.observations["left"])
    assert first.episode.observations["word"] == second.episode.observations["word"]
    np.testing.assert_array_equal(first.episode.actions, second.episode.actions)
    np.testing.assert_array_equal(first.episode.rewards, second.episode.rewards)
    np.testing.assert_array_equal(first.episode.action_mask, second.episode.action_mask)
    assert first.info == second.info


@pytest.mark.parametrize("num_envs", [2, 3, 20])
def test_episodes_and_their_order_do_not_depend_on_the_number_of_environments(num_envs):
    seeds = range(100, 111)
    alone = list(rollout(Countdown, RandomActor(spaces.Discrete(4)), seeds, noise=(0.2, 0.9)))
    together = list(rollout(Countdown, RandomActor(spaces.Discrete(4)), seeds, noise=(0.2, 0.9), num_envs=num_envs))
    assert [done.episode.seed for done in together] == list(seeds)
    assert len({len(done.episode) for done in alone}) > 2
    for first, second in zip(alone, together, strict=True):
        same(first, second)


def test_one_episode_can_be_replayed_alone():
    all_of_them = list(rollout(Countdown, RandomActor(spaces.Discrete(4)), range(5)))
    (again,) = rollout(Countdown, RandomActor(spaces.Discrete(4)), [3])
    same(all_of_them[3], again)


def test_observations_are_copies_and_end_with_the_terminal_one():
    (done,) = rollout(Countdown, RandomActor(spaces.Discrete(4)), [0])
    left = done.episode.observations["left"][:, 0]
    assert left[-1] == 0
    np.testing.assert_array_equal(np.diff(left), -1)
    assert len(left) == len(done.episode) + 1
    assert done.episode.terminated
    assert not done.episode.truncated


def test_rewards_and_return_are_those_of_the_recorded_actions():
    (done,) = rollout(Countdown, RandomActor(spaces.Discrete(4)), [7])
    np.testing.assert_array_equal(done.episode.rewards, done.episode.actions)
    assert done.episode.episode_return == done.episode.actions.sum()


def test_each_episode_gets_its_own_options():
    options = [{"bonus": 10}, {"bonus": 20}, None]
    episodes = [
        done.episode for done in rollout(Countdown, RandomActor(spaces.Discrete(4)), [1, 1, 1], options=options)
    ]
    np.testing.assert_array_equal(episodes[0].rewards + 10, episodes[1].rewards)
    np.testing.assert_array_equal(episodes[2].rewards + 10, episodes[0].rewards)
    assert [episode.options for episode in episodes] == options


def test_experts_see_their_own_environment():
    for done in rollout(Countdown, ExpertActor(Clairvoyant), range(9), num_envs=4):
        assert (done.episode.actions == done.info["secret"]).all()
        assert done.episode.action_mask is None


class Sampler(Clairvoyant):
    """Draws from its environment's own action space."""

    def act(self, observation: Any) -> int:
        return self.env.action_space.sample()


def test_the_environments_action_space_is_seeded_with_the_episode():
    first, again, other = rollout(Countdown, ExpertActor(Sampler), [5, 5, 6])
    np.testing.assert_array_equal(first.episode.actions, again.episode.actions)
    assert not np.array_equal(first.episode.actions[:2], other.episode.actions[:2])


def test_random_actions_differ_between_seeds():
    firsts = [int(done.episode.actions[0]) for done in rollout(Countdown, RandomActor(spaces.Discrete(4)), range(40))]
    assert set(firsts) == {0, 1, 2, 3}


def test_noise_is_recorded_as_executed_and_masked_out():
    noisy = list(rollout(Countdown, ExpertActor(Clairvoyant), range(200), noise=(0.5, 0.5), num_envs=10))
    for done in noisy:
        kept = done.episode.action_mask
        assert (done.episode.actions[kept] == done.info["secret"]).all()
        np.testing.assert_array_equal(done.episode.rewards, done.episode.actions)
        assert (done.episode.expert_actions == done.info["secret"]).all()  # also where another one was executed
    masks = np.concatenate([done.episode.action_mask for done in noisy])
    replaced = np.concatenate([done.episode.actions != done.info["secret"] for done in noisy])
    assert abs(masks.mean() - 0.5) < 0.06
    assert abs(replaced.mean() - 0.5 * 3 / 4) < 0.06  # one random action in four is the expert's


class Stubborn:
    """Always takes the same action, and counts what it sees of each slot."""

    def __init__(self, action):
        self.action, self.seen = action, {}

    def reset(self, starts):
        self.seen |= {start.slot: 0 for start in starts}

    def act(self, observations):
        for slot, observation in enumerate(observations):
            if observation is not None:
                self.seen[slot] += 1
        return [None if observation is None else self.action for observation in observations]


def test_a_substitute_acts_where_chance_would_and_sees_all_the_rest():
    substitute = Stubborn(2)
    played = list(
        rollout(Countdown, ExpertActor(Clairvoyant), range(100), noise=(0.3, 0.7), num_envs=1, substitute=substitute)
    )
    masks = np.concatenate([done.episode.action_mask for done in played])
    assert 0.4 < masks.mean() < 0.6
    for done in played:
        episode = done.episode
        assert (episode.actions[~episode.action_mask] == 2).all()
        assert (episode.actions[episode.action_mask] == done.info["secret"]).all()
        assert (episode.expert_actions == done.info["secret"]).all()
    assert substitute.seen == {0: len(played[-1].episode)}
    alone = list(rollout(Countdown, Stubborn(2), range(5)))
    wholly = list(rollout(Countdown, ExpertActor(Clairvoyant), range(5), noise=(1, 1), substitute=Stubborn(2)))
    for first, second in zip(alone, wholly, strict=True):
        np.testing.assert_array_equal(first.episode.actions, second.episode.actions)
        np.testing.assert_array_equal(first.episode.rewards, second.episode.rewards)


def test_the_share_of_noise_is_drawn_once_an_episode():
    shares = [
        1 - done.episode.action_mask.mean()
        for done in rollout(Countdown, ExpertActor(Clairvoyant), range(300), noise=(0.0, 1.0), num_envs=10)
    ]
    # Steps of one episode share their probability, so whole episodes of none or only noise are far more
    # frequent than independent steps at one half would give (about 0.07 each).
    assert np.mean(np.array(shares) == 0) > 0.12
    assert np.mean(np.array(shares) == 1) > 0.12


def test_noise_leaves_the_environment_as_it_is():
    clean = list(rollout(Countdown, ExpertActor(Clairvoyant), range(5)))
    noisy = list(rollout(Countdown, ExpertActor(Clairvoyant), range(5), noise=(1.0, 1.0)))
    for first, second in zip(clean, noisy, strict=True):
        assert first.info == second.info
        assert not second.episode.action_mask.any()


def test_frames_are_kept_for_the_named_episodes_only():
    make = lambda: Countdown(render_mode="rgb_array")  # noqa: E731
    done = list(rollout(make, RandomActor(spaces.Discrete(4)), range(4), num_envs=2, keep_frames=[1, 3]))
    assert [rolled.frames is not None for rolled in done] == [False, True, False, True]
    frames = done[1].frames
    assert frames.shape == (len(done[1].episode) + 1, 4, 6, 3)
    np.testing.assert_array_equal(frames[:, 0, 0, 0], done[1].episode.observations["left"][:, 0])


def test_environments_are_closed_even_when_the_caller_stops_early():
    made: list[Countdown] = []

    def make() -> Countdown:
        made.append(Countdown())
        return made[-1]

    episodes = rollout(make, RandomActor(spaces.Discrete(4)), range(10), num_envs=3)
    next(episodes)
    episodes.close()
    assert len(made) == 3
    assert all(env.closed for env in made)


def test_no_more_environments_are_made_than_episodes():
    made = []
    list(rollout(lambda: made.append(1) or Countdown(), RandomActor(spaces.Discrete(4)), [0, 1], num_envs=8))
    assert len(made) == 2


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"options": [None]}, "1 reset options came for 2 seeds"),
        ({"num_envs": 0}, "num_envs is 0"),
        ({"noise": (0.5, 0.2)}, "noise is"),
        ({"noise": (0.0, 1.5)}, "noise is"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        list(rollout(Countdown, RandomActor(spaces.Discrete(4)), [0, 1], **arguments))


def test_frames_without_a_render_mode_are_an_error():
    with pytest.raises(ValueError, match="rgb_array"):
        list(rollout(Countdown, RandomActor(spaces.Discrete(4)), [0], keep_frames=[0]))


class Successful(Countdown):
    """Succeeds when five steps are left, and says so from then on."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed, options=options)
        self.buffer[0] = 9
        return self.observe(), {}

    def step(self, action: Any):
        observation, reward, over, truncated, info = super().step(action)
        return observation, reward, over, truncated, {**info, "success": bool(self.buffer[0] <= 5)}


@pytest.mark.parametrize("steps_after_success, steps", [(0, 4), (2, 6), (4, 8), (5, 9), (7, 9), (None, 9)])
def test_episode_is_cut_some_steps_after_success(steps_after_success: int | None, steps: int):
    (played,) = rollout(Successful, RandomActor(spaces.Discrete(4)), [0], steps_after_success=steps_after_success)
    assert len(played.episode) == steps
    assert (played.episode.terminated, played.episode.truncated) == (steps == 9, steps < 9)


def test_steps_after_success_are_not_negative():
    with pytest.raises(ValueError, match="steps_after_success is -1"):
        list(rollout(Countdown, RandomActor(spaces.Discrete(4)), [0], steps_after_success=-1))


class Still:
    """Always the same action."""

    def reset(self, starts) -> None: ...

    def act(self, observations):
        return [np.array([0.5], np.float32)]


def test_noise_of_half_strength_lies_half_way_to_random():
    def make() -> gym.Env:
        return gym.make("Pendulum-v1", max_episode_steps=200)

    def play(strength: float) -> Any:
        (played,) = rollout(make, Still(), [0], noise=(0.5, 0.5), noise_strength=strength)
        return played.episode

    full, half, none = play(1.0), play(0.5), play(0.0)
    mask = full.action_mask
    assert 0.3 < mask.mean() < 0.7
    assert np.array_equal(half.action_mask, mask)
    np.testing.assert_allclose(half.actions, (full.actions + 0.5) / 2, rtol=1e-6)
    assert np.all(none.actions == 0.5)
    assert np.all(full.actions[mask] == 0.5)
    assert half.actions.dtype == np.float32


def test_noise_strength_is_a_share():
    with pytest.raises(ValueError, match=r"noise_strength is 1\.5"):
        list(rollout(Countdown, RandomActor(spaces.Discrete(4)), [0], noise_strength=1.5))


class Alternate:
    """Acts in two kinds of environments: the observation tells which."""

    def reset(self, starts) -> None: ...

    def act(self, observations):
        return [
            None if seen is None else 1 if isinstance(seen, dict) else np.zeros(1, np.float32) for seen in observations
        ]


def pendulum() -> gym.Env:
    return gym.make("Pendulum-v1", max_episode_steps=5)


@pytest.mark.parametrize("num_envs", [1, 3, 8])
def test_jobs_of_several_tasks_do_not_depend_on_the_number_of_environments(num_envs):
    jobs = [EpisodeJob(make_env=make, seed=seed) for make in (Countdown, pendulum, Countdown) for seed in range(4)]
    played = dict(play_jobs(jobs, Alternate(), num_envs=num_envs))
    assert sorted(played) == list(range(12))
    alone = [*rollout(Countdown, Alternate(), range(4)), *rollout(pendulum, Alternate(), range(4))]
    for index in range(4):
        same(played[index], alone[index])
        same(played[8 + index], alone[index])
        np.testing.assert_array_equal(played[4 + index].episode.observations, alone[4 + index].episode.observations)


def test_a_slot_makes_a_new_environment_only_when_its_task_changes():
    made: list[Countdown] = []

    def make(name: str) -> Countdown:
        made.append(Countdown())
        return made[-1]

    one, other = (lambda: make("one")), (lambda: make("other"))
    jobs = [EpisodeJob(make_env=make_env, seed=seed) for make_env in (one, other) for seed in range(6)]
    list(play_jobs(jobs, RandomActor(spaces.Discrete(4)), num_envs=2))
    assert len(made) == 4
    assert all(env.closed for env in made)


def test_no_slot_idles_while_there_are_jobs():
    class Watching(RandomActor):
        def act(self, observations):
            idle.append(sum(observation is None for observation in observations))
            return super().act(observations)

    idle: list[int] = []
    jobs = [EpisodeJob(make_env=Countdown, seed=seed) for seed in range(30)]
    lengths = [len(done.episode) for _, done in play_jobs(jobs, Watching(spaces.Discrete(4)), num_envs=3)]
    assert sum(lengths) == 3 * len(idle) - sum(idle)
    assert sum(idle[:-8]) == 0  # an episode has at most 8 steps


def test_an_episode_can_be_cut_to_its_first_steps():
    ((_, whole),) = play_jobs([EpisodeJob(make_env=pendulum, seed=0)], Alternate())
    ((_, cut),) = play_jobs([EpisodeJob(make_env=pendulum, seed=0, max_steps=3)], Alternate())
    assert (len(whole.episode), len(cut.episode)) == (5, 3)
    assert cut.episode.truncated
    np.testing.assert_array_equal(cut.episode.observations, whole.episode.observations[:4])
