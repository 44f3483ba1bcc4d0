"""Damage to a checkpoint is found before one of its weights is used; the run goes on from the one before, or stops."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from gato.checkpoint import DamagedCheckpointError, latest_checkpoint, list_checkpoints, load_checkpoint
from gato.training.run_folder import open_run

KINDS = ("flipped bit", "truncated", "missing", "foreign")


@pytest.fixture(scope="module")
def finished(toy, tmp_path_factory):
    """A run with two good checkpoints, of steps 5 and 10, and a tokenizer."""
    run = tmp_path_factory.mktemp("finished")
    toy.toy_train(run, toy.toy_config(num_steps=10), tokenizer_model=bytes(range(256)))
    return run


@pytest.fixture
def loaded(monkeypatch):
    """The folders whose arrays were read."""
    folders = []
    monkeypatch.setattr("orbax.checkpoint.v1.load", lambda folder, *_, **__: folders.append(folder))
    return folders


def damage(folder: Path, kind: str, rng: np.random.Generator) -> Path:
    """Does the damage to a file drawn at random and returns it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    path = files[rng.integers(len(files))]
    data = bytearray(path.read_bytes())
    match kind:
        case "flipped bit":
            # Blanks between the values of the manifest are the only bytes that mean nothing.
            places = [at for at, byte in enumerate(data) if path.name != "manifest.json" or byte not in b" \n"]
            data[places[rng.integers(len(places))]] ^= 1 << rng.integers(8)
            path.write_bytes(data)
        case "truncated":
            path.write_bytes(data[: rng.integers(len(data) - 1)])
        case "missing":
            path.unlink()
        case "foreign":
            path = path.with_name("of-another-run")
            path.write_bytes(data)
    return path


def assert_found(finished: Path, run: Path, config, kind: str, rng: np.random.Generator, loaded: list) -> None:
    shutil.copytree(finished, run)
    newest = latest_checkpoint(run)
    path = damage(newest, kind, rng)
    with pytest.raises(ValueError):  # a lost manifest makes the folder no checkpoint at all
        load_checkpoint(newest, train_state=True)
    said = []
    found = open_run(run, config, resume=True, overwrite=False, report=said.append)
    assert loaded == []
    assert found == run / "checkpoints" / "00000005"
    (message,) = said
    named = newest if path.name == "manifest.json" and kind == "missing" else path
    assert str(named) in message
    assert "set aside as 00000010.damaged" in message
    shutil.rmtree(run)


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_named_and_the_checkpoint_before_is_used(toy, finished, loaded, tmp_path, kind):
    rng = np.random.default_rng(0)
    for _ in range(3):
        assert_found(finished, tmp_path / "run", toy.toy_config(), kind, rng, loaded)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_found_a_hundred_times_of_a_hundred(toy, finished, loaded, tmp_path, kind):
    rng = np.random.default_rng(1)
    for _ in range(25):
        assert_found(finished, tmp_path / "run", toy.toy_config(), kind, rng, loaded)


def test_run_whose_checkpoints_are_all_damaged_stops_and_keeps_them(toy, finished, loaded, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    rng = np.random.default_rng(2)
    damaged = [damage(folder, "truncated", rng) for folder in list_checkpoints(run)]
    with pytest.raises(DamagedCheckpointError, match=f"no checkpoint of {re.escape(str(run))} is good") as caught:
        toy.toy_train(run, toy.toy_config(), resume=True, tokenizer_model=bytes(range(256)))
    assert all(str(path) in str(caught.value) for path in damaged)
    assert len(list_checkpoints(run)) == 2
    assert loaded == []


def test_run_that_fell_back_ends_like_an_unbroken_one(toy, finished, tmp_path):
    run, tokenizer = tmp_path / "run", bytes(range(256))
    shutil.copytree(finished, run)
    damage(latest_checkpoint(run), "flipped bit", np.random.default_rng(3))
    toy.toy_train(run, toy.toy_config(num_steps=12), resume=True, tokenizer_model=tokenizer)
    toy.toy_train(tmp_path / "unbroken", toy.toy_config(num_steps=12), tokenizer_model=tokenizer)
    mine, other = (load_checkpoint(folder).params for folder in (run, tmp_path / "unbroken"))
    assert {name: leaf.tobytes() for name, leaf in mine.items()} == {
        name: leaf.tobytes() for name, leaf in other.items()
    }


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [("model", "width", 32), ("tokenizer", "patch_size", 8), ("tokenizer", "text_vocab_size", 300)],
)
def test_another_config_is_refused_by_field_before_arrays_are_read(
    toy, finished, loaded, tmp_path, section, field, value
):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    config = toy.toy_config()
    before = getattr(getattr(config, section), field)
    changed = config.override([f"{section}.{field}={value}"])
    with pytest.raises(ValueError, match=re.escape(f"{section}.{field} (saved {before}, given {value})")):
        open_run(run, changed, resume=True, overwrite=False, report=print)
    assert loaded == []
    assert len(list_checkpoints(run)) == 2
