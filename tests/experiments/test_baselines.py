"""Who else plays the episodes of an evaluation; no network acts here."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from gato.config import (
    DataConfig,
    EvaluationConfig,
    ModelConfig,
    PolicyConfig,
    PromptConfig,
    RunConfig,
    SourceConfig,
    TokenizerConfig,
)
from gato.data.sources.minari_writer import write_minari
from gato.envs import get_task
from gato.evaluation.actors import ExpertActor, RandomActor
from gato.evaluation.journal import Journal
from gato.evaluation.rollout import rollout
from gato.evaluation.scores import BaselineScores
from gato.experiments.baselines import BaselineContext, BaselineName, forget_baselines, make_baselines, play_baseline
from gato.experiments.reporter import ConsoleReporter
from gato.experiments.session import EvaluationSession
from gato.inference.agent import Agent

TOKENIZER = TokenizerConfig(text_vocab_size=260, num_bins=64, num_discrete=64)
QUIET = ConsoleReporter(Console(quiet=True))
SETTINGS = {"seed": 7, "episodes": 4}


@pytest.fixture(scope="module")
def agent() -> Agent:
    """Without weights, since it is never asked."""
    policy = PolicyConfig(context_length=96, prompt=PromptConfig(max_tokens=40))
    return Agent(model=ModelConfig(), tokenizer=TOKENIZER, policy=policy, params={})


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Demonstrations of two tasks: the dark room's always walk to one goal."""
    folder = tmp_path_factory.mktemp("demonstrations")
    for name in ("cartpole", "dark-room"):
        task = get_task(name)
        env = task.make()
        assert task.make_expert is not None
        played = rollout(task.make, ExpertActor(task.make_expert), range(4), options=[dict(task.variants[0])] * 4)
        episodes = [done.episode for done in played]
        write_minari(folder / name, episodes, env.observation_space, env.action_space, dataset_id=f"gato/{name}-v0")
    return folder


def context(
    agent: Agent, names: Sequence[str], run: Path, *, ablation=False, data: Path | None = None, sources=(), num_envs=2
) -> BaselineContext:
    session = EvaluationSession(agent, [get_task(name) for name in names], agent.policy.prompt)
    return BaselineContext(
        session=session,
        specs=session.plan(EvaluationConfig(episodes=4, seed=7), ablation=ablation).specs,
        run=RunConfig(data=DataConfig(sources=sources)),
        checkpoint=run,
        num_envs=num_envs,
        ablation=ablation,
        demonstrations=data,
    )


def played(found: BaselineContext, names: Sequence[BaselineName], out: Path) -> dict[str, BaselineScores]:
    return {one.name: play_baseline(one, found, out, SETTINGS, QUIET) for one in make_baselines(names, found)}


def test_chance_and_expert_play_the_agents_seeds_and_variants_once(agent, tmp_path):
    found = played(context(agent, ["dark-room"], tmp_path), ["random", "expert", "random"], tmp_path)
    task = get_task("dark-room")
    options = [dict(task.variants[index]) for index in range(4)]
    env = task.make()
    alone = rollout(task.make, RandomActor(env.action_space), range(7, 11), options=options)
    (random,) = found["random"].records
    assert random.returns == tuple(done.episode.episode_return for done in alone)
    (expert,) = found["expert"].records
    assert (expert.prompt, expert.returns, expert.success, expert.seed) == ("none", (1, 1, 1, 1), 1, 7)
    assert expert.normalized == pytest.approx(1, abs=0.02)


def test_in_an_ablation_replay_follows_the_demonstration_before_the_episode_and_others_play_once(agent, tmp_path):
    found = played(context(agent, ["dark-room"], tmp_path, ablation=True), ["nearest-neighbour", "random"], tmp_path)
    assert [(record.variants, record.prompt) for record in found["nearest-neighbour"].records] == [
        ("trained", "right"),
        ("trained", "wrong"),
        ("held-out", "right"),
        ("held-out", "wrong"),
    ]
    assert all(record.followed is not None for record in found["nearest-neighbour"].records)
    assert [(record.variants, record.prompt) for record in found["random"].records] == [
        ("trained", "none"),
        ("held-out", "none"),
    ]


def test_replay_of_what_the_run_was_trained_on(agent, data, tmp_path):
    sources = (SourceConfig(name="cartpole", kind="minari", path=str(data / "cartpole"), held_out=0.25),)
    found = played(
        context(agent, ["cartpole", "dark-room"], tmp_path, sources=sources), ["nearest-neighbour"], tmp_path
    )
    scores = found["nearest-neighbour"]
    assert [record.task for record in scores.records] == ["cartpole"]
    assert scores.records[0].normalized > 0.5  # of an expert that balances
    assert scores.left_out == {"dark-room": "the run has no source of its name: give --demonstrations FOLDER"}


def test_replay_of_a_folder_of_demonstrations(agent, data, tmp_path):
    found = played(context(agent, ["dark-room"], tmp_path, data=data), ["nearest-neighbour"], tmp_path)
    (record,) = found["nearest-neighbour"].records
    assert record.prompt == "none"
    assert found["nearest-neighbour"].measured["demonstrations"] == str(data)
    (tmp_path / "empty").mkdir()
    found = played(
        context(agent, ["dark-room"], tmp_path, data=tmp_path / "empty"), ["nearest-neighbour"], tmp_path / "b"
    )
    assert "holds no Minari dataset" in found["nearest-neighbour"].left_out["dark-room"]


def test_demonstrations_of_other_spaces_are_told(agent, data, tmp_path):
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "dark-room").symlink_to(data / "cartpole")
    found = played(context(agent, ["dark-room"], tmp_path, data=tmp_path / "wrong"), ["nearest-neighbour"], tmp_path)
    assert not found["nearest-neighbour"].records
    assert "were recorded with Box" in found["nearest-neighbour"].left_out["dark-room"]


@pytest.mark.parametrize("name", ["random", "expert", "nearest-neighbour"])
def test_a_stopped_baseline_goes_on_and_ends_the_same_at_any_width(agent, tmp_path, monkeypatch, name):
    names = ["dark-room", "pendulum-mode"]
    whole = played(context(agent, names, tmp_path, ablation=True), [name], tmp_path / "whole")
    append, kept = Journal.append, []

    def stop(journal: Journal, result) -> None:
        if len(kept) == 5:
            raise KeyboardInterrupt
        append(journal, result)
        kept.append(result.key)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "append", stop)
        with pytest.raises(KeyboardInterrupt):
            played(context(agent, names, tmp_path, ablation=True), [name], tmp_path / "stopped")
    again = played(context(agent, names, tmp_path, ablation=True, num_envs=5), [name], tmp_path / "stopped")
    assert again == whole
    lines = (tmp_path / "stopped" / "baselines" / name / "episodes.jsonl").read_text().splitlines()
    keys = [(line["task"], line["prompt"], line["variants"], line["episode"]) for line in map(json.loads, lines[1:])]
    assert keys[:5] == kept
    assert len(set(keys)) == len(keys) == sum(record.episodes for record in whole[name].records)


def test_a_journal_of_other_settings_is_refused_with_the_way_out(agent, tmp_path):
    found = context(agent, ["dark-room"], tmp_path)
    (one,) = make_baselines(["random"], found)
    play_baseline(one, found, tmp_path, SETTINGS, QUIET)
    with pytest.raises(ValueError, match=r"episodes is 4 there, 5 now.*or delete .*baselines/random, to play"):
        play_baseline(one, found, tmp_path, {**SETTINGS, "episodes": 5}, QUIET)
    forget_baselines(tmp_path)
    forget_baselines(tmp_path)  # nothing is left, which is no error
    play_baseline(one, found, tmp_path, {**SETTINGS, "episodes": 5}, QUIET)


def test_what_cannot_be_played_is_told_before_anything_is(agent, data, tmp_path):
    for name in ("bc", "no-prompt", "task-id"):
        with pytest.raises(FileNotFoundError, match=f"is not there: make it with `gato baseline {name} RUN`"):
            make_baselines([name], context(agent, ["dark-room"], tmp_path))
    with pytest.raises(ValueError, match="in a study, nearest-neighbour replays the demonstration that stands before"):
        make_baselines(["nearest-neighbour"], context(agent, ["dark-room"], tmp_path, ablation=True, data=data))
    with pytest.raises(ValueError, match="nobody looks them up"):
        make_baselines(["random"], context(agent, ["dark-room"], tmp_path, data=data))
    with pytest.raises(FileNotFoundError, match="is no folder"):
        make_baselines(["nearest-neighbour"], context(agent, ["dark-room"], tmp_path, data=tmp_path / "nowhere"))
