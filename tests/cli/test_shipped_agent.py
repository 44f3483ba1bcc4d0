"""Commands without a run take the agent that comes with the package, or one that is named."""

from pathlib import Path

import pytest

import gato.released
from gato.cli.main import run
from gato.release.shipped import find_weights, outputs_folder, shipped_agents, split_weights


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Two agents, told by their records alone, and a run of one's own."""
    for name in ("generalist", "small"):
        (tmp_path / "installed" / name).mkdir(parents=True)
        (tmp_path / "installed" / name / "release.json").write_text("{}")
    (tmp_path / "installed" / "notes").mkdir()
    monkeypatch.setattr(gato.released, "__path__", [str(tmp_path / "installed")])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "checkpoints").mkdir(parents=True)
    (tmp_path / "cartpole").mkdir()  # a folder of the name of a task
    return tmp_path / "installed"


@pytest.mark.parametrize(
    ("arguments", "weights", "rest"),
    [
        ((), "installed/generalist", []),
        (("cartpole",), "installed/generalist", ["cartpole"]),
        (("small",), "installed/small", []),
        (("small", "cartpole"), "installed/small", ["cartpole"]),
        (("mine", "cartpole"), "mine", ["cartpole"]),
        (("mine",), "mine", []),
        (("nowhere", "cartpole"), "nowhere", ["cartpole"]),  # loading it tells what is wrong
    ],
)
def test_the_first_argument_may_name_weights(shipped, arguments, weights, rest):
    found, others = split_weights(arguments, most=1)
    assert (shipped.parent / found, others) == (shipped.parent / weights, rest)


def test_a_run_of_ones_own_goes_before_a_shipped_agent_of_its_name(shipped):
    assert find_weights("small") == shipped / "small"
    (shipped.parent / "small" / "checkpoints").mkdir(parents=True)
    assert find_weights("small") == Path("small")
    assert list(shipped_agents()) == ["generalist", "small"]


def test_nothing_is_written_among_the_installed_packages(shipped):
    assert outputs_folder(shipped / "generalist") == Path("runs/generalist")
    assert outputs_folder(Path("mine")) == Path("mine")


@pytest.mark.parametrize("command", [["play"], ["chat"], ["evaluate"], ["play", "cartpole"], ["ask", "a.png", "why?"]])
def test_without_a_shipped_agent_one_must_be_named(tmp_path, monkeypatch, capsys, command):
    monkeypatch.setattr(gato.released, "__path__", [str(tmp_path)])
    with pytest.raises(SystemExit):
        run(command)
    assert "no agent 'generalist' comes with this installation: name a run" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["play", "mine", "cartpole", "pendulum"], "gato play takes a run and a task, but"),
        (["ask", "mine", "a.png", "why", "not?"], "a picture and one question are expected, but"),
        (["caption", "mine"], "no picture came"),
    ],
)
def test_arguments_too_many_or_too_few_are_told(shipped, capsys, command, message):
    with pytest.raises(SystemExit):
        run(command)
    assert message in " ".join(capsys.readouterr().err.split())
