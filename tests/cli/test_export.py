"""`gato export` and what takes a released folder in place of a run."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from gymnasium import spaces
from PIL import Image
from safetensors.numpy import load_file

from gato.checkpoint import identity as identity_of_run
from gato.checkpoint import save_checkpoint
from gato.cli.main import run
from gato.evaluation.scores import ScoreRecord, read_scores, write_scores
from gato.inference.policy import Policy
from gato.release import RELEASE_FILE, identity, load_checkpoint
from gato.release.tensors import expected_parameters

FIXTURES = Path(__file__).parents[1] / "fixtures"
RUN = FIXTURES / "run_v1"


def scores_of(folder: Path, weights: dict) -> Path:
    """A file of scores as `gato evaluate` writes it."""
    records = [
        ScoreRecord.from_returns(
            returns, task=task, family="classic-control", seed=0, random_mean=20.0, expert_mean=500.0, prompt="right"
        )
        for task, returns in {"cartpole": [500.0, 480.0], "acrobot | b": [260.0, 260.0]}.items()
    ]
    measured = {
        "checkpoint": {"run": "fixture", **weights},
        "episodes": 2,
        "left_out": {"dark-room": "/home/somebody/lib is missing"},
    }
    write_scores(folder / "scores.json", records, measured)
    return folder / "scores.json"


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    scores = scores_of(folder, identity_of_run(RUN))
    run(
        [
            *("export", str(RUN), str(folder / "agent"), "--license", "cc-by-4.0", "--scores", str(scores)),
            *("--datasets", "somebody/cranes", "books"),
        ]
    )
    return folder / "agent"


def refused(capsys, arguments) -> str:
    with pytest.raises(SystemExit) as stopped:
        run([str(argument) for argument in arguments])
    assert stopped.value.code == 2
    return " ".join(capsys.readouterr().err.split())


def test_the_folder_holds_what_its_readme_promises(exported):
    assert sorted(path.name for path in exported.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        RELEASE_FILE,
        "scores.json",
        "tokenizer.model",
    ]
    assert not any(b"somebody/" in path.read_bytes() for path in exported.iterdir() if path.name != "README.md")
    assert json.loads((exported / RELEASE_FILE).read_text())["exported_from"] == identity_of_run(RUN)


def test_the_type_and_the_size_of_files_can_be_chosen(tmp_path):
    run(["export", str(RUN), str(tmp_path / "half"), "--dtype", "bfloat16", "--max-shard-gb", "0.00001"])
    shards = sorted((tmp_path / "half").glob("model-*.safetensors"))
    assert len(shards) > 1
    tensors = {name: array for shard in shards for name, array in load_file(shard).items()}
    assert tensors["embedding.tokens"].dtype.name == "bfloat16"
    assert "bfloat16 (norm gains and biases float32)" in (tmp_path / "half" / "README.md").read_text()


def test_the_front_matter_is_what_a_hub_reads(exported):
    card = pytest.importorskip("huggingface_hub").ModelCard.load(exported / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert card.data.datasets == ["somebody/cranes", "books"]
    assert {"gato", "jax", "reinforcement-learning"} <= set(card.data.tags)
    found = {(result.dataset_name, result.metric_type): result.metric_value for result in card.data.eval_results}
    assert found[("cartpole", "mean_return")] == 490
    assert found[("acrobot | b", "normalized_score")] == 0.5


def test_the_card_tells_what_the_weights_are(exported):
    card = (exported / "README.md").read_text()
    assert "11,064 parameters, float32: 2 layers of width 16" in card
    assert "Saved after 1,500 steps" in card
    assert "| crane | minari | 75.0% | range | – |" in card
    assert "| books | text | 25.0% | – | – |" in card
    assert 'Policy.load("agent", env.observation_space, env.action_space, source="crane")' in card
    assert "cartpole" in card
    assert "490" in card
    assert "cc-by-4.0, for these weights" in card
    assert "None were measured" not in card
    assert "Timesteps are shorter" not in card


def test_a_card_without_licence_and_scores_says_so(tmp_path):
    run(["export", str(RUN), str(tmp_path / "agent")])
    card = (tmp_path / "agent" / "README.md").read_text()
    assert "license:" not in card
    assert "The authors state none: ask them" in card
    assert "None were measured for this card." in card
    assert "measure it with `gato evaluate` before relying on it" in card


def test_names_with_marks_of_markdown_or_yaml_stay_names(tmp_path):
    library = pytest.importorskip("huggingface_hub")
    checkpoint = load_checkpoint(RUN)
    save_checkpoint(
        tmp_path / "odd",
        step=1,
        params=checkpoint.params,
        train_state={"count": np.zeros(())},
        data_state={},
        config=checkpoint.config.override(['name="a: \\"b\\" | <script> # --- \\n- x"']),
        tokenizer_model=checkpoint.tokenizer_model,
    )
    scores = scores_of(tmp_path, identity_of_run(tmp_path / "odd"))
    run(["export", str(tmp_path / "odd"), str(tmp_path / "agent"), "--scores", str(scores)])
    card = library.ModelCard.load(tmp_path / "agent" / "README.md")
    assert card.data.model_name == 'a: "b" | <script> # --- \n- x'
    assert "<script>" not in card.text
    assert card.text.lstrip().startswith('# a: "b"')


def test_scores_go_along_for_comparisons_without_what_is_private(exported, capsys, tmp_path):
    assert [record.task for record in read_scores(exported / "scores.json")] == ["cartpole", "acrobot | b"]
    measured = json.loads((exported / "scores.json").read_text())["measured"]
    assert measured == {"checkpoint": {"run": "fixture", **identity_of_run(RUN)}, "episodes": 2}
    run(["compare", str(exported), str(exported), "--out", str(tmp_path / "comparison")])
    assert "cartpole" in capsys.readouterr().out


def test_scores_of_other_weights_are_refused(capsys, tmp_path):
    scores = scores_of(tmp_path, {"step": 3, "sha256": "0" * 64})
    said = refused(capsys, ["export", RUN, tmp_path / "agent", "--scores", scores])
    assert "was measured on another checkpoint (step 3, SHA-256 000000000000) than the one to be exported" in said
    write_scores(scores, read_scores(scores))
    said = refused(capsys, ["export", RUN, tmp_path / "agent", "--scores", scores])
    assert "was measured on another checkpoint (step None" in said
    assert not (tmp_path / "agent").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--license", "Apache 2.0"], "license is 'Apache 2.0', expected the hub's name of one, such as apache-2.0"),
        (["--datasets", "/home/me/data"], "dataset '/home/me/data' is no name on a hub"),
        (["--max-shard-gb", "0"], "max-shard-gb is 0.0, must be positive"),
        (["--max-shard-gb", "nan"], "max-shard-gb is nan, must be positive"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_read(capsys, tmp_path, options, message):
    assert message in refused(capsys, ["export", tmp_path / "nowhere", tmp_path / "agent", *options])


def test_errors_end_with_a_message(capsys, tmp_path, exported):
    assert "never overwritten" in refused(capsys, ["export", RUN, exported])
    assert "does not exist" in refused(capsys, ["export", tmp_path / "nowhere", tmp_path / "agent"])
    assert "has no release.json" in refused(capsys, ["push", RUN, "me/agent"])
    assert "never overwritten" in refused(capsys, ["pull", "me/agent", exported])


@pytest.mark.slow
def test_pictures_are_described_from_a_release_as_from_its_run(exported, capsys, tmp_path):
    Image.fromarray(np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)).save(tmp_path / "picture.png")
    said = []
    for folder in (RUN, exported):
        run(["caption", str(folder), str(tmp_path / "picture.png"), "--max-tokens", "6"])
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]


def test_a_released_config_tells_sizes(exported, capsys):
    run(["info", str(exported / "config.json")])
    assert "11,064" in capsys.readouterr().out


@pytest.mark.slow
def test_a_release_is_measured_as_its_run(exported, tmp_path):
    records = []
    for name, folder in {"run": RUN, "release": exported}.items():
        out = tmp_path / name
        run(
            [
                *("evaluate", str(folder), "--tasks", "cartpole", "--episodes", "2", "--prompt", "none"),
                *("--videos", "0", "--out", str(out)),
            ]
        )
        records.append(read_scores(out / "scores.json"))
        measured = json.loads((out / "scores.json").read_text())["measured"]
        assert measured["checkpoint"] == {"run": "fixture", **identity(folder)}
    assert records[0] == records[1]


@pytest.mark.parametrize("own_actions", ["fed", "hidden"])
def test_an_agent_of_short_timesteps_is_exported_and_acts_the_same(tmp_path, own_actions):
    checkpoint = load_checkpoint(RUN)
    layout = {"values_per_token": 4, "separator": "mark", "action_tokens": "decoded", "own_actions": own_actions}
    config = checkpoint.config.override([f"tokenizer.{name}={value}" for name, value in layout.items()])
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(leaf.dtype), expected_parameters(config))
    folder = tmp_path / "run"
    save_checkpoint(
        folder,
        step=1,
        params=params,
        train_state={"count": np.zeros(())},
        data_state={},
        config=config,
        tokenizer_model=checkpoint.tokenizer_model,
    )
    run(["export", str(folder), str(tmp_path / "agent")])
    card = " ".join((tmp_path / "agent" / "README.md").read_text().split())
    hidden = ", the agent sees actions in demonstrations only, not its own" * (own_actions == "hidden")
    assert (
        "Timesteps are shorter than the paper's: up to 4 neighbouring numbers share a token, the separator takes none, "
        f"an action is one token{hidden}."
    ) in card
    played = []
    for path in (folder, tmp_path / "agent"):
        observations = spaces.Box(-1, 1, (3,), np.float32, seed=1)
        policy = Policy.load(path, observations, spaces.MultiDiscrete([3, 4, 5]), source="")
        policy.reset(seed=3)
        played.append([policy.act(observations.sample()).tolist() for _ in range(8)])
    assert played[0] == played[1]
    assert len({tuple(action) for action in played[0]}) > 3
