"""A full disk or a folder that cannot be written ends a run with a clear message; what was saved stays good."""

import errno
import json
import os
import resource
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gato.checkpoint import list_checkpoints, load_checkpoint
from gato.cli.train import STORAGE_FAILED, train
from gato.config import RunConfig
from gato.files import append_line
from gato.run_files import METRICS_FILE, SKIPPED_FILE
from gato.training.run_folder import open_run
from gato.training.skip_log import SkipLog
from gato.training.writers import JsonlWriter, TensorBoardWriter, read_metrics


@contextmanager
def full_beyond(size_bytes: int) -> Iterator[None]:
    """A disk on which no file can grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_line_of_metrics_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / METRICS_FILE
    writer = JsonlWriter(path, last_step=0)
    writer.write(1, {"loss": 2.5})
    before = path.read_bytes()
    with full_beyond(len(before) + 7), pytest.raises(OSError, match=str(path)) as caught:
        writer.write(2, {"loss": 1.5})
    assert caught.value.errno == errno.EFBIG
    assert path.read_bytes() == before
    writer.write(2, {"loss": 1.5})
    writer.close()
    assert [line["step"] for line in read_metrics(path)] == [1, 2]


def test_metrics_that_cannot_be_rewritten_stay(tmp_path):
    path = tmp_path / METRICS_FILE
    path.write_text('{"step": 1}\n{"step": 2}\n')
    with full_beyond(5), pytest.raises(OSError):
        JsonlWriter(path, last_step=2)
    assert [line["step"] for line in read_metrics(path)] == [1, 2]


def test_foreign_lines_of_metrics_are_named(tmp_path):
    path = tmp_path / METRICS_FILE
    path.write_bytes(b'{"step": 1}\n\0\0\0\n{"step": 3}\n')
    with pytest.raises(ValueError, match=rf"{path}:2 is not JSON .*: move the file away"):
        JsonlWriter(path, last_step=3)
    path.write_text('{"step": 1}\n3\n')
    with pytest.raises(ValueError, match=f"{path}:2 is no JSON object"):
        read_metrics(path)
    path.write_text('{"loss": 1}\n')
    with pytest.raises(ValueError, match=f"{path}:1 has no step"):
        read_metrics(path)


def test_list_of_skipped_records_survives_a_torn_line(tmp_path):
    class Batches:
        source_names = ("arm",)

        def __next__(self):
            return None

        def skipped(self):
            return {"arm": {3: "torn", 8: "torn too"}}

    (tmp_path / SKIPPED_FILE).write_text('{"source": "arm", "record": 3, "reason": "torn"}\n{"source": "ar')
    said = []

    class Listening:
        def print(self, text, **_):
            said.append(text)

    next(SkipLog(Batches(), tmp_path, Listening(), resume=True))
    assert said == ["skipped torn too"]
    with (tmp_path / SKIPPED_FILE).open("ab", buffering=0) as file:
        append_line(file, {"source": "arm", "record": 9})
    lines = (tmp_path / SKIPPED_FILE).read_text().splitlines()
    assert [json.loads(line)["record"] for line in lines] == [3, 8, 9]


def scalars(folder: Path) -> list[tuple[int, dict[str, float]]]:
    """Steps and values of the TensorBoard files of a folder, by the format's description."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    found = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            (size,) = struct.unpack("<Q", data[:8])
            event = event_pb2.Event.FromString(data[12 : 12 + size])
            found.append((event.step, {value.tag: value.simple_value for value in event.summary.value}))
            data = data[16 + size :]
    return found


def test_tensorboard_on_a_full_disk_fails_and_does_not_hang(tmp_path):
    pytest.importorskip("tensorboardX")
    writer = TensorBoardWriter(tmp_path, last_step=0)
    writer.write(1, {"loss/words": 0.5})
    with full_beyond(300), pytest.raises(OSError, match="tfevents"):
        writer.write(2, {f"loss/{source}": 1.0 for source in range(500)})
    writer.write(2, {"loss/words": 0.25})
    writer.close()
    assert [found for found in scalars(tmp_path) if found[1]] == [(1, {"loss/words": 0.5}), (2, {"loss/words": 0.25})]


def test_tensorboard_files_are_those_of_its_package(tmp_path):
    package = pytest.importorskip("tensorboardX")
    ours = TensorBoardWriter(tmp_path / "ours", last_step=6)
    theirs = package.SummaryWriter(str(tmp_path / "theirs"), purge_step=7)
    for step in (7, 8):
        ours.write(step, {"loss/words": 1 / step})
        theirs.add_scalar("loss/words", 1 / step, step)
    ours.close()
    theirs.close()
    (path,) = (tmp_path / "ours").iterdir()
    (other,) = (tmp_path / "theirs").iterdir()
    assert path.name.rpartition(".tfevents.")[0] == other.name.rpartition(".tfevents.")[0]
    written, expected = (scalars(tmp_path / name) for name in ("ours", "theirs"))
    assert [found for found in written if found[1]] == [found for found in expected if found[1]]
    assert 7 in [step for step, values in written if not values]  # where what was written before is purged


def test_config_that_cannot_be_rewritten_stays(tmp_path):
    config = RunConfig(name="first")
    open_run(tmp_path, config, resume=False, overwrite=False, report=print)
    with full_beyond(100), pytest.raises(OSError, match=r"config\.json"):
        open_run(tmp_path, RunConfig(name="second"), resume=True, overwrite=False, report=print)
    assert RunConfig.load(tmp_path / "config.json") == config


def test_run_on_a_full_disk_stops_keeps_its_checkpoint_and_goes_on_when_there_is_room(toy, tmp_path, monkeypatch):
    run, config = tmp_path / "run", toy.toy_config()
    toy.toy_train(run, toy.toy_config(num_steps=5))

    def no_room(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_room)  # every file of a checkpoint is brought to the disk
        with pytest.raises(
            OSError, match=r"step 10 could not be written \(.*No space left.*last good one is .*00000005"
        ):
            toy.toy_train(run, config, resume=True)
    assert [folder.name for folder in list_checkpoints(run)] == ["00000005"]
    load_checkpoint(run, train_state=True)

    toy.toy_train(run, config, resume=True)
    toy.toy_train(tmp_path / "unbroken", config)
    one, other = (load_checkpoint(folder, train_state=True) for folder in (run, tmp_path / "unbroken"))
    assert one.params["table"].tobytes() == other.params["table"].tobytes()
    assert one.data_state == other.data_state
    assert all(path.name.isdecimal() for path in (run / "checkpoints").iterdir())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "x/metrics.jsonl"), "can be written and has room"),
        (PermissionError(errno.EACCES, "Permission denied", "x/run.lock"), "can be written and has room"),
        (OSError("the checkpoint of step 10 could not be written"), "step 10 could not be written\n"),
    ],
)
def test_failed_storage_has_an_exit_status_of_its_own(tiny, tmp_path, monkeypatch, capsys, error, words):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("gato.cli.train.train_run", fail)
    with pytest.raises(SystemExit) as caught:
        train(**tiny.arguments(tmp_path))
    assert caught.value.code == STORAGE_FAILED
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_process_on_a_full_disk_ends_with_its_status_and_a_later_one_goes_on(tiny, start, tmp_path):
    run = tmp_path / "run"
    train(**tiny.arguments(run, set=["training.num_steps=10"]))
    status, _, errors = start(tiny.arguments(run, resume=True, file_limit_bytes=20_000)).end()
    assert status == STORAGE_FAILED
    assert "the checkpoint of step 15 could not be written" in errors
    assert "00000010" in errors
    assert [folder.name for folder in list_checkpoints(run)] == ["00000005", "00000010"]
    train(**tiny.arguments(run, resume=True))
    assert load_checkpoint(run).step == 60


@pytest.mark.slow
def test_folder_that_becomes_read_only_ends_the_run_and_keeps_its_checkpoint(tiny, start, tmp_path):
    run = tmp_path / "run"
    child = start(tiny.arguments(run, set=["training.num_steps=100000"], respect_permissions=True))
    child.wait_for(lambda: list_checkpoints(run))
    folder = run / "checkpoints"
    folder.chmod(0o555)
    status, _, errors = child.end()
    assert status == STORAGE_FAILED
    assert "Permission denied" in errors
    assert str(run) in errors
    step = load_checkpoint(run, train_state=True).step
    status, _, errors = start(tiny.arguments(run, resume=True, respect_permissions=True)).end()
    assert status == STORAGE_FAILED
    folder.chmod(0o755)
    train(**tiny.arguments(run, set=[f"training.num_steps={step + 5}"], resume=True))
    assert load_checkpoint(run).step == step + 5


@pytest.mark.slow
def test_read_only_run_folder_is_said_before_training(tiny, start, tmp_path):
    tmp_path.chmod(0o555)
    status, _, errors = start(tiny.arguments(tmp_path / "run", respect_permissions=True)).end()
    assert status == STORAGE_FAILED
    assert f"Permission denied: '{tmp_path / 'run'}'" in errors
    tmp_path.chmod(0o755)
    assert os.listdir(tmp_path) == []
