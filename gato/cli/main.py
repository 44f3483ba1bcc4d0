"""The console entry point: `gato COMMAND ...`. The module of a command is imported when the command is chosen."""

import ast
import difflib
import importlib
import pkgutil
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from gato.cli.compiled import keep_compiled_programs
from gato.cli.lasting_output import nobody_reads, send_to_nowhere

# Command: its function, as an entry point writes it. The first line of the function's docstring tells what it does.
COMMANDS: dict[str, str] = {
    "quickstart": "gato.cli.quickstart:quickstart",
    "tasks": "gato.cli.tasks:tasks",
    "data report": "gato.cli.data_report:report",
    "data prepare": "gato.cli.data_prepare:prepare",
    "collect": "gato.cli.collect:collect",
    "relabel": "gato.cli.relabel:relabel_tasks",
    "generalist collect": "gato.cli.generalist:collect",
    "measure": "gato.cli.measure:measure",
    "train": "gato.cli.train:train",
    "finetune": "gato.cli.finetune:finetune",
    "report": "gato.cli.report:report",
    "baseline": "gato.cli.baseline_runs:baseline",
    "evaluate": "gato.cli.evaluate:evaluate",
    "exam": "gato.cli.exam:examine",
    "compare": "gato.cli.compare:compare_scores",
    "play": "gato.cli.play:play",
    "chat": "gato.cli.speaking:chat",
    "caption": "gato.cli.speaking:caption",
    "ask": "gato.cli.speaking:ask",
    "info": "gato.cli.info:info",
    "export": "gato.cli.export:export",
    "push": "gato.cli.hub:push",
    "pull": "gato.cli.hub:pull",
}
_HELP = ("-h", "--help")


def run(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; user errors end the program with a message and status 2, not with a traceback.

    Args:
        arguments: the command and what follows it; the program's own if None.
    """
    try:
        try:
            _run(sys.argv[1:] if arguments is None else arguments, is_program=arguments is None)
        finally:
            sys.stdout.flush()  # here and not when the interpreter ends, where nobody could answer an error
    except BrokenPipeError:
        if not nobody_reads(sys.stdout):
            raise
        send_to_nowhere(sys.stdout)
        sys.exit(141)  # as shells report SIGPIPE: nothing went wrong in `gato tasks --json | head`


def command_of(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Returns the command that a command line names, None if there is no such command, and what follows it."""
    for num_words in (2, 1):
        name = " ".join(arguments[:num_words])
        if name in COMMANDS:
            return name, list(arguments[num_words:])
    return None, list(arguments)


def load_command(name: str) -> Callable[..., None]:
    """Imports the function of a command."""
    return pkgutil.resolve_name(COMMANDS[name])


def about(name: str) -> str:
    """Returns what a command does, with its example: read from its source, since importing it would take seconds."""
    module, _, function = COMMANDS[name].partition(":")
    source = Path(__file__).with_name(f"{module.rpartition('.')[2]}.py").read_text(encoding="utf-8")
    (found,) = (node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == function)
    return (ast.get_docstring(found) or "").partition("\n")[0]


def _run(arguments: Sequence[str], *, is_program: bool) -> None:
    try:
        name, rest = command_of(arguments)
        if name is not None:
            keep_compiled_programs()
            if is_program and not set(_HELP) & set(rest):
                # Of a process of its own: whoever calls `run` has the say over theirs.
                importlib.import_module("gato.cli.memory").keep_freed_memory(name)
            importlib.import_module("tyro").cli(load_command(name), prog=f"gato {name}", args=rest)
        elif group := _group_of(arguments):
            print(_help(group))
        else:
            raise ValueError(_unknown(arguments))
    except (ValueError, TypeError, FileNotFoundError, FileExistsError, PermissionError, FloatingPointError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted: what was finished is kept", file=sys.stderr)
        sys.exit(130)  # as shells report SIGINT


def _group_of(arguments: Sequence[str]) -> list[str]:
    """Lists the commands whose help is asked for: all of them, or those whose first word was given alone."""
    words = [argument for argument in arguments if argument not in _HELP]
    if not words:
        return list(COMMANDS)
    return [name for name in COMMANDS if words == name.split()[:1]]


def _help(names: Sequence[str]) -> str:
    """Returns the help of several commands."""
    columns = shutil.get_terminal_size().columns
    widest = max(map(len, names)) + 4
    lines = [
        textwrap.fill(
            about(name),
            max(columns, 2 * widest),
            initial_indent=f"  {name}".ljust(widest),
            subsequent_indent=" " * widest,
            break_on_hyphens=False,
        )
        for name in names
    ]
    text = ["usage: gato COMMAND ...", "", "One agent for control, text and pictures.", "", "commands:", *lines]
    return "\n".join([*text, "", "Options of a command: gato COMMAND --help"])


def _unknown(arguments: Sequence[str]) -> str:
    """Returns a message that names the nearest commands."""
    given = " ".join(arguments[: 2 if any(name.startswith(f"{arguments[0]} ") for name in COMMANDS) else 1])
    near = difflib.get_close_matches(given, COMMANDS)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f"there is no command {given!r}: {hint}`gato --help` lists all"
