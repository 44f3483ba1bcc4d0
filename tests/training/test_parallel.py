"""One run on many devices and processes: the same numbers, the same files, and one end for all."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

from gato.checkpoint import list_checkpoints, load_checkpoint
from gato.config import ParallelConfig
from gato.model.gato import init_parameters, rebuild
from gato.model.loss import loss
from gato.training.parallel import MeshSharding
from gato.training.processes import join_processes
from gato.training.writers import read_metrics

SCRIPT = Path(__file__).with_name("parallel_run.py")
STEPS = 6


def start(folder: Path, *arguments: str | int, devices: int) -> subprocess.Popen:
    flags = f"--xla_force_host_platform_device_count={devices}"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONWARNINGS": "error"}
    command = [sys.executable, str(SCRIPT), str(folder), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def start_pair(folder: Path, *arguments: str | int) -> list[subprocess.Popen]:
    """Two processes of one run, with four devices each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [start(folder, *arguments, "--process", index, 2, port, devices=4) for index in range(2)]


def finish(*processes: subprocess.Popen, status: int = 0) -> None:
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == status, errors[-3000:]


@pytest.fixture(scope="module")
def single(script, tmp_path_factory) -> Path:
    """The run on one device."""
    folder = tmp_path_factory.mktemp("single")
    assert len(jax.devices()) == 1
    script.run(folder, script.make_config(STEPS, ParallelConfig()))
    return folder


def losses(folder: Path) -> dict[tuple[int, str], float]:
    """Of each step, and of the held-out data where it was measured."""
    lines = read_metrics(folder / "metrics.jsonl")
    found = [(line["step"], name, line[name]) for line in lines for name in ("loss", "held_out/loss") if name in line]
    named = {(step, name): value for step, name, value in found}
    assert len(named) == len(found), "nothing is written twice"
    return named


def require_same_losses(folder: Path, single: Path, num_steps: int) -> None:
    ours, theirs = losses(folder), losses(single)
    assert {step for step, name in ours if name == "loss"} == set(range(1, num_steps + 1))
    shared = ours.keys() & theirs.keys()
    assert any(name == "held_out/loss" for _, name in shared)
    assert {key: ours[key] for key in shared} == pytest.approx({key: theirs[key] for key in shared}, abs=1e-5)


def require_same_run(folder: Path, single: Path) -> None:
    """Losses within 1e-5, and parameters and moments within what six updates make of that."""
    require_same_losses(folder, single, STEPS)
    ours, theirs = (load_checkpoint(path, train_state=True) for path in (folder, single))
    assert ours.step == theirs.step == STEPS
    assert ours.data_state == theirs.data_state
    for mine, other in zip(
        jax.tree.leaves((ours.params, ours.train_state)),
        jax.tree.leaves((theirs.params, theirs.train_state)),
        strict=True,
    ):
        assert type(mine) is np.ndarray
        np.testing.assert_allclose(mine, other, atol=2e-4)


@pytest.mark.parametrize(
    "meshes", [("2,2,2",), pytest.param(("8,1,1", "1,8,1", "1,-1,4"), marks=pytest.mark.slow)], ids=str
)
def test_every_mesh_computes_what_one_device_does(single, tmp_path, meshes):
    finish(start(tmp_path, STEPS, *meshes, devices=8))
    for mesh in meshes:
        require_same_run(tmp_path / mesh if len(meshes) > 1 else tmp_path, single)


@pytest.mark.slow
def test_muon_on_eight_devices_computes_what_it_does_on_one(script, tmp_path):
    """With every matrix split along both of its axes."""
    single, split = tmp_path / "single", tmp_path / "split"
    script.run(single, script.make_config(STEPS, ParallelConfig(), "muon"))
    split.mkdir()
    finish(start(split, STEPS, "2,2,2", "--optimizer", "muon", devices=8))
    require_same_run(split, single)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["grouped", "decoded"])
def test_tokens_of_several_numbers_on_eight_devices_compute_what_they_do_on_one(script, tmp_path, layout):
    single, split = tmp_path / "single", tmp_path / "split"
    script.run(single, script.make_config(STEPS, ParallelConfig(), layout=layout))
    split.mkdir()
    finish(start(split, STEPS, "2,2,2", "--layout", layout, devices=8))
    require_same_run(split, single)


def test_a_run_with_tokens_of_several_numbers_is_resumed_to_the_bit(script, tmp_path):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    for folder, num_steps in ((whole, 4), (stopped, 2), (stopped, 4)):
        config = script.make_config(num_steps, ParallelConfig(), layout="decoded", checkpoint_every=2, evaluate_every=0)
        script.run(folder, config, resume=folder == stopped)
    ours, theirs = (load_checkpoint(folder, train_state=True) for folder in (stopped, whole))
    assert ours.step == theirs.step == 4
    assert ours.config.tokenizer.values_per_token == 3
    for mine, other in zip(
        jax.tree.leaves((ours.params, ours.train_state)),
        jax.tree.leaves((theirs.params, theirs.train_state)),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.slow
def test_devices_exchange_gradients_once_a_step_and_not_with_every_chunk_of_targets(tmp_path):
    finish(start(tmp_path, 1, "4,1,1", "--compile", devices=4))
    called, entry = (tmp_path / "step.txt").read_text().split("\nENTRY ")
    assert " while(" in entry, "chunks are scored in a loop"
    assert " all-reduce(" in entry
    assert " all-reduce(" not in called, "what the loop calls exchanges nothing"


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Path:
    """Four steps of two processes with four devices each, sharing parameters among all."""
    folder = tmp_path_factory.mktemp("pair")
    finish(*start_pair(folder, 4, "2,4,1"))
    return folder


def copied(folder: Path, place: Path) -> Path:
    subprocess.run(["cp", "-r", folder, place], check=True)
    return place


def test_two_processes_compute_what_one_device_does_and_write_once(pair, single):
    require_same_losses(pair, single, 4)
    assert [folder.name for folder in list_checkpoints(pair)] == ["00000004"]
    assert not list((pair / "checkpoints").glob(".*"))


def test_a_checkpoint_of_eight_devices_is_continued_on_one(script, pair, single, tmp_path):
    folder = copied(pair, tmp_path / "run")
    script.run(folder, script.make_config(STEPS, ParallelConfig()), resume=True)
    require_same_run(folder, single)


@pytest.mark.slow
def test_a_checkpoint_of_eight_devices_is_continued_on_two(pair, single, tmp_path):
    folder = copied(pair, tmp_path / "run")
    finish(start(folder, STEPS, "1,2,1", "--resume", devices=2))
    require_same_run(folder, single)


@pytest.mark.slow
def test_a_checkpoint_of_one_device_is_continued_by_two_processes(script, single, tmp_path):
    script.run(tmp_path, script.make_config(4, ParallelConfig()))
    finish(*start_pair(tmp_path, STEPS, "1,4,2", "--resume"))
    require_same_run(tmp_path, single)


def wait_for_checkpoint(folder: Path, processes: list[subprocess.Popen]) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        if list_checkpoints(folder):
            return
        time.sleep(0.05)
    raise TimeoutError(f"{folder} has no checkpoint")


@pytest.fixture
def long_pair(tmp_path) -> Iterator[list[subprocess.Popen]]:
    """Two processes in the middle of a long run; ended with the test."""
    processes = start_pair(tmp_path, 100_000, "8,1,1", "--delay", 0.05)
    try:
        wait_for_checkpoint(tmp_path, processes)
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("index", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_sigterm_to_one_process_makes_all_save_the_same_step(script, long_pair, tmp_path, index):
    long_pair[index].send_signal(signal.SIGTERM)
    finish(*long_pair, status=script.INTERRUPTED)
    saved = load_checkpoint(tmp_path, train_state=True)
    assert saved.step == saved.data_state["index"]
    assert read_metrics(tmp_path / "metrics.jsonl")[-1]["step"] in (saved.step - 1, saved.step)
    assert not list((tmp_path / "checkpoints").glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 1])
def test_sigkill_of_one_process_ends_the_other_within_thirty_seconds(long_pair, tmp_path, index):
    long_pair[index].kill()
    long_pair[1 - index].communicate(timeout=30)
    assert long_pair[1 - index].returncode != 0
    assert load_checkpoint(tmp_path).step % 4 == 0


def test_large_matrices_and_their_moments_are_split_and_gains_are_not():
    sharding = MeshSharding(ParallelConfig())
    for name in ("params/transformer/blocks/mlp/up/kernel", "state/opt_state/1/0/mu/transformer/blocks/mlp/up/kernel"):
        assert tuple(sharding.of(name, (2, 32, 64)).spec) == (None, "fsdp", "tensor")
    assert sharding.of("params/transformer/final_norm/scale", (32,)) == sharding.whole
    for name in ("codes", "hidden/kernel", "out/kernel"):
        assert sharding.of(f"params/embedding/groups/{name}", (32, 64)) == sharding.whole


def test_a_mesh_of_other_than_all_devices_is_refused():
    with pytest.raises(ValueError, match=r"data 2 x fsdp 3 x tensor 1 devices, but there are 1: set one"):
        MeshSharding(ParallelConfig(data=2, fsdp=3))
    with pytest.raises(ValueError, match="only one of them can be -1"):
        ParallelConfig(fsdp=-1)


def test_rows_that_the_devices_cannot_share_are_refused(script):
    config = script.make_config(1, ParallelConfig())
    params = init_parameters(config.model, config.tokenizer, jax.random.key(0))
    batch = next(script.Batches(config.tokenizer))
    model = rebuild(config.model, config.tokenizer, params)
    with pytest.raises(ValueError, match="8 rows cannot be shared by 3 groups"):
        loss(model, model(batch), batch, 2, num_row_groups=3)


def test_half_an_address_is_refused():
    with pytest.raises(ValueError, match="give all three, or none"):
        join_processes("localhost:1234")
