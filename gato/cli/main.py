"""The console entry point: `gato COMMAND ...`. The module of a command is imported when the command is chosen."""

import difflib
import importlib
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence

from gato.cli.compiled import keep_compiled_programs
from gato.cli.lasting_output import nobody_reads, send_to_nowhere

# Command: its module in gato.cli, its function there, and the first line of that function's docstring.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "quickstart": (
        "quickstart",
        "quickstart",
        "Makes data, trains one network, measures it and writes a report. Example: gato quickstart",
    ),
    "tasks": ("tasks", "tasks", "Lists the tasks. Example: gato tasks --family babyai"),
    "data report": (
        "data_report",
        "report",
        "Measures the data of a run. Example: gato data report sources.json --html report.html",
    ),
    "data prepare": (
        "data_prepare",
        "prepare",
        "Encodes the sources of a run. Example: gato data prepare gato-79m --sources sources.json --out prepared",
    ),
    "collect": (
        "collect",
        "collect",
        "Records expert demonstrations. Example: gato collect cartpole 'babyai-go-to-*' --episodes 50",
    ),
    "measure": (
        "measure",
        "measure",
        "Measures the random policy and the expert of each task. Example: gato measure --family sokoban",
    ),
    "train": (
        "train",
        "train",
        "Trains a network. Example: gato train gato-79m --sources sources.json --run runs/mine",
    ),
    "finetune": (
        "finetune",
        "finetune",
        "Fine-tunes a checkpoint on few episodes of a task. Example: gato finetune runs/mine --sources new.json",
    ),
    "report": (
        "report",
        "report",
        "Draws the losses, the optimizer and the speed of a run. Example: gato report runs/mine",
    ),
    "baseline": (
        "baseline_runs",
        "baseline",
        "Trains what a run is compared with, on its demonstrations. Example: gato baseline bc runs/mine",
    ),
    "evaluate": (
        "evaluate",
        "evaluate",
        "Measures an agent. Example: gato evaluate runs/quickstart --tasks cartpole --episodes 50",
    ),
    "compare": (
        "compare",
        "compare_scores",
        "Compares two measurements. Example: gato compare runs/before runs/after --out comparison",
    ),
    "play": ("play", "play", "Plays a task and shows it. Example: gato play runs/quickstart lunar-lander"),
    "chat": ("chat", "chat", "Talks until the input ends (Ctrl-D). Example: gato chat runs/quickstart"),
    "caption": ("caption", "caption", "Describes pictures. Example: gato caption runs/quickstart picture.png"),
    "ask": (
        "caption",
        "ask",
        'Answers a question about a picture. Example: gato ask runs/quickstart picture.png "what color is the key?"',
    ),
    "info": ("info", "info", "States sizes, FLOPs and memory of a run. Example: gato info gato-364m"),
    "export": (
        "export",
        "export",
        "Writes weights to share. Example: gato export runs/quickstart agent --license apache-2.0",
    ),
    "push": ("hub", "push", "Uploads what `gato export` wrote (extra: hub). Example: gato push agent me/agent"),
    "pull": ("hub", "pull", "Fetches and verifies a release (extra: hub). Example: gato pull me/agent agent"),
}
_HELP = ("-h", "--help")


def run(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; user errors end the program with a message and status 2, not with a traceback.

    Args:
        arguments: the command and what follows it; the program's own if None.
    """
    try:
        try:
            _run(sys.argv[1:] if arguments is None else arguments)
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
    module, function, _ = COMMANDS[name]
    return getattr(importlib.import_module(f"gato.cli.{module}"), function)


def _run(arguments: Sequence[str]) -> None:
    try:
        name, rest = command_of(arguments)
        if name is not None:
            keep_compiled_programs()
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
            COMMANDS[name][2],
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
