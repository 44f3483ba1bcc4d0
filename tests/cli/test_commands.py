"""The whole road on a tiny scale: every command once, on data and weights that the commands before it made."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from gato.cli.main import run

TINY = [
    "model.width=32",
    "model.num_layers=1",
    "model.num_heads=2",
    "model.head_dim=16",
    "model.mlp_width=64",
    "model.patch_stem=tiles",
    "tokenizer.text_vocab_size=300",
    "data.batch_size=2",
    "data.context_length=128",
    "data.max_patches=64",
    "policy.context_length=128",
    "policy.prompt.max_tokens=64",
    "training.checkpoint_every=2",
    "training.log_every=1",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder: collected, trained for two steps, resumed for two more."""
    folder = tmp_path_factory.mktemp("road")
    run(["collect", "cartpole", "dark-room", "--episodes", "6", "--out", str(folder / "demonstrations")])
    lines = [{"text": f"The pole leans {side} at step {step}."} for step in range(40) for side in ("left", "right")]
    (folder / "text.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    sources = [
        {"name": "cartpole", "kind": "minari", "path": "demonstrations/cartpole"},
        {"name": "dark-room", "kind": "minari", "path": "demonstrations/dark-room"},
        {"name": "text", "kind": "text", "path": "text.jsonl"},
    ]
    (folder / "sources.json").write_text(json.dumps(sources))
    train = ["train", "gato-79m", "--sources", str(folder / "sources.json"), "--run", str(folder / "run"), "--set"]
    run([*train, *TINY, "training.num_steps=2"])
    run([*train, *TINY, "training.num_steps=4", "--resume"])
    return folder / "run"


def test_a_resumed_run_writes_every_step_once(trained):
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4]


def test_prepared_sources_train_like_the_sources_themselves(trained, tmp_path, capsys):
    folder, prepared = trained.parent, tmp_path / "prepared"
    tokenizer = ["--tokenizer", str(trained / "tokenizer.model")]
    prepare = ["data", "prepare", "gato-79m", "--sources", str(folder / "sources.json"), "--out", str(prepared)]
    run([*prepare, *tokenizer, "--set", *TINY])
    run([*prepare, *tokenizer, "--set", *TINY])  # finds everything there
    train = ["train", "gato-79m", "--sources", str(prepared / "sources.json"), "--run", str(tmp_path / "run")]
    run([*train, *tokenizer, "--set", *TINY, "training.num_steps=4"])
    assert f"finished, saved in {tmp_path / 'run'}" in capsys.readouterr().out

    def losses(path):
        lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
        return [line["loss"] for line in lines if "loss" in line]

    assert losses(tmp_path / "run") == losses(trained)
    with pytest.raises(SystemExit):
        run([*train[:-1], str(tmp_path / "other"), "--set", *TINY])
    told = "".join(capsys.readouterr().err.split())
    assert f"--tokenizer{prepared / 'tokenizer.model'}" in told


def test_a_run_whose_sources_hold_no_text_needs_no_tokenizer(trained, tmp_path, capsys):
    source = {"name": "dark-room", "kind": "minari", "path": str(trained.parent / "demonstrations" / "dark-room")}
    (tmp_path / "sources.json").write_text(json.dumps([source]))
    common = ["gato-79m", "--sources", str(tmp_path / "sources.json")]
    run(["data", "prepare", *common, "--out", str(tmp_path / "prepared"), "--set", *TINY])
    (printed,) = re.findall("train with: gato (.*)", capsys.readouterr().out)
    run([*printed.split(), "--run", str(tmp_path / "again"), "--set", *TINY, "training.num_steps=2"])
    run(["train", *common, "--run", str(tmp_path / "run"), "--set", *TINY, "training.num_steps=2"])
    assert not list(tmp_path.rglob("tokenizer.model"))
    run(["evaluate", str(tmp_path / "run"), "--episodes", "2", "--num-envs", "2", "--videos", "0"])
    assert (tmp_path / "run" / "evaluation" / "scores.json").exists()


def test_a_run_is_not_overwritten_unasked(trained, capsys):
    with pytest.raises(SystemExit):
        run(["train", str(trained / "config.json"), "--run", str(trained)])
    assert "--resume" in capsys.readouterr().err


def test_evaluate_writes_records_a_chart_a_page_and_films(trained, tmp_path):
    options = ["--tasks", "cartpole", "--episodes", "3", "--num-envs", "2", "--videos", "1", "--out", str(tmp_path)]
    run(["evaluate", str(trained), *options])
    (record,) = json.loads((tmp_path / "scores.json").read_text())["records"]
    assert (record["task"], record["prompt"], record["episodes"]) == ("cartpole", "right", 3)
    assert record["ci_low"] <= record["normalized"] <= record["ci_high"]
    films = list((tmp_path / "films").glob("cartpole-*.gif"))
    assert films
    with Image.open(films[0]) as film:
        assert film.n_frames > 1
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count("data:image/gif") == len(films)
    assert (tmp_path / "scores.png").stat().st_size > 0
    assert "| cartpole | right | 3 |" in (tmp_path / "scores.md").read_text()


def test_evaluate_aggregates_several_tasks(trained, tmp_path, capsys):
    options = ["--tasks", "cartpole", "acrobot", "--prompt", "none", "--episodes", "1", "--out", str(tmp_path)]
    run(["evaluate", str(trained), *options, "--videos", "0", "--latex"])
    assert "all tasks" in capsys.readouterr().out
    assert "| all tasks | 2 |" in (tmp_path / "scores.md").read_text()
    assert r"all tasks & 2 &" in (tmp_path / "scores.tex").read_text()
    for name in ("scores.png", "profile.png", "tasks_above.png"):
        assert (tmp_path / name).stat().st_size > 0


def test_scores_do_not_depend_on_the_number_of_environments(trained, tmp_path):
    for width in ("1", "3"):
        options = ["--tasks", "cartpole", "--episodes", "3", "--num-envs", width, "--out", str(tmp_path / width)]
        run(["evaluate", str(trained), "--videos", "0", *options])
    assert (tmp_path / "1" / "scores.json").read_text() == (tmp_path / "3" / "scores.json").read_text()


def test_play_writes_a_film(trained, tmp_path):
    run(["play", str(trained), "dark-room", "--out", str(tmp_path)])
    (path,) = tmp_path.glob("*.gif")
    with Image.open(path) as film:
        assert film.n_frames > 1


def test_caption_and_ask_answer_in_text(trained, tmp_path, capsys):
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "dark.png")
    run(["caption", str(trained), str(tmp_path / "dark.png")])
    run(["ask", str(trained), str(tmp_path / "dark.png"), "what is this?"])
    assert len(capsys.readouterr().out.splitlines()) >= 2


def test_drawing_from_the_likeliest_token_alone_is_greedy(trained, tmp_path, capsys):
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "dark.png")
    said = []
    for options in ([], ["--temperature", "5", "--top-k", "1"], ["--temperature", "5", "--top-p", "1e-6"]):
        run(["caption", str(trained), str(tmp_path / "dark.png"), "--max-tokens", "4", *options])
        said.append(capsys.readouterr().out)
    assert said == [said[0]] * 3


@pytest.mark.parametrize("picture", [False, True])
def test_chat_ends_with_the_input(picture, trained, tmp_path, monkeypatch, capsys):
    # Together longer than the context: the oldest exchanges have to leave.
    words = iter(["hello there, how is the pole today?"] * 6)

    def say(prompt: str = "") -> str:
        try:
            return next(words)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", say)
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "dark.png")
    about = ["--picture", str(tmp_path / "dark.png")] if picture else []
    run(["chat", str(trained), "--max-tokens", "5", *about])
    assert capsys.readouterr().out.count("Agent:") == 6


def test_info_states_parameters_of_the_paper_s_sizes(capsys):
    run(["info", "gato-79m"])
    out = capsys.readouterr().out
    assert "79M" in out
    assert "parameters" in out


def test_tasks_as_json_are_complete(capsys):
    run(["tasks", "--json"])
    tasks = json.loads(capsys.readouterr().out)
    assert {"cartpole", "dark-room"} <= {task["name"] for task in tasks}


def test_user_errors_end_with_a_message(capsys):
    with pytest.raises(SystemExit) as stopped:
        run(["collect", "cartpool"])
    assert stopped.value.code == 2
    assert "did you mean 'cartpole'" in capsys.readouterr().err
