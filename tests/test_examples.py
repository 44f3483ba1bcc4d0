"""Every script in examples/ runs as it stands, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import jax
import numpy as np
import pytest

from gato.checkpoint import save_checkpoint
from gato.config import ModelConfig, PolicyConfig, PromptConfig, RunConfig, TokenizerConfig
from gato.data.episode import Episode
from gato.data.sources.minari_writer import write_minari
from gato.inference.policy import Policy
from gato.model.gato import init_parameters

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """Of a tiny agent that was never trained."""
    config = RunConfig(
        tokenizer=TokenizerConfig(text_vocab_size=260, num_bins=32, num_discrete=16),
        model=ModelConfig(width=32, num_layers=1, num_heads=2, head_dim=16, mlp_width=64, unit_rms_inputs=True),
        policy=PolicyConfig(context_length=100, prompt=PromptConfig(max_tokens=40)),
    )
    params = jax.jit(init_parameters, static_argnums=(0, 1))(config.model, config.tokenizer, jax.random.key(0))
    attention = params["transformer"]["blocks"]["attention"]  # sharpened, so that a demonstration matters
    attention["qkv"]["kernel"] = 2 * attention["qkv"]["kernel"]
    attention["out"]["kernel"] = 3 * attention["out"]["kernel"]
    params["transformer"]["final_norm"]["scale"] = 5 * params["transformer"]["final_norm"]["scale"]
    folder = tmp_path_factory.mktemp("run")
    train_state = {"count": np.zeros(())}
    save_checkpoint(folder, step=1, params=params, train_state=train_state, data_state={}, config=config)
    return folder


@pytest.fixture(scope="module")
def demonstration():
    """Five times to the left, though the observations are made up."""
    observations = np.linspace(-1, 1, 24, dtype=np.float32).reshape(6, 4)
    return Episode(
        observations=observations, actions=np.zeros(5, np.int64), rewards=np.ones(5), terminated=True, truncated=False
    )


def return_of(run_folder, demonstration):
    """What the script's episode is worth, by a loop of ours."""
    env = gym.make("CartPole-v1")
    policy = Policy.load(run_folder, env.observation_space, env.action_space)
    prompt = None
    if demonstration is not None:
        prompt = policy.encode_demonstration(demonstration.observations, demonstration.actions)
    observation, _ = env.reset(seed=0)
    policy.reset(0, prompt)
    for step in range(1, 501):
        observation, _, terminated, _, _ = env.step(policy.act(observation))
        if terminated:
            return step
    return 500


def outputs_of(*arguments):
    script = [sys.executable, str(ROOT / "examples" / "control.py"), *map(str, arguments)]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    return subprocess.run(script, capture_output=True, text=True, env=environment, check=True).stdout


def test_control_plays_an_episode_with_and_without_a_demonstration(run_folder, demonstration, tmp_path):
    cart_pole = gym.make("CartPole-v1")
    spaces = cart_pole.observation_space, cart_pole.action_space
    write_minari(tmp_path / "shown", [demonstration], *spaces, dataset_id="test/left-v0")
    plain, prompted = return_of(run_folder, None), return_of(run_folder, demonstration)
    assert plain != prompted
    assert outputs_of(run_folder, "CartPole-v1") == f"return {plain}\n"
    assert outputs_of(run_folder, "CartPole-v1", tmp_path / "shown") == f"return {prompted}\n"


def test_every_example_is_tested():
    assert [path.name for path in (ROOT / "examples").iterdir() if path.suffix] == ["control.py"]
