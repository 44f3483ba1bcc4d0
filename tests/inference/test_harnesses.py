"""Evaluation code that nobody here wrote plays our policies, and reports what plain loops give.

stable-baselines3 needs torch, which the tests do without: `make harness` runs its part.
"""

import gymnasium as gym
import numpy as np
import pytest

from gato.inference.batch_policy import BatchPolicy
from gato.inference.policy import Policy


def play_alone(agent, env, *, env_seed, policy_seeds, deterministic=False):
    """(return, length) of one episode after another; the environment is seeded once."""
    policy = Policy(agent, env.observation_space, env.action_space)
    for number, seed in enumerate(policy_seeds):
        observation, _ = env.reset(seed=env_seed if number == 0 else None)
        policy.reset(seed)
        episode_return, length, done = 0.0, 0, False
        while not done:
            action = policy.act(observation, deterministic=deterministic)
            observation, reward, terminated, truncated, _ = env.step(action)
            episode_return, length, done = episode_return + float(reward), length + 1, terminated or truncated
        yield episode_return, length


@pytest.mark.parametrize("deterministic", [False, True])
def test_evaluate_policy_of_stable_baselines3_takes_a_policy(make_agent, deterministic):
    evaluation = pytest.importorskip("stable_baselines3.common.evaluation", exc_type=ImportError)
    monitor = pytest.importorskip("stable_baselines3.common.monitor", exc_type=ImportError)
    agent, env = make_agent(), monitor.Monitor(gym.make("CartPole-v1"))
    env.reset(seed=4)
    policy = Policy(agent, env.observation_space, env.action_space)
    returns, lengths = evaluation.evaluate_policy(
        policy, env, n_eval_episodes=3, deterministic=deterministic, return_episode_rewards=True
    )
    again = gym.make("CartPole-v1")
    again.reset(seed=4)
    expected = play_alone(agent, again, env_seed=None, policy_seeds=range(3), deterministic=deterministic)
    assert list(zip(returns, lengths, strict=True)) == list(expected)


def test_evaluate_policy_of_stable_baselines3_takes_a_batch_policy(make_agent):
    evaluation = pytest.importorskip("stable_baselines3.common.evaluation", exc_type=ImportError)
    env_util = pytest.importorskip("stable_baselines3.common.env_util", exc_type=ImportError)
    agent, envs = make_agent(), env_util.make_vec_env("CartPole-v1", n_envs=2, seed=7)
    policy = BatchPolicy(agent, envs.observation_space, envs.action_space, num_envs=2)
    returns, _ = evaluation.evaluate_policy(
        policy, envs, n_eval_episodes=6, deterministic=False, return_episode_rewards=True
    )
    expected = [
        episode_return
        for index in range(2)
        for episode_return, _ in play_alone(
            agent, gym.make("CartPole-v1"), env_seed=7 + index, policy_seeds=range(index, 6, 2)
        )
    ]
    assert sorted(returns) == sorted(expected)  # stable-baselines3 lists episodes as they end


class MetaWorldAgent:
    """What `metaworld.evaluation` asks of an agent."""

    def __init__(self, policy: BatchPolicy) -> None:
        self._policy = policy
        self.num_episodes = 0

    def eval_action(self, observations: np.ndarray) -> np.ndarray:
        return self._policy.predict(observations)[0]

    def reset(self, env_mask: np.ndarray) -> None:
        slots = np.flatnonzero(env_mask).tolist()
        self._policy.reset(slots, seeds=range(self.num_episodes, self.num_episodes + len(slots)))
        self.num_episodes += len(slots)


def test_evaluation_of_meta_world_takes_a_batch_policy(make_agent):
    pytest.importorskip("metaworld")
    evaluation = pytest.importorskip("metaworld.evaluation")

    def make():
        # The checker warns of the parts of an observation that this task leaves at zero.
        env = gym.make("Meta-World/MT1", env_name="reach-v3", seed=3, max_episode_steps=6, disable_env_checker=True)
        return gym.wrappers.RecordEpisodeStatistics(env)

    agent = make_agent()
    envs = gym.vector.SyncVectorEnv([make, make], autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
    policy = BatchPolicy(agent, envs.single_observation_space, envs.single_action_space, num_envs=2)
    success_rate, mean_return, _, returns = evaluation.evaluation(MetaWorldAgent(policy), envs, num_episodes=4)
    alone = [play_alone(agent, make(), env_seed=None, policy_seeds=range(index, 4, 2)) for index in range(2)]
    expected = [episode_return for both in zip(*alone, strict=True) for episode_return, _ in both]
    assert success_rate == 0
    assert len(set(expected)) == 4
    np.testing.assert_allclose(returns["reach-v3"], expected)
    np.testing.assert_allclose(mean_return, np.mean(expected))
