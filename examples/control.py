"""Plays one episode: python examples/control.py RUN ENVIRONMENT [a folder of demonstrations in Minari's format]"""

import sys

import gymnasium as gym

from gato.data.sources.minari import MinariSource
from gato.inference.policy import Policy

run, env_id, *demonstrations = sys.argv[1:]
env = gym.make(env_id)
policy = Policy.load(run, env.observation_space, env.action_space)
prompt = None
if demonstrations:
    episode = MinariSource(demonstrations[0], "demonstrations")[0]
    prompt = policy.encode_demonstration(episode.observations, episode.actions)

observation, _ = env.reset(seed=0)
policy.reset(seed=0, prompt=prompt)
episode_return, done = 0.0, False
while not done:
    observation, reward, terminated, truncated, _ = env.step(policy.act(observation))
    episode_return += float(reward)
    done = terminated or truncated
print(f"return {episode_return:g}")
