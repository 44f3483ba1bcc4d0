"""`gato data report`: on a list of sources, on a config, and on sources that hold no text."""

import json

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from gato.cli.data_report import report
from gato.cli.main import run as gato
from gato.config import RunConfig
from gato.data.episode import Episode
from gato.data.sources.minari_writer import write_minari
from gato.tokenizer.text import TextTokenizer

SPACE = Box(-np.inf, np.inf, (2,), np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    episodes = [
        Episode(
            observations=rng.normal(size=(6, 2)).astype(np.float32),
            actions=rng.integers(0, 2, 5),
            rewards=np.ones(5),
            terminated=True,
            truncated=False,
        )
        for _ in range(8)
    ]
    write_minari(folder / "cartpole", episodes, SPACE, Discrete(2), dataset_id="toy/toy-v0")
    lines = [{"text": f"the pole leans left at step {step}"} for step in range(30)]
    (folder / "text.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    control = {"name": "cartpole", "kind": "minari", "path": "cartpole"}
    words = {"name": "words", "kind": "text", "path": "text.jsonl"}
    (folder / "sources.json").write_text(json.dumps([control, words]))
    (folder / "control.json").write_text(json.dumps([control]))
    return folder


def run(*arguments):
    """As `gato data report` does it."""
    gato(["data", "report", *map(str, arguments)])


def test_a_list_of_sources_is_reported_on_console_page_and_json(folder, tmp_path, capsys):
    page, numbers = tmp_path / "report.html", tmp_path / "report.json"
    run(folder / "sources.json", "--html", page, "--json", numbers, "--rows", 4)
    told = capsys.readouterr().out
    assert "cartpole" in told
    assert "pieces learned from a sample" in " ".join(told.split())
    assert "<h2>cartpole</h2>" in page.read_text()
    audit = json.loads(numbers.read_text())
    control, words = audit["audit"]["sources"]
    assert control["control"]["num_episodes"] == 8
    assert control["references"]["expert"] == 500  # the catalogue's task of that name
    assert words["language"]["num_records"] == 30
    assert {one["source"] for one in audit["advice"]} == {"cartpole", "words"}


def test_sources_without_text_need_no_tokenizer(folder, capsys):
    run(folder / "control.json", "--rows", 2, "--set", "data.context_length=20")
    told = capsys.readouterr().out
    assert "pieces" not in told
    assert "cartpole" in told


def test_a_config_takes_its_tokenizer_from_beside_it_and_its_paths_from_a_root(folder, tmp_path, capsys):
    config = RunConfig().with_sources(json.loads((folder / "sources.json").read_text()))
    config.save(tmp_path / "config.json")
    TextTokenizer.train(["the pole leans left at every step"] * 3, 280).save(tmp_path / "tokenizer.model")
    run(tmp_path / "config.json", "--root", folder, "--rows", 2)
    told = capsys.readouterr().out
    assert "pieces of tokenizer.model" in told
    assert "repair" not in told


def test_a_missing_dataset_is_advice_and_no_crash(folder, tmp_path, capsys):
    (tmp_path / "sources.json").write_text(json.dumps([{"name": "x", "kind": "minari", "path": "nowhere"}]))
    run(tmp_path / "sources.json")
    assert "holds no Minari dataset" in " ".join(capsys.readouterr().out.split())


def test_two_lists_of_sources_are_refused(folder):
    with pytest.raises(ValueError, match="give one of them"):
        report(str(folder / "sources.json"), sources=folder / "control.json")


def test_a_config_without_sources_is_refused():
    with pytest.raises(ValueError, match="no sources"):
        report("gato-79m")
