import io

import pytest
from rich.console import Console
from rich.table import Table

from gato.cli.main import run
from gato.cli.whole_table import print_whole

ROW = ("metaworld-pick-place-wall", "1234.5", "reach over the wall and put the puck down behind it")


def printed(*, width: int, terminal: bool) -> str:
    table = Table()
    for heading, fixed in (("task", True), ("score", True), ("about", False)):
        table.add_column(heading, no_wrap=fixed)
    table.add_row(*ROW)
    output = io.StringIO()
    print_whole(Console(file=output, width=width, force_terminal=terminal, color_system=None), table)
    return output.getvalue()


def test_a_pipe_gets_each_row_as_one_line():
    (line,) = [line for line in printed(width=20, terminal=False).splitlines() if ROW[0] in line]
    assert ROW[1] in line
    assert ROW[2] in line


def test_a_narrow_terminal_gets_every_word():
    text = printed(width=50, terminal=True)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 50
    assert all(word in text for cell in ROW for word in cell.split())


def test_where_words_alone_are_wider_than_the_terminal_nothing_is_cropped():
    text = printed(width=20, terminal=True)
    assert "…" not in text
    assert all(word in text for cell in ROW for word in cell.split())


@pytest.mark.parametrize("arguments", [["tasks", "--family", "context"], ["info", "gato-79m", "--chips", "8"]])
def test_commands_print_whole_tables_whatever_the_width(arguments, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    run(arguments)
    text = capsys.readouterr().out
    assert "…" not in text
    assert ("go-to-shown" in text) if arguments[0] == "tasks" else ("arithmetic, ms" in text)


def test_a_column_that_tells_nothing_is_left_out(capsys):
    run(["tasks", "--family", "classic_control"])
    text = capsys.readouterr().out
    assert "expert" in text
    assert "human" not in text  # of Atari games alone
