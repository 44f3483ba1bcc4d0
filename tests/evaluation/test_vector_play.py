import gymnasium as gym
import jax
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from gato.config import ModelConfig, PolicyConfig, PromptConfig, TokenizerConfig
from gato.evaluation.vector_play import play_vector
from gato.inference.agent import Agent
from gato.inference.batch_policy import BatchPolicy
from gato.inference.policy import Policy
from gato.model.gato import init_parameters
from gato.tokenizer.text import TextTokenizer

GOALS = ("go to the red ball", "open the door")
NUM_ENVS = 3


class Errand(gym.Env):
    """Episodes of one step and more, whose ends and rewards depend on what was done before."""

    observation_space = spaces.Dict(goal=spaces.Text(30), places=spaces.Tuple([spaces.Discrete(5)] * 2))
    action_space = spaces.Tuple((spaces.Discrete(5), spaces.Box(-1, 1, (1,), np.float32)))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(5))
        return self.observe(), {}

    def observe(self):
        goal = GOALS[self.np_random.integers(2)]
        return {"goal": goal, "places": (np.int64(self.place), self.np_random.integers(5))}

    def step(self, action):
        self.place = (self.place + int(action[0])) % 5
        terminated, truncated = self.place == 0, bool(self.np_random.random() < 0.2)
        return self.observe(), self.place + 0.1 * float(action[1][0]), terminated, truncated, {}


@pytest.fixture(scope="module")
def agent():
    text = TextTokenizer.train(GOALS, 270)
    tokenizer = TokenizerConfig(text_vocab_size=text.vocab_size, num_bins=32, num_discrete=16)
    model = ModelConfig(width=32, num_layers=1, num_heads=2, head_dim=16, mlp_width=64, compute_dtype="float32")
    params = jax.jit(init_parameters, static_argnums=(0, 1))(model, tokenizer, jax.random.key(0))
    params["transformer"]["final_norm"]["scale"] = 5 * params["transformer"]["final_norm"]["scale"]
    policy = PolicyConfig(context_length=120, prompt=PromptConfig(max_tokens=60))
    return Agent(model=model, tokenizer=tokenizer, policy=policy, params=params, text=text)


@pytest.fixture(scope="module")
def policy(agent):
    return BatchPolicy(agent, Errand.observation_space, Errand.action_space, num_envs=NUM_ENVS)


@pytest.fixture(scope="module")
def prompt(policy):
    numbers = np.arange(3)
    observations = {"goal": ["open the door"] * 3, "places": (numbers, numbers)}
    return policy.encode_demonstration(observations, (numbers, np.zeros((3, 1), np.float32)))


def play_alone(agent, num_episodes, seed, prompt):
    """The same episodes by plain loops, one environment after another."""
    returns, lengths = np.zeros(num_episodes), np.zeros(num_episodes, int)
    policy = Policy(agent, Errand.observation_space, Errand.action_space)
    for index in range(NUM_ENVS):
        env = Errand()
        for episode in range(index, num_episodes, NUM_ENVS):
            observation, _ = env.reset(seed=seed + index if episode == index else None)
            policy.reset(seed + episode, prompt)
            done = False
            while not done:
                observation, reward, terminated, truncated, _ = env.step(policy.act(observation))
                returns[episode] += reward
                lengths[episode] += 1
                done = terminated or truncated
    return returns, lengths


def test_episodes_are_those_of_each_environment_alone_in_every_mode(agent, policy, prompt):
    # 11 episodes in 3 environments: one of them idles while the others play their last.
    returns, lengths = play_alone(agent, 11, 5, prompt)
    assert lengths.min() == 1
    assert lengths.max() > 3
    for mode in AutoresetMode:
        envs = SyncVectorEnv([Errand] * NUM_ENVS, autoreset_mode=mode)
        scores = play_vector(policy, envs, 11, seed=5, prompt=prompt)
        np.testing.assert_array_equal(scores.lengths, lengths, err_msg=str(mode))
        np.testing.assert_allclose(scores.returns, returns, err_msg=str(mode))


def test_fewer_episodes_than_environments_leave_the_others_idle(agent, policy):
    returns, lengths = play_alone(agent, 2, 0, None)
    scores = play_vector(policy, SyncVectorEnv([Errand] * NUM_ENVS), 2)
    np.testing.assert_array_equal(scores.lengths, lengths)
    np.testing.assert_allclose(scores.returns, returns)


def test_what_does_not_fit_is_refused_before_anything_is_reset(agent, policy):
    envs = SyncVectorEnv([Errand] * 2)
    envs.reset = None  # type: ignore[assignment]
    with pytest.raises(ValueError, match="num_episodes is 0"):
        play_vector(policy, envs, 0)
    with pytest.raises(ValueError, match="3 slots for 2 environments: make it with num_envs=2"):
        play_vector(policy, envs, 4)
    cart_pole = gym.make_vec("CartPole-v1", num_envs=NUM_ENVS, vectorization_mode="sync")
    with pytest.raises(ValueError, match=r"observation_space is Dict.*envs\.single_observation_space"):
        play_vector(policy, cart_pole, 4)
    narrow = BatchPolicy(agent, Errand.observation_space, spaces.Discrete(5), num_envs=2)
    with pytest.raises(ValueError, match="action_space is Discrete"):
        play_vector(narrow, envs, 4)
    silent = SyncVectorEnv([Errand] * NUM_ENVS)
    silent.metadata = {}
    with pytest.raises(ValueError, match="has None as 'autoreset_mode'"):
        play_vector(policy, silent, 4)
