"""Training on with other data, from the weights of a run or of a release."""

import json

import jax
import numpy as np
import pytest

from gato.checkpoint import load_checkpoint
from gato.cli.main import run
from gato.data.episode import Episode
from gato.data.sources.minari_writer import write_minari
from gato.envs import get_task
from gato.inference.agent import Agent
from gato.tokenizer.text import TextTokenizer

TINY = [
    "model.width=32",
    "model.num_layers=1",
    "model.num_heads=2",
    "model.head_dim=16",
    "model.mlp_width=64",
    "model.patch_stem=tiles",
    "tokenizer.text_vocab_size=300",
    "data.batch_size=2",
    "data.context_length=64",
    "data.max_patches=8",
    "policy.context_length=64",
    "policy.prompt.max_tokens=32",
    "training.evaluate_every=0",
    "training.log_every=1",
]
STANDING_STILL = ["optimizer.warmup_steps=0", "optimizer.peak_lr=1e-30"]  # no float32 parameter moves by so little


def write_sources(folder, name, span):
    """A source "cartpole", whose observations span -span to span, and a text."""
    env = get_task("cartpole").make()
    numbers = np.append(np.linspace(-span, span, 20), 0).astype(np.float32)
    episode = Episode(
        observations=numbers[:, None].repeat(4, 1),
        actions=np.arange(20) % 2,
        rewards=np.ones(20),
        terminated=True,
        truncated=False,
    )
    write_minari(folder / name, [episode] * 6, env.observation_space, env.action_space, dataset_id="test/cartpole-v0")
    env.close()
    (folder / "texts.jsonl").write_text('{"text": "go to the red ball"}\n' * 4)
    sources = [
        {"name": "cartpole", "kind": "minari", "path": name, "scaling": "range"},
        {"name": "texts", "kind": "text", "path": "texts.jsonl"},
    ]
    (folder / f"{name}.json").write_text(json.dumps(sources))
    return folder / f"{name}.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train-on")
    texts = ["go to the red ball", "pick up the grey key", "open the door on your left", "put the box next to the door"]
    (folder / "tokenizer.model").write_bytes(TextTokenizer.train(texts * 20, 300).to_bytes())
    write_sources(folder, "wide", 30.0)
    sources = write_sources(folder, "narrow", 3.0)
    tokenizer = ["--tokenizer", str(folder / "tokenizer.model")]
    common = ["--sources", str(sources), *tokenizer]
    run(["train", "gato-79m", "--run", str(folder / "first"), *common, "--set", *TINY, "training.num_steps=3"])
    return folder


def train_on(folder, weights, out, *options, changes=(), num_steps=1):
    command = ["train", "gato-79m", "--run", str(out), "--sources", str(folder / "wide.json")]
    settings = [*TINY, *STANDING_STILL, f"training.num_steps={num_steps}", *changes]
    run([*command, "--weights", str(weights), *options, "--set", *settings])
    return load_checkpoint(out)


def assert_same_parameters(first, second):
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_a_new_run_begins_with_the_weights_text_and_scales_of_another(folder, tmp_path, capsys):
    before = load_checkpoint(folder / "first")
    after = train_on(folder, folder / "first", tmp_path / "second")
    assert_same_parameters(after.params, before.params)
    assert after.step == 1
    assert after.tokenizer_model == before.tokenizer_model
    scales = [checkpoint.config.data.sources[0].fields for checkpoint in (before, after)]
    assert scales[0] == scales[1] != ()  # though the new data span ten times as much
    assert f"begins with the weights of {folder / 'first'}, step 3" in " ".join(capsys.readouterr().out.split())
    told = json.loads((tmp_path / "second" / "started_from.json").read_text())
    assert (told["path"], told["step"]) == (str(folder / "first"), 3)


def test_a_release_gives_its_weights_too(folder, tmp_path):
    run(["export", str(folder / "first"), str(tmp_path / "agent"), "--license", "mit"])
    after = train_on(folder, tmp_path / "agent", tmp_path / "second")
    assert_same_parameters(after.params, Agent.load(tmp_path / "agent").params)


def test_the_same_command_goes_on_after_an_interruption(folder, tmp_path):
    moving = ["optimizer.peak_lr=1e-3", "training.checkpoint_every=1"]
    whole = train_on(folder, folder / "first", tmp_path / "whole", changes=moving, num_steps=3)
    train_on(folder, folder / "first", tmp_path / "cut", "--resume", changes=moving, num_steps=1)
    resumed = train_on(folder, folder / "first", tmp_path / "cut", "--resume", changes=moving, num_steps=3)
    assert resumed.step == 3
    assert_same_parameters(resumed.params, whole.params)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["model.width=64"], "model.width is 64 and was 32"),
        (["tokenizer.num_bins=512"], "tokenizer.num_bins is 512 and was 1024"),
    ],
)
def test_weights_that_would_mean_something_else_are_refused(folder, tmp_path, capsys, changes, message):
    with pytest.raises(SystemExit):
        train_on(folder, folder / "first", tmp_path / "second", changes=changes)
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "second" / "config.json").exists()


def test_another_text_tokenizer_is_refused(folder, tmp_path, capsys):
    other = tmp_path / "other.model"
    other.write_bytes(TextTokenizer.train(["a box of keys and a door of wood"] * 40, 280).to_bytes())
    with pytest.raises(SystemExit):
        train_on(folder, folder / "first", tmp_path / "second", "--tokenizer", str(other))
    assert "have another text tokenizer: leave --tokenizer out" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "second" / "config.json").exists()
