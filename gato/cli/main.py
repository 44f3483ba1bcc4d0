"""The console entry point: `gato COMMAND ...`, one module a command."""

import sys
from collections.abc import Callable, Sequence

import tyro

from gato.cli.baseline_runs import baseline
from gato.cli.caption import ask, caption
from gato.cli.chat import chat
from gato.cli.collect import collect
from gato.cli.compare import compare_scores
from gato.cli.compiled import keep_compiled_programs
from gato.cli.data import data
from gato.cli.evaluate import evaluate
from gato.cli.export import export
from gato.cli.finetune import finetune
from gato.cli.hub import pull, push
from gato.cli.info import info
from gato.cli.lasting_output import nobody_reads, send_to_nowhere
from gato.cli.measure import measure
from gato.cli.play import play
from gato.cli.quickstart import quickstart
from gato.cli.report import report
from gato.cli.tasks import tasks
from gato.cli.train import train

COMMANDS: dict[str, Callable[..., None]] = {
    "quickstart": quickstart,
    "tasks": tasks,
    "data": data,
    "collect": collect,
    "measure": measure,
    "train": train,
    "finetune": finetune,
    "report": report,
    "baseline": baseline,
    "evaluate": evaluate,
    "compare": compare_scores,
    "play": play,
    "chat": chat,
    "caption": caption,
    "ask": ask,
    "info": info,
    "export": export,
    "push": push,
    "pull": pull,
}


def run(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; user errors end the program with a message and status 2, not with a traceback.

    Args:
        arguments: the command and what follows it; the program's own if None.
    """
    try:
        try:
            _run(arguments)
        finally:
            sys.stdout.flush()  # here and not when the interpreter ends, where nobody could answer an error
    except BrokenPipeError:
        if not nobody_reads(sys.stdout):
            raise
        send_to_nowhere(sys.stdout)
        sys.exit(141)  # as shells report SIGPIPE: nothing went wrong in `gato tasks --json | head`


def _run(arguments: Sequence[str] | None) -> None:
    try:
        keep_compiled_programs()
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="gato", description="One agent for control, text and pictures.", args=arguments
        )
    except (ValueError, TypeError, FileNotFoundError, FileExistsError, PermissionError, FloatingPointError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted: what was finished is kept", file=sys.stderr)
        sys.exit(130)  # as shells report SIGINT
