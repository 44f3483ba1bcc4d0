import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from gato.cli.baseline_runs import baseline
from gato.cli.evaluate import evaluate
from gato.config import (
    DataConfig,
    FieldScale,
    ModelConfig,
    OptimizerConfig,
    PolicyConfig,
    PromptConfig,
    RunConfig,
    SourceConfig,
    TokenizerConfig,
    TrainingConfig,
)
from gato.data.sources.minari import MinariSource
from gato.data.sources.minari_writer import write_minari
from gato.envs import get_task
from gato.evaluation.actors import ExpertActor
from gato.evaluation.rollout import rollout
from gato.evaluation.scores import read_baselines
from gato.experiments.baseline_configs import (
    baseline_folder,
    cloning_config,
    data_with_task_id,
    is_finished,
    source_steps,
    unprompted_config,
)
from gato.experiments.evaluation import EvaluationOptions
from gato.experiments.training import train_run

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demonstrations")
    for name in ("cartpole", "dark-room"):
        task = get_task(name)
        env = task.make()
        assert task.make_expert is not None
        options = [dict(task.variants[index % len(task.variants)]) for index in range(6)]
        played = rollout(task.make, ExpertActor(task.make_expert), range(6), options=options)
        episodes = [done.episode for done in played]
        write_minari(folder / name, episodes, env.observation_space, env.action_space, dataset_id=f"gato/{name}-v0")
    return folder


@pytest.fixture(scope="module")
def config(data) -> RunConfig:
    prompt = PromptConfig(probability=0.5, max_tokens=40)
    return RunConfig(
        name="toy",
        tokenizer=TokenizerConfig(text_vocab_size=260, num_bins=64, num_discrete=64),
        model=ModelConfig(width=16, num_layers=1, num_heads=1, head_dim=16, mlp_width=32, patch_stem="tiles"),
        data=DataConfig(
            sources=(
                SourceConfig(name="cartpole", kind="minari", path=str(data / "cartpole"), weight=1, prompt=prompt),
                SourceConfig(name="dark-room", kind="minari", path=str(data / "dark-room"), weight=3, prompt=prompt),
            ),
            batch_size=2,
            context_length=96,
            max_patches=1,
        ),
        optimizer=OptimizerConfig(warmup_steps=40, decay_steps=360),
        training=TrainingConfig(num_steps=8, evaluate_every=0, log_every=4, checkpoint_every=8),
        policy=PolicyConfig(context_length=96, prompt=PromptConfig(max_tokens=40)),
    )


def changed(config: RunConfig, change: Callable[[SourceConfig], SourceConfig]) -> RunConfig:
    sources = tuple(map(change, config.data.sources))
    return dataclasses.replace(config, data=dataclasses.replace(config.data, sources=sources))


def test_a_source_gets_the_steps_that_its_rows_made_up(config):
    assert source_steps(config, None) == {"cartpole": 2, "dark-room": 6}
    # A budget of a sixteenth of all rows for the dark room: the cart takes the rest.
    limited = changed(
        config, lambda source: dataclasses.replace(source, max_tokens=96) if source.name == "dark-room" else source
    )
    steps = source_steps(limited, None)
    assert steps["dark-room"] < 6
    assert steps["cartpole"] > 2


def test_cloning_is_the_same_network_on_one_source_with_the_schedule_shortened(config):
    full = dataclasses.replace(config, training=dataclasses.replace(config.training, num_steps=400))
    alone = cloning_config(full, "dark-room", 100)
    assert (alone.model, alone.tokenizer, alone.policy, alone.seed) == (
        full.model,
        full.tokenizer,
        full.policy,
        full.seed,
    )
    assert [(source.name, source.weight) for source in alone.data.sources] == [("dark-room", 1)]
    assert alone.data.sources[0].prompt == full.data.sources[1].prompt
    assert alone.training.num_steps == 100
    assert (alone.optimizer.warmup_steps, alone.optimizer.decay_steps) == (10, 90)
    assert alone.name == "toy-bc-dark-room"


def test_the_unprompted_run_differs_in_its_prompts_alone(config):
    bare = unprompted_config(config, config.training.num_steps)
    assert {source.prompt.probability for source in bare.data.sources} == {0}
    restored = changed(bare, lambda source: dataclasses.replace(source, prompt=config.data.sources[0].prompt))
    assert dataclasses.replace(restored, name="toy") == config


def test_told_data_are_the_demonstrations_with_their_variant(config, data, tmp_path):
    scale = FieldScale(path="observation", low=(0.0,), high=(6.0,))
    scaled = changed(
        config,
        lambda source: (
            dataclasses.replace(source, scaling="range", fields=(scale,)) if source.name == "dark-room" else source
        ),
    )
    cart, room = data_with_task_id(scaled.data, tmp_path, QUIET).sources
    assert cart == config.data.sources[0]  # it has no hidden variants
    assert room.fields == (dataclasses.replace(scale, path="observation/observation"),)
    before, after = MinariSource(data / "dark-room", "before"), MinariSource(room.path, "after")
    assert len(before) == len(after) == 6
    for index in range(6):
        plain, telling = before[index], after[index]
        np.testing.assert_array_equal(telling.observations["observation"], plain.observations)
        np.testing.assert_array_equal(telling.actions, plain.actions)
        assert telling.options == plain.options
        assert telling.observations["wanted"].tolist() == [[0, index]] * len(plain.observations)
    written = Path(room.path).stat().st_mtime_ns
    assert data_with_task_id(scaled.data, tmp_path, QUIET).sources == (cart, room)
    assert Path(room.path).stat().st_mtime_ns == written
    with pytest.raises(ValueError, match="the run has no task with hidden variants"):
        data_with_task_id(dataclasses.replace(config.data, sources=config.data.sources[:1]), tmp_path, QUIET)


def test_baselines_lie_in_the_run_whichever_folder_names_it(tmp_path):
    expected = tmp_path / "baselines" / "bc" / "cartpole"
    assert baseline_folder(tmp_path, "bc", "cartpole") == expected
    assert baseline_folder(tmp_path / "checkpoints" / "00000008", "bc", "cartpole") == expected
    assert not is_finished(expected)


@pytest.fixture(scope="module")
def run(config, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    train_run(config, folder, text=None, console=QUIET)
    return folder


@pytest.mark.slow
def test_trained_baselines_play_the_same_episodes(run, tmp_path, capsys):
    baseline("bc", run, tasks=("dark*",))
    baseline("no-prompt", run, steps=2)
    baseline("task-id", run, steps=2)
    baseline("task-id", run, steps=2)
    assert f"{run / 'baselines' / 'task-id'} is trained" in capsys.readouterr().out.replace("\n", "")
    options = EvaluationOptions(
        tasks=("cartpole", "dark-room"),
        episodes=3,
        num_envs=3,
        baselines=("bc", "no-prompt", "task-id", "random"),
        held_out=True,
        held_out_rows=4,
        videos=0,
        out=tmp_path,
    )
    evaluate(run, options)
    found = read_baselines(tmp_path / "scores.json")
    assert {name: [record.task for record in scores.records] for name, scores in found.items()} == {
        "bc": ["dark-room"],
        "no-prompt": ["cartpole", "dark-room"],
        "task-id": ["dark-room"],
        "random": ["cartpole", "dark-room"],
    }
    assert [record.prompt for scores in found.values() for record in scores.records] == ["right", *["none"] * 5]
    assert "make it with `gato baseline bc RUN`" in found["bc"].left_out["cartpole"]
    assert found["task-id"].left_out == {"cartpole": "the oracle was not trained on it"}
    content = json.loads((tmp_path / "scores.json").read_text())
    assert set(content["held_out"]) == {"cartpole", "dark-room"}
    assert "| mean of" not in (tmp_path / "scores.md").read_text()  # no two tasks have all players
    before = (tmp_path / "scores.json").read_bytes()
    evaluate(run, dataclasses.replace(options, num_envs=2))
    assert (tmp_path / "scores.json").read_bytes() == before


@pytest.mark.slow
def test_a_baseline_of_another_network_is_not_played(run, config, tmp_path):
    other = dataclasses.replace(config, model=dataclasses.replace(config.model, mlp_width=64))
    train_run(other, tmp_path, text=None, console=QUIET)
    shutil.copytree(run, tmp_path / "baselines" / "no-prompt", ignore=shutil.ignore_patterns("baselines"))
    with pytest.raises(FileNotFoundError, match="no-prompt is of another network than the run: delete it"):
        evaluate(tmp_path, EvaluationOptions(tasks=("cartpole",), episodes=1, baselines=("no-prompt",), videos=0))


@pytest.mark.slow
def test_what_cannot_be_trained_is_told(run):
    with pytest.raises(ValueError, match=r"no source of the run that is a task matches 'pend\*'"):
        baseline("bc", run, tasks=("pend*",))
    with pytest.raises(ValueError, match="leave --tasks out"):
        baseline("no-prompt", run, tasks=("cartpole",))
    with pytest.raises(ValueError, match="steps is 0"):
        baseline("bc", run, steps=0)
