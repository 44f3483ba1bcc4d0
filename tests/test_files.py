import errno
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from gato.files import (
    append_line,
    continue_lines,
    lock_file,
    new_file,
    new_folder,
    read_lines,
    remove_leftovers,
    replace_file,
    replace_json,
)

KILLED = """
import os, signal, sys
from pathlib import Path
from gato.files import new_folder
with new_folder(Path(sys.argv[1])) as partial:
    (partial / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
HOLDING = """
import sys, time
from pathlib import Path
from gato.files import lock_file
held = lock_file(Path(sys.argv[1]))
held.write("mine")
held.flush()
print("held", flush=True)
time.sleep(20)  # so that a failure does not wait for long
"""


@contextmanager
def full_beyond(size_bytes):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def wait_between(begun, over):
    begun.set()
    over.wait(60)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "scores.json"
    replace_file(path, "früher")
    assert path.read_bytes() == "früher".encode()
    with full_beyond(5), pytest.raises(OSError, match=r"scores\.json") as caught:
        replace_file(path, b"longer than that")
    assert caught.value.errno == errno.EFBIG
    assert path.read_text(encoding="utf-8") == "früher"
    assert names(tmp_path) == ["scores.json"]
    replace_file(path, b"later")
    assert path.read_bytes() == b"later"


def test_error_of_a_missing_folder_names_the_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent/a\.txt"):
        replace_file(tmp_path / "absent" / "a.txt", b"")


def test_json_that_no_reader_would_take_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "scores.json"
    replace_json(path, {"mean": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        replace_json(path, {"mean": float("nan")})
    assert path.read_text() == '{\n  "mean": 0.5\n}\n'


def test_folder_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "above" / "data"
    with new_folder(path) as partial:
        (partial / "a").write_text("a")
        assert not path.exists()
        assert partial.parent == path.parent
    assert names(path) == ["a"]
    assert names(path.parent) == ["data"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("make", [new_file, new_folder])
@pytest.mark.parametrize("written", [False, True])
def test_nothing_stays_of_what_was_given_up(tmp_path, make, written, error):
    def give_up():
        with make(tmp_path / "data") as partial:
            if written:
                (partial / "a" if partial.is_dir() else partial).write_text("a")
            raise error

    with pytest.raises(error):
        give_up()
    assert names(tmp_path) == []


@pytest.mark.parametrize("make", [new_file, new_folder])
def test_what_exists_is_never_replaced_by_something_new(tmp_path, make):
    (tmp_path / "taken").write_text("a")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("taken", "link"):
        with pytest.raises(FileExistsError, match=f"{name} exists: delete it or choose another path"):
            make(tmp_path / name).__enter__()
    with pytest.raises(FileExistsError, match="taken exists: think again"):
        make(tmp_path / "taken", remedy="think again").__enter__()
    assert (tmp_path / "taken").read_text() == "a"


def test_killed_writer_leaves_nothing_under_the_name_and_its_leftover_can_be_removed(tmp_path):
    path = tmp_path / "data[1]"  # brackets mean nothing special
    status = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode
    assert status == -signal.SIGKILL
    (leftover,) = tmp_path.iterdir()
    assert leftover.name.startswith(".data[1].partial-")
    (tmp_path / ".data1.partial-3").touch()
    remove_leftovers(path)
    assert names(tmp_path) == [".data1.partial-3"]
    with new_folder(path):
        pass
    assert path.is_dir()


def test_leftover_of_the_same_process_number_is_named(tmp_path):
    leftover = tmp_path / f".data.partial-{os.getpid()}"
    leftover.mkdir()
    with pytest.raises(FileExistsError, match=f"{leftover.name} is left over .*: remove it"):
        new_folder(tmp_path / "data").__enter__()
    assert leftover.is_dir()


def test_lines_go_on_after_one_that_a_crash_cut(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"n": 1}\n{"n": 2}\n{"n"')
    entries = read_lines(path)
    assert entries == [{"n": 1}, {"n": 2}]
    with continue_lines(path, entries) as file:
        append_line(file, {"n": 3})
        assert path.read_text() == '{"n": 1}\n{"n": 2}\n{"n": 3}\n'
        with pytest.raises(ValueError, match="not JSON compliant"):
            append_line(file, {"n": float("inf")})
    assert [entry["n"] for entry in read_lines(path)] == [1, 2, 3]


def test_line_that_finds_no_room_is_taken_back(tmp_path):
    path = tmp_path / "log.jsonl"
    with continue_lines(path, [{"n": 1}]) as file:
        with full_beyond(12), pytest.raises(OSError, match=r"log\.jsonl"):
            append_line(file, {"n": 2})
        append_line(file, {"n": 3})
    assert [entry["n"] for entry in read_lines(path)] == [1, 3]


def test_damaged_line_is_named_with_the_remedy(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"n": 1}\n{"n"\n{"n": 3}\n')
    with pytest.raises(ValueError, match=r"log\.jsonl:2 is not JSON .*: move the file away"):
        read_lines(path)
    path.write_text('{"n": 1}\n3\n')
    with pytest.raises(ValueError, match=r"log\.jsonl:2 is no JSON object: begin anew"):
        read_lines(path, remedy="begin anew")


def test_lock_is_held_until_the_file_is_closed(tmp_path):
    path = tmp_path / "run.lock"
    path.write_text("kept")
    with lock_file(path), pytest.raises(BlockingIOError, match=r"run\.lock is locked"):
        lock_file(path)
    lock_file(path).close()
    assert path.read_text() == "kept"


def test_lock_ends_with_a_killed_process_and_its_content_can_be_read(tmp_path):
    path = tmp_path / "run.lock"
    with subprocess.Popen([sys.executable, "-c", HOLDING, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BlockingIOError):
            lock_file(path)
        assert path.read_text() == "mine"
        holder.send_signal(signal.SIGKILL)
    lock_file(path).close()


def test_workers_do_not_keep_the_lock(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    begun, over = spawn.Event(), spawn.Event()
    held = lock_file(tmp_path / "run.lock")
    worker = spawn.Process(target=wait_between, args=(begun, over))
    worker.start()
    assert begun.wait(60)
    held.close()
    lock_file(tmp_path / "run.lock").close()
    over.set()
    worker.join()


def test_file_system_without_locks_is_an_error(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(OSError) as caught:  # and no other kind of lock in its place, which a killed run would leave
        lock_file(tmp_path / "run.lock")
    assert caught.value.errno == errno.ENOLCK
