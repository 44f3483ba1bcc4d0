"""A run of scaled sources from the command line: measured once, kept through resuming, applied when it plays."""

import dataclasses
import json

import numpy as np
import pytest

from gato.checkpoint import load_config
from gato.cli.main import run
from gato.config import FieldScale
from gato.data.episode import Episode
from gato.data.sources.minari_writer import write_minari
from gato.envs import get_task
from gato.experiments.session import EvaluationSession
from gato.inference.agent import Agent
from gato.tokenizer.text import TextTokenizer

TINY = [
    "model.width=32",
    "model.num_layers=1",
    "model.num_heads=2",
    "model.head_dim=16",
    "model.mlp_width=64",
    "model.patch_stem=tiles",
    "data.batch_size=2",
    "data.context_length=64",
    "data.max_patches=8",
    "policy.context_length=64",
    "policy.prompt.max_tokens=32",
    "training.evaluate_every=0",
]
TEXTS = ["go to the red ball", "pick up the grey key", "open the door on your left", "put the box next to the door"]


def write_episodes(folder, low, high):
    """Observations of cart-pole that span low to high."""
    env = get_task("cartpole").make()
    numbers = np.append(np.linspace(low, high, 20), 0).astype(np.float32)  # the last one follows the last action
    episodes = [
        Episode(
            observations=numbers[:, None].repeat(4, 1),
            actions=np.arange(20) % 2,
            rewards=np.ones(20),
            terminated=True,
            truncated=False,
        )
        for _ in range(6)
    ]
    write_minari(folder, episodes, env.observation_space, env.action_space, dataset_id="test/cartpole-v0")
    env.close()


def write_sources(folder, data, **more):
    source = {"name": "cartpole", "kind": "minari", "path": data, "scaling": "range", **more}
    (folder / f"{data}.json").write_text(json.dumps([source]))
    return folder / f"{data}.json"


def train(folder, sources, out, *more, num_steps=2):
    tokenizer = ["--tokenizer", str(folder / "tokenizer.model")]
    settings = ["--set", *TINY, f"training.num_steps={num_steps}"]
    run(["train", "gato-79m", "--sources", str(sources), "--run", str(out), *tokenizer, *more, *settings])


def fields_of(run_folder):
    return load_config(run_folder).data.sources[0].fields


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of two steps, and the episodes that it was trained on as well as wider ones."""
    folder = tmp_path_factory.mktemp("scaled")
    TextTokenizer.train(TEXTS, 280).save(folder / "tokenizer.model")
    write_episodes(folder / "narrow", -0.1, 0.1)
    write_episodes(folder / "wide", -2, 2)
    train(folder, write_sources(folder, "narrow"), folder / "run")
    return folder


def test_a_checkpoint_holds_what_was_measured(folder):
    low, high = float(np.float32(-0.1)), float(np.float32(0.1))
    assert fields_of(folder / "run") == (FieldScale(path="observation", low=(low,) * 4, high=(high,) * 4),)


def test_a_task_is_played_with_the_scale_of_the_source_of_its_name(folder):
    agent, task = Agent.load(folder / "run"), get_task("cartpole")

    def shown(agent):
        timesteps = EvaluationSession(agent, [task], agent.policy.prompt, kind="none").tasks[task.name].timesteps
        sequence = timesteps.encode_episode(np.full((1, 4), 0.1, np.float32), np.zeros(1, int))
        return (sequence.tokens[:4] - agent.tokenizer.continuous_ids.start).tolist()

    assert shown(agent) == [agent.tokenizer.num_bins - 1] * 4
    other = dataclasses.replace(agent, fields={"crane": agent.fields["cartpole"]})
    assert shown(other) == shown(dataclasses.replace(agent, fields={})) != shown(agent)


def test_a_task_that_was_never_trained_is_scaled_like_its_family(folder):
    sources = write_sources(folder, "narrow", scaled_with="classic_control")
    train(folder, sources, folder / "family")
    agent, tasks = Agent.load(folder / "family"), [get_task("cartpole"), get_task("lunar-lander")]
    assert agent.fields["classic_control"] == agent.fields["cartpole"] != ()
    renamed = dataclasses.replace(agent, fields={"classic_control": agent.fields["cartpole"]})
    session = EvaluationSession(renamed, tasks, agent.policy.prompt, kind="none")
    assert not session.left_out
    assert {name: task.source for name, task in session.tasks.items()} == {
        "cartpole": "classic_control",
        "lunar-lander": "",
    }


def test_a_resumed_run_keeps_its_scales_whatever_the_data_are_now(folder):
    before = fields_of(folder / "run")
    train(folder, write_sources(folder, "wide"), folder / "run", "--resume", num_steps=3)
    assert fields_of(folder / "run") == before


def test_a_resumed_run_keeps_its_scaling(folder, capsys):
    sources = write_sources(folder, "narrow", scaling="quantiles")
    with pytest.raises(SystemExit):
        train(folder, sources, folder / "run", "--resume", num_steps=4)
    assert "scaling was 'range' and is 'quantiles' now" in " ".join(capsys.readouterr().err.split())


def test_prepared_sources_bring_their_scales(folder):
    sources = write_sources(folder, "narrow")
    options = ["--sources", str(sources), "--tokenizer", str(folder / "tokenizer.model"), "--set", *TINY]
    run(["data", "prepare", "gato-79m", "--out", str(folder / "prepared"), *options])
    train(folder, folder / "prepared" / "sources.json", folder / "cached")
    assert fields_of(folder / "cached") == fields_of(folder / "run")
