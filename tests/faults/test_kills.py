"""A run that is killed, at any moment, goes on from its last checkpoint and ends as if nothing had happened."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gato.checkpoint import latest_checkpoint, list_checkpoints, load_checkpoint
from gato.cli.train import train
from gato.run_files import METRICS_FILE
from gato.training.writers import read_metrics

TIME_DEPENDENT = {"tokens_per_second", "mfu"}


def timeless(run: Path) -> list[dict]:
    """The metrics of a run without its speed."""
    return [
        {name: value for name, value in line.items() if name not in TIME_DEPENDENT}
        for line in read_metrics(run / METRICS_FILE)
    ]


def leaves(tree: dict, path: str = "") -> dict[str, np.ndarray]:
    if not isinstance(tree, dict):
        return {path: np.asarray(tree)}
    return {name: leaf for key, below in tree.items() for name, leaf in leaves(below, f"{path}/{key}").items()}


def assert_same_end(run: Path, unbroken: Path) -> None:
    """Parameters, optimizer, counters, sums of the interval, place in the data and metrics agree to the bit."""
    one, other = (load_checkpoint(folder, train_state=True) for folder in (run, unbroken))
    assert one.step == other.step
    assert one.data_state == other.data_state
    for mine, theirs in ((one.params, other.params), (one.train_state, other.train_state)):
        mine, theirs = leaves(mine), leaves(theirs)
        assert mine.keys() == theirs.keys()
        assert [name for name in mine if mine[name].tobytes() != theirs[name].tobytes()] == []
    assert timeless(run) == timeless(unbroken)


def unfinished(run: Path) -> list[Path]:
    """What is half-written or half-deleted among the checkpoints."""
    folder = run / "checkpoints"
    return [path for path in folder.iterdir() if not path.name.isdecimal()] if folder.is_dir() else []


def newest_step(run: Path) -> int:
    newest = latest_checkpoint(run)
    return 0 if newest is None else int(newest.name)


def last_written_step(run: Path) -> int:
    lines = read_metrics(run / METRICS_FILE) if (run / METRICS_FILE).exists() else []
    return lines[-1]["step"] if lines else 0


def test_run_killed_inside_a_save_ends_like_an_unbroken_one(toy, tmp_path):
    run, every = tmp_path / "run", 5
    process = subprocess.Popen([sys.executable, toy.__file__, str(run), "100000", "0.002"], env=dict(os.environ))
    try:
        while not (len(list_checkpoints(run)) >= 2 and unfinished(run)):
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    saved, written = newest_step(run), last_written_step(run)
    assert saved % every == 0
    assert written < saved + 2 * every, "a complete interval, and what was trained beside the save that broke off"

    config = toy.toy_config(num_steps=saved + 51)
    toy.toy_train(run, config, resume=True)
    toy.toy_train(tmp_path / "unbroken", config)
    assert_same_end(run, tmp_path / "unbroken")
    assert unfinished(run) == []


@pytest.mark.slow
def test_twenty_kills_at_random_moments_lose_nothing_that_was_saved(tiny, start, tmp_path):
    run, every, rng = tmp_path / "run", 10, np.random.default_rng(0)
    settings = ("training.num_steps=100000", f"training.checkpoint_every={every}", "training.evaluate_every=25")
    lost, inside_saves = [], 0
    for kill in range(20):
        begun_at = newest_step(run)
        child = start(tiny.arguments(run, set=settings, resume=True))
        if kill % 2:
            child.wait_for(lambda begun_at=begun_at: newest_step(run) > begun_at and unfinished(run))
        else:
            child.wait_for(lambda begun_at=begun_at: last_written_step(run) > begun_at)
            time.sleep(rng.uniform(0, 0.5))
        child.process.send_signal(signal.SIGKILL)
        assert child.end()[0] == -signal.SIGKILL
        inside_saves += bool(unfinished(run))
        saved = newest_step(run)
        assert saved >= begun_at
        lost.append(max(last_written_step(run) - saved, 0))
    print(f"{inside_saves} of 20 inside a save; steps lost that were written down: {lost}")
    assert inside_saves >= 5
    assert max(lost) < 2 * every

    end = (f"training.num_steps={newest_step(run) + 57}", *settings[1:])
    train(**tiny.arguments(run, set=end, resume=True))
    train(**tiny.arguments(tmp_path / "unbroken", set=end))
    assert_same_end(run, tmp_path / "unbroken")
    assert unfinished(run) == []
