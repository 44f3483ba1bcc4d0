import os

import pytest

from gato.cli.main import run


def test_a_reader_that_goes_away_ends_a_command_without_a_traceback(monkeypatch):
    read_end, write_end = os.pipe()
    os.close(read_end)  # as head does when it has seen enough
    with os.fdopen(write_end, "w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        with pytest.raises(SystemExit) as ended:
            run(["tasks", "--json"])
    assert ended.value.code == 141


def test_a_pipe_that_breaks_elsewhere_is_not_taken_for_the_output(monkeypatch):
    def broken():
        raise BrokenPipeError("a worker's pipe")

    monkeypatch.setattr("gato.cli.main.keep_compiled_programs", broken)
    read_end, write_end = os.pipe()
    with os.fdopen(read_end), os.fdopen(write_end, "w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        with pytest.raises(BrokenPipeError, match="a worker's pipe"):
            run(["tasks", "--json"])
