"""`gato finetune` from a network of random weights: what moves, what is written, stopping and going on."""

import dataclasses
import json
import os
import shutil
import signal
from pathlib import Path

import jax
import numpy as np
import pytest

from gato.checkpoint import load_checkpoint, save_checkpoint
from gato.cli.main import run
from gato.config import ModelConfig, PolicyConfig, PromptConfig, RunConfig, TokenizerConfig
from gato.experiments.run_configs import load_config
from gato.inference.agent import Agent
from gato.model.gato import init_parameters
from gato.training.optimizer import make_schedule
from gato.training.skip_log import SkipLog

BASE = RunConfig(
    name="base",
    tokenizer=TokenizerConfig(text_vocab_size=260, num_bins=64, num_discrete=64),
    model=ModelConfig(
        width=16, num_layers=2, num_heads=1, head_dim=16, mlp_width=32, patch_stem="tiles", patch_channels=4
    ),
    policy=PolicyConfig(context_length=48, prompt=PromptConfig(max_tokens=16)),
)
SETTINGS = [
    "data.batch_size=2",
    "data.context_length=48",
    "data.max_patches=1",
    "optimizer.peak_lr=0.003",
    "training.num_steps=4",
    "training.evaluate_every=2",
    "training.checkpoint_every=2",
    "training.log_every=1",
    "evaluation.episodes=2",
    "evaluation.num_envs=2",
    "finetune.smoothing=2",
    "finetune.retest_episodes=3",
]


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    params = jax.jit(init_parameters, static_argnums=(0, 1))(BASE.model, BASE.tokenizer, jax.random.key(0))
    save_checkpoint(folder, step=7, params=params, train_state={"none": np.zeros(1)}, data_state={}, config=BASE)
    return folder


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    run(["collect", "cartpole", "--episodes", "6", "--noise", "0", "0.5", "--keep", "all", "--out", str(folder)])
    entries = [{"name": "cartpole", "kind": "minari", "path": "cartpole", "held_out": 0.2}]
    (folder / "sources.json").write_text(json.dumps(entries))
    (folder / "mine.json").write_text(json.dumps([{**entries[0], "name": "mine"}]))
    return folder / "sources.json"


def finetune(base: Path, sources: Path, out: Path, *options: str, settings: tuple[str, ...] = ()) -> None:
    command = ["finetune", str(base), "finetune", "--sources", str(sources), "--out", str(out), *options]
    run([*command, "--set", *SETTINGS, *settings])


def results(out: Path) -> dict:
    return json.loads((out / "results.json").read_text())


@pytest.fixture(scope="module")
def finished(base, sources, tmp_path_factory) -> Path:
    """Two subsets of one cascade, of whose network the last block moves."""
    out = tmp_path_factory.mktemp("finetuned")
    options = ["--episodes", "3", "1", "--cascades", "1"]
    settings = ('optimizer.trained=["transformer"]', "optimizer.last_layers=1")
    finetune(base, sources, out, *options, settings=settings)
    return out


def test_every_evaluation_and_the_best_are_written_down(finished):
    content = results(finished)
    assert (content["task"], content["measure"], content["checkpoint"]["step"]) == ("cartpole", "return", 7)
    assert [(entry["start"], entry["episodes"], entry["cascade"]) for entry in content["runs"]] == [
        ("checkpoint", 1, 0),
        ("checkpoint", 3, 0),
    ]
    for entry in content["runs"]:
        first, second = entry["evaluations"]
        assert (first["step"], second["step"]) == (2, 4)
        assert second["smoothed"] == (first["value"] + second["value"]) / 2
        assert first["smoothed"] == (first["value"] + min(first["value"], entry["before"])) / 2
        best = max(first["smoothed"], second["smoothed"])
        assert entry["best_step"] in [judged["step"] for judged in (first, second) if judged["smoothed"] == best]
        assert len(entry["retest"]) == 3
    assert (finished / "few_shot.png").stat().st_size > 0
    assert "| the checkpoint | 1 | 1 |" in (finished / "few_shot.md").read_text()


def test_the_smaller_subset_is_part_of_the_larger(finished):
    small, large = (entry["chosen"] for entry in results(finished)["runs"])
    assert large[:1] == small
    assert len(set(large)) == 3


def test_the_best_checkpoint_is_kept_as_one_that_an_agent_loads(finished):
    for entry in results(finished)["runs"]:
        agent = Agent.load(finished / entry["folder"] / "checkpoints" / f"{entry['best_step']:08d}")
        assert agent.policy == BASE.policy
        assert agent.tokenizer == BASE.tokenizer
        assert dataclasses.replace(agent.model, dropout=0.0) == BASE.model


def test_frozen_parameters_are_those_of_the_checkpoint_to_the_bit(base, finished):
    before = load_checkpoint(base).params
    for folder in sorted(finished.glob("*/checkpoints/00000004")):
        after = load_checkpoint(folder).params
        assert jax.tree.all(jax.tree.map(np.array_equal, before["embedding"], after["embedding"]))
        old, new = (tree["transformer"]["blocks"]["mlp"]["up"]["kernel"] for tree in (before, after))
        assert np.array_equal(old[0], new[0])
        assert not np.array_equal(old[1], new[1])


def test_a_finished_call_does_nothing_again(base, sources, finished, tmp_path, monkeypatch):
    out = tmp_path / "again"
    shutil.copytree(finished, out)
    monkeypatch.setattr(SkipLog, "__next__", None)  # no batch may be asked for
    settings = ('optimizer.trained=["transformer"]', "optimizer.last_layers=1")
    finetune(base, sources, out, "--episodes", "3", "1", "--cascades", "1", settings=settings)
    assert (out / "results.json").read_bytes() == (finished / "results.json").read_bytes()


def test_results_hold_what_earlier_calls_have_finished(base, sources, finished, tmp_path):
    out = tmp_path / "fewer"
    shutil.copytree(finished, out)
    settings = ('optimizer.trained=["transformer"]', "optimizer.last_layers=1")
    finetune(base, sources, out, "--episodes", "1", "--cascades", "1", settings=settings)
    assert results(out)["runs"] == results(finished)["runs"]


def test_runs_of_another_checkpoint_or_other_settings_are_not_mixed(base, sources, finished, tmp_path, capsys):
    other = tmp_path / "other"
    params = jax.tree.map(lambda leaf: leaf + 1, load_checkpoint(base).params)
    save_checkpoint(other, step=7, params=params, train_state={"none": np.zeros(1)}, data_state={}, config=BASE)
    options = ["--episodes", "1", "--cascades", "1"]
    for checkpoint, message in ((other, "runs from another checkpoint"), (base, "optimizer.trained (there ('tran")):
        with pytest.raises(SystemExit) as stopped:
            finetune(checkpoint, sources, finished, *options)
        assert stopped.value.code == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, settings, message",
    [
        (["--episodes", "1", "9"], (), "has 5 episodes to draw from, but a subset of 9"),
        (["--episodes", "1"], ("finetune.task=acrobot",), "finetune.task is 'acrobot', expected the name"),
        (["--episodes", "1"], ("training.evaluate_every=0",), "judged as it goes"),
        (["--episodes", "1"], ("tokenizer.num_bins=32",), "belong to the checkpoint"),
        (["--episodes", "1"], ("model.width=32",), "use the config that the parameters were made with"),
        (["--episodes", "1", "1"], (), "expected different numbers"),
    ],
)
def test_what_cannot_be_is_refused_with_a_message(base, sources, tmp_path, capsys, options, settings, message):
    with pytest.raises(SystemExit) as stopped:
        finetune(base, sources, tmp_path / "out", *options, settings=settings)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_source_that_is_no_task_is_not_played(base, sources, tmp_path, capsys):
    with pytest.raises(SystemExit):
        finetune(base, sources.with_name("mine.json"), tmp_path / "out", "--episodes", "1")
    assert "finetune.judged_by=held_out" in capsys.readouterr().err


@pytest.mark.slow
def test_a_stopped_call_goes_on_and_ends_with_the_same_results(base, sources, tmp_path, monkeypatch):
    """Low-rank factors, their moments, data position and metrics included."""
    options = ["--episodes", "3", "--cascades", "2"]
    settings = ("optimizer.lora_rank=2", "model.dropout=0.1")
    finetune(base, sources, tmp_path / "whole", *options, settings=settings)
    drawn = []
    following = SkipLog.__next__

    def stop(batches: SkipLog):
        drawn.append(1)
        if len(drawn) == 7:  # in the second run, after its first evaluation
            os.kill(os.getpid(), signal.SIGTERM)
        return following(batches)

    monkeypatch.setattr(SkipLog, "__next__", stop)
    with pytest.raises(SystemExit) as stopped:
        finetune(base, sources, tmp_path / "stopped", *options, settings=settings)
    assert stopped.value.code == 75
    assert len(results(tmp_path / "stopped")["runs"]) == 1
    finetune(base, sources, tmp_path / "stopped", *options, settings=settings)
    for name in ("results.json", "few_shot.md"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    last = "checkpoint-3-episodes-cascade-1/checkpoints/00000004"
    states = [load_checkpoint(tmp_path / out / last, train_state=True) for out in ("whole", "stopped")]
    assert jax.tree.all(jax.tree.map(np.array_equal, states[0].params, states[1].params))
    assert jax.tree.all(jax.tree.map(np.array_equal, states[0].train_state, states[1].train_state))


@pytest.mark.slow
def test_scratch_starts_anew_and_all_of_it_moves(base, sources, tmp_path):
    options = ["--episodes", "3", "--cascades", "1", "--scratch"]
    settings = ('optimizer.trained=["norms"]', "finetune.scratch_lr=0.01")
    finetune(base, sources, tmp_path, *options, settings=settings)
    tuned, scratch = results(tmp_path)["runs"]
    assert (tuned["start"], scratch["start"]) == ("checkpoint", "scratch")
    assert tuned["chosen"] == scratch["chosen"]
    before = load_checkpoint(base).params["embedding"]["tokens"]
    after = [load_checkpoint(tmp_path / entry["folder"]).params["embedding"]["tokens"] for entry in (tuned, scratch)]
    assert np.array_equal(after[0], before)
    assert np.abs(after[1] - before).mean() > 0.01
    saved = RunConfig.load(tmp_path / scratch["folder"] / "config.json")
    assert (saved.optimizer.peak_lr, saved.optimizer.trained) == (0.01, ("embedding", "transformer"))


@pytest.mark.slow
def test_without_an_environment_the_held_out_loss_judges(base, sources, tmp_path):
    options = ["--episodes", "0", "--cascades", "1"]
    finetune(base, sources.with_name("mine.json"), tmp_path, *options, settings=("finetune.judged_by=held_out",))
    content = results(tmp_path)
    (entry,) = content["runs"]
    assert content["measure"] == "held-out loss"
    assert (entry["episodes"], entry["retest"]) == (5, [])  # all but the one held out
    best = min(entry["evaluations"], key=lambda judged: judged["smoothed"])
    assert entry["best_step"] == best["step"]
    assert entry["evaluations"][-1]["value"] < entry["before"]


def test_the_shipped_config_is_the_protocol_of_the_paper():
    config = load_config("finetune")
    rates = [float(make_schedule(config.optimizer)(updates)) for updates in (0, 1, 5_000, 9_999)]
    assert rates == pytest.approx([1e-5] * 4)
    assert (config.optimizer.b1, config.optimizer.b2, config.optimizer.eps) == (0.9, 0.95, 1e-8)
    assert config.optimizer.weight_decay == 0
    assert (config.data.batch_size, config.data.context_length, config.model.dropout) == (64, 1024, 0.1)
    assert (config.training.num_steps, config.training.evaluate_every, config.evaluation.episodes) == (10_000, 100, 10)
    settings = config.finetune
    assert (settings.episodes, settings.cascades) == ((1, 3, 5, 10, 100, 1000), (0, 1, 2))
    assert (settings.best_episodes, settings.smoothing) == (2000, 5)


def test_no_cascade_at_all_is_refused_by_the_option_s_name(base, sources, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        finetune(base, sources, tmp_path, "--cascades", "0")
    assert stopped.value.code == 2
    assert "cascades is 0, expected 1 or more" in capsys.readouterr().err
