"""One run at a time uses a folder, and a dead one is not waited for."""

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gato.cli.train import train
from gato.run_files import LOCK_FILE
from gato.training.lock import lock_run

HOLDING = """
import sys, time
from pathlib import Path
from gato.training.lock import lock_run
with lock_run(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(600)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_second_run_is_refused_and_told_who_holds_the_folder(tmp_path):
    with lock_run(tmp_path / "run", print):
        holder = f"process {os.getpid()} on {socket.gethostname()}"
        with pytest.raises(FileExistsError, match=rf"{holder} .* is training in .*: wait for it, end it with SIGTERM"):
            lock_run(tmp_path / "run", print).__enter__()
        with lock_run(tmp_path / "other", print):
            pass
    with lock_run(tmp_path / "run", print):
        pass


def test_lock_of_a_killed_process_does_not_block(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDING, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(FileExistsError, match=f"process {holder.pid} on"):
            lock_run(tmp_path, print).__enter__()
        holder.send_signal(signal.SIGKILL)
    with lock_run(tmp_path, print):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()


def test_file_system_without_locks_is_reported(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    said = []
    with lock_run(tmp_path, said.append):
        pass
    assert len(said) == 1
    assert f"{tmp_path} has no locks" in said[0]


@pytest.mark.parametrize("how", [{"resume": True}, {"overwrite": True}])
def test_refused_run_changes_nothing(tiny, toy, tmp_path, how):
    run = tmp_path / "run"
    toy.toy_train(run, toy.toy_config(num_steps=5))
    (run / "tokenizer.model").write_bytes(b"another")
    (run / "skipped.jsonl").write_text('{"source": "words", "record": 3, "reason": "torn"}\n')
    with lock_run(run, print):
        before = contents(run)
        with pytest.raises(FileExistsError, match="is training in"):
            train(**tiny.arguments(run, **how))
        assert contents(run) == before
    with pytest.raises(FileExistsError, match=r"up to step 5: continue it with --resume"):
        train(**tiny.arguments(run))
    assert contents(run) == before
    with pytest.raises(ValueError, match=r"tokenizer\.model is another text tokenizer"):
        train(**tiny.arguments(run, resume=True))
    assert contents(run).keys() == before.keys()
    assert (run / "tokenizer.model").read_bytes() == b"another"
