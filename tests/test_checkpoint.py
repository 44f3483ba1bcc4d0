import hashlib
import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gato.checkpoint import (
    CheckpointWriter,
    DamagedCheckpointError,
    Retention,
    latest_checkpoint,
    list_checkpoints,
    load_checkpoint,
    load_config,
    restore_like,
    save_checkpoint,
    score_of,
    set_aside,
)
from gato.config import RunConfig, TrainingConfig

CONFIG = RunConfig(name="trial", seed=3, training=TrainingConfig(num_steps=7))
TOKENIZER = bytes(range(256))


class Moments(NamedTuple):
    mean: Any
    nothing: tuple


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    moments: tuple
    count: Any


def make_params():
    return {
        "blocks": {"kernel": jnp.arange(6, dtype=jnp.float32).reshape(2, 3) / 7, "half": jnp.ones(3, jnp.bfloat16)},
        "norm": {"scale": jnp.full((4,), np.pi, jnp.float32)},
    }


def make_state():
    return State(moments=(Moments({"a": jnp.array([[1.5, -0.0]])}, ()), ()), count=jnp.int32(2**30))


def save(run: Path, step: int, **changes: Any) -> Path:
    contents = {
        "params": make_params(),
        "train_state": make_state(),
        "data_state": {"index": step, "sources": ["a", "b"]},
        "config": CONFIG,
        "tokenizer_model": TOKENIZER,
    }
    return save_checkpoint(run, step=step, **{**contents, **changes})


@pytest.fixture(scope="module")
def saved_once(tmp_path_factory):
    """A run with one checkpoint; tests read it only."""
    run = tmp_path_factory.mktemp("run")
    return run, save(run, 12)


@pytest.fixture
def saved(saved_once, tmp_path):
    """A copy of the run that a test may damage, and its step folder."""
    for path in saved_once[0].rglob("*"):
        copy = tmp_path / path.relative_to(saved_once[0])
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            copy.mkdir(exist_ok=True)
        else:
            copy.write_bytes(path.read_bytes())
    return tmp_path, tmp_path / "checkpoints" / "00000012"


def equal_trees(left, right):
    return jax.tree.structure(left) == jax.tree.structure(right) and all(
        a.dtype == b.dtype and np.asarray(a).tobytes() == np.asarray(b).tobytes()
        for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    )


@pytest.mark.parametrize("by", ["run", "step"])
def test_everything_comes_back_to_the_bit(saved_once, by):
    run, folder = saved_once
    loaded = load_checkpoint(run if by == "run" else folder, train_state=True)
    assert loaded.step == 12
    assert loaded.config == CONFIG
    assert loaded.tokenizer_model == TOKENIZER
    assert loaded.data_state == {"index": 12, "sources": ["a", "b"]}
    assert equal_trees(loaded.params, make_params())
    assert equal_trees(restore_like(make_state(), loaded.train_state, "state"), make_state())
    assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves((loaded.params, loaded.train_state)))


def test_relative_paths_work(saved_once, monkeypatch):
    monkeypatch.chdir(saved_once[0].parent)
    assert equal_trees(load_checkpoint(Path(saved_once[0].name)).params, make_params())


def test_checkpoint_without_tokenizer_has_none(tmp_path):
    assert load_checkpoint(save(tmp_path, 1, tokenizer_model=None)).tokenizer_model is None


def test_parameters_load_without_the_optimizer(saved):
    run, folder = saved
    for path in [*(folder / "train_state").rglob("*"), folder / "data_state.json"]:
        if path.is_file():
            path.unlink()
    loaded = load_checkpoint(run)
    assert equal_trees(loaded.params, make_params())
    assert loaded.train_state is None
    assert loaded.data_state is None
    assert load_config(run) == CONFIG
    with pytest.raises(DamagedCheckpointError, match="is missing"):
        load_checkpoint(run, train_state=True)


def every_file(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def no_arrays(monkeypatch):
    """Fails the test if an array is read."""

    def read(*_):
        pytest.fail("arrays were read before all files were verified")

    monkeypatch.setattr("orbax.checkpoint.v1.load", read)


def test_a_flipped_bit_in_any_file_is_found_before_use(saved, no_arrays):
    _, folder = saved
    rng = np.random.default_rng(0)
    for path in every_file(folder):
        original = path.read_bytes()
        if not original:
            continue
        data = bytearray(original)
        data[rng.integers(len(data))] ^= 1 << rng.integers(7)
        path.write_bytes(data)
        with pytest.raises(DamagedCheckpointError, match=re.escape(str(path))):
            load_checkpoint(folder, train_state=True)
        path.write_bytes(original)


def test_any_bit_of_the_manifest_matters(saved, no_arrays):
    _, folder = saved
    path = folder / "manifest.json"
    original = path.read_bytes()
    rng = np.random.default_rng(1)
    for place in rng.choice(len(original), 40, replace=False):
        if original[place] in b" \n":  # outside of names and values
            continue
        data = bytearray(original)
        data[place] ^= 1 << rng.integers(7)
        path.write_bytes(data)
        with pytest.raises(ValueError):
            load_checkpoint(folder, train_state=True)


@pytest.mark.parametrize("name", ["params", "config.json", "tokenizer.model"])
@pytest.mark.parametrize("damage", ["truncated", "missing", "grown"])
def test_wrong_files_are_named(saved, no_arrays, name, damage):
    _, folder = saved
    path = max(every_file(folder / name), key=lambda path: path.stat().st_size) if name == "params" else folder / name
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(data[:-1] if damage == "truncated" else data + b"\0")
    with pytest.raises(DamagedCheckpointError, match=re.escape(str(path)) + " (is missing|has .* bytes)"):
        load_checkpoint(folder)


def test_foreign_file_is_refused(saved, no_arrays):
    _, folder = saved
    (folder / "params" / "extra.pkl").write_bytes(b"x")
    with pytest.raises(DamagedCheckpointError, match=r"extra.pkl is not part of the checkpoint: remove it"):
        load_checkpoint(folder)


def test_unknown_format_version_is_refused(saved, no_arrays):
    _, folder = saved
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["sha256"]
    manifest["format_version"] = 99
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({**manifest, "sha256": digest}))
    with pytest.raises(ValueError, match="has checkpoint format 99, this version of gato reads 1"):
        load_checkpoint(folder)


def test_checkpoint_without_manifest_is_incomplete(saved):
    run, folder = saved
    (folder / "manifest.json").unlink()
    assert latest_checkpoint(run) is None
    with pytest.raises(FileNotFoundError, match="holds no complete checkpoint yet"):
        load_checkpoint(run)
    with pytest.raises(DamagedCheckpointError, match=r"00000012 has no manifest.json"):
        load_checkpoint(folder)


def test_nothing_there_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist: expected a run folder or one of its checkpoints"):
        load_checkpoint(tmp_path / "nowhere")


def test_save_that_fails_keeps_the_previous_checkpoint_and_frees_the_room(saved, monkeypatch):
    run, folder = saved

    def no_space(_):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        with pytest.raises(OSError, match=r"step 13 .*No space.*last good one is .*00000012.*--resume"):
            save(run, 13)
    assert list((run / "checkpoints").iterdir()) == [folder]
    assert load_checkpoint(run).step == 12


def test_what_a_killed_save_left_behind_is_swept_by_the_next(saved):
    run, folder = saved
    leftover = run / "checkpoints" / ".unfinished-00000013"
    (leftover / "params").mkdir(parents=True)
    (leftover / "params" / "half").write_bytes(b"half an array")
    assert latest_checkpoint(run) == folder

    newer = save(run, 13)
    assert set((run / "checkpoints").iterdir()) == {folder, newer}


def test_newest_checkpoints_are_kept(tmp_path):
    for step in (5, 100, 20):
        save(tmp_path, step, keep=2)
    assert [folder.name for folder in list_checkpoints(tmp_path)] == ["00000020", "00000100"]
    assert latest_checkpoint(tmp_path).name == "00000100"
    with pytest.raises(ValueError, match="needs 1 or more"):
        save(tmp_path, 101, keep=0)


@pytest.mark.parametrize(
    ("retention", "kept"),
    [
        (Retention(last=1), {50}),
        (Retention(last=3), {30, 40, 50}),
        (Retention(last=1, every=20), {20, 40, 50}),
        (Retention(last=1, best="lowest"), {30, 50}),
        (Retention(last=1, best="highest"), {10, 50}),
        (Retention(last=1, every=40, best="lowest"), {30, 40, 50}),
        (Retention(last=2, best="highest"), {10, 40, 50}),
    ],
)
def test_which_checkpoints_stay(retention, kept):
    scores = {10: 3.0, 20: None, 30: 1.0, 40: 2.0, 50: None}
    assert retention.kept(scores) == kept


def test_the_best_and_every_nth_stay_on_disk(tmp_path):
    retention = Retention(last=1, every=3, best="lowest")
    with CheckpointWriter(tmp_path, CONFIG, tokenizer_model=None, retention=retention) as writer:
        for step, score in ((1, 2.0), (2, 0.5), (3, 0.7), (4, 0.9), (5, None)):
            writer.save(step, params=make_params(), train_state=make_state(), data_state={}, score=score)
    assert [int(folder.name) for folder in list_checkpoints(tmp_path)] == [2, 3, 5]
    assert [score_of(folder) for folder in list_checkpoints(tmp_path)] == [0.5, 0.7, None]


def test_arrays_may_be_donated_as_soon_as_a_save_has_begun(tmp_path):
    params = {"weights": jax.random.normal(jax.random.key(0), (512, 512))}
    expected = np.array(params["weights"])
    overwrite = jax.jit(lambda params: jax.tree.map(lambda leaf: leaf * 0 - 1, params), donate_argnums=0)
    with CheckpointWriter(tmp_path, CONFIG, tokenizer_model=None, retention=Retention()) as writer:
        for step in range(1, 6):
            writer.save(step, params=params, train_state={"count": jnp.int32(step)}, data_state={})
            overwrite(params)
            params = {"weights": jnp.array(expected)}
    for folder in list_checkpoints(tmp_path):
        np.testing.assert_array_equal(load_checkpoint(folder).params["weights"], expected)


def test_a_save_that_failed_in_the_background_is_told_at_the_next_look(tmp_path, monkeypatch):
    def no_space(_):
        raise OSError("No space left on device")

    writer = CheckpointWriter(tmp_path, CONFIG, tokenizer_model=None, retention=Retention())
    monkeypatch.setattr(os, "fsync", no_space)
    writer.save(7, params=make_params(), train_state=make_state(), data_state={})

    def look_until_told():
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            writer.check()
            time.sleep(0.01)

    with pytest.raises(OSError, match=r"step 7 could not be written .*No space.*last good one is None"):
        look_until_told()
    writer.check()  # told once


def test_a_step_is_never_overwritten(saved):
    run, folder = saved
    (folder / "manifest.json").unlink()  # not even an incomplete one
    with pytest.raises(FileExistsError, match="never overwritten"):
        save(run, 12)


def test_set_aside_makes_room_and_hides(saved):
    run, folder = saved
    assert set_aside(folder).name == "00000012.damaged"
    assert latest_checkpoint(run) is None
    save(run, 12)
    assert set_aside(folder).name == "00000012.damaged-2"


def test_leaves_that_do_not_fit_are_named():
    template = {"a": {"w": jax.ShapeDtypeStruct((2, 3), jnp.float32)}, "b": jax.ShapeDtypeStruct((), jnp.int32)}
    stored = {"a": {"w": np.zeros((3, 2), np.float32), "bias": np.zeros(3)}}
    message = r"weights of the checkpoint do not fit .*a/bias is not expected; a/w is float32\[3, 2\], expected "
    message += r"float32\[2, 3\]; b is missing, expected int32\[\]"
    with pytest.raises(ValueError, match=message):
        restore_like(template, stored, "weights")


def test_wrong_dtype_does_not_fit():
    with pytest.raises(ValueError, match=r"w is float32\[2\], expected bfloat16\[2\]"):
        restore_like({"w": jax.ShapeDtypeStruct((2,), jnp.bfloat16)}, {"w": np.zeros(2, np.float32)}, "weights")
