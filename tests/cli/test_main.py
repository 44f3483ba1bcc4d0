import inspect
import os
import re
import subprocess
import sys

import pytest

from gato.cli.main import COMMANDS, about, load_command, run


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


def test_the_table_of_commands_is_that_of_their_functions():
    for name in COMMANDS:
        assert inspect.getdoc(load_command(name)).splitlines()[0] == about(name) != "", name


def test_the_list_of_commands_imports_none_of_them():
    program = (
        "import sys; from gato.cli.main import run; run(['--help']); "
        "print(*{'jax', 'flax', 'gymnasium', 'orbax', 'numpy', 'rich', 'tyro'} & sys.modules.keys(), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.split() == []
    assert all(f"  {name} " in done.stdout for name in COMMANDS)


def test_the_help_of_a_command_imports_no_other():
    program = (
        "import atexit, sys; atexit.register(lambda: print('jax' in sys.modules)); "
        "from gato.cli.main import run; run(['tasks', '--help'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "usage: gato tasks" in done.stdout
    assert done.stdout.split()[-1] == "False"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_tells_each_command_with_its_example(arguments, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    run(arguments)
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= 80
    text = " ".join(told.split())
    assert all(about(name) in text for name in COMMANDS)


@pytest.mark.parametrize("arguments", [["data"], ["data", "--help"]])
def test_the_first_word_of_two_lists_what_may_follow(arguments, capsys):
    run(arguments)
    told = capsys.readouterr().out
    assert re.findall(r"^  (\w+(?: \w+)?) ", told, flags=re.MULTILINE) == ["data report", "data prepare"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["trian"], "there is no command 'trian': did you mean 'train'?"),
        (["data", "repot"], "there is no command 'data repot': did you mean 'data report'"),
        (["--verbose"], "there is no command '--verbose': `gato --help` lists all"),
    ],
)
def test_an_unknown_command_names_the_nearest(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        run(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
