"""An agent plays, an expert labels: what is recorded, from which agent, and what is refused."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from gato.cli.main import run
from gato.data.sources.minari import MinariSource
from gato.envs import get_task
from gato.evaluation.rollout import rollout
from gato.experiments import relabelling

HIDDEN = [
    "tokenizer.values_per_token=8",
    "tokenizer.action_tokens=grouped",
    "tokenizer.separator=mark",
    "tokenizer.own_actions=hidden",
]
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
    "data.max_patches=1",
    "policy.context_length=64",
    "training.evaluate_every=0",
    "training.num_steps=2",
]


def quiet():
    return Console(file=io.StringIO(), width=200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs on a few episodes of cart-pole: one whose own actions are hidden, and one whose are fed."""
    folder = tmp_path_factory.mktemp("relabel")
    run(["collect", "cartpole", "--recipe", "training", "--episodes", "4", "--out", str(folder), "--num-workers", "1"])
    source = {"name": "cartpole", "kind": "minari", "path": "cartpole", "scaling": "range"}
    (folder / "sources.json").write_text(json.dumps([source]))
    for name, layout in (("hidden", HIDDEN), ("fed", [])):
        common = ["train", "gato-79m", "--sources", str(folder / "sources.json"), "--run", str(folder / name)]
        run([*common, "--set", *TINY, *layout])
    return folder


def test_states_are_the_agents_and_labels_the_experts(folder, tmp_path, monkeypatch):
    common = ["--episodes", "12", "--num-workers", "1", "--share", "1", "1"]
    run(["relabel", str(folder / "hidden"), "cartpole", *common, "--out", str(tmp_path)])
    recorded = MinariSource(tmp_path / "cartpole", "cartpole")
    task = get_task("cartpole")
    actor = relabelling._actor(folder / "hidden", "cartpole")
    for index, done in enumerate(rollout(task.make, actor, range(3))):
        episode = recorded[index]
        np.testing.assert_array_equal(episode.actions, done.episode.actions)  # what the agent does alone
        np.testing.assert_array_equal(episode.observations, done.episode.observations)
        assert not episode.action_mask.any()
        with task.make() as env:
            expert = task.make_expert(env, np.random.default_rng(0))
            answers = [expert.act(observation) for observation in episode.observations[:-1]]
        assert episode.expert_actions.tolist() == answers
    assert any((recorded[index].actions != recorded[index].expert_actions).any() for index in range(12))
    # Another agent does not go on with these episodes.
    monkeypatch.setattr(relabelling, "identity", lambda weights: {"sha256": "0" * 64})
    options = {"episodes": 12, "share": (1.0, 1.0), "seed": 0, "num_workers": 1, "console": quiet()}
    with pytest.raises(FileExistsError, match=r"holds another recording \(agent"):
        relabelling.relabel(folder / "hidden", [task], tmp_path, **options)


@pytest.mark.parametrize(
    ("agent", "task", "message"),
    [
        ("fed", "cartpole", "sees its own actions (own_actions 'fed')"),
        ("hidden", "dark-room", "dark-room tells its goal by a demonstration alone"),
        ("hidden", "mujoco-ant", "task 'mujoco-ant' has no expert"),
    ],
)
def test_what_cannot_be_labelled_is_refused(folder, tmp_path, capsys, agent, task, message):
    with pytest.raises(SystemExit):
        run(["relabel", str(folder / agent), task, "--out", str(tmp_path)])
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / task).exists()
