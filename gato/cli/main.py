"""The console entry point: `gato COMMAND ...`, one module a command."""

import sys
from collections.abc import Callable

import rich
import tyro

from gato.cli.caption import ask, caption
from gato.cli.chat import chat
from gato.cli.collect import collect
from gato.cli.evaluate import evaluate
from gato.cli.info import info
from gato.cli.play import play
from gato.cli.quickstart import quickstart
from gato.cli.tasks import tasks
from gato.cli.train import train

COMMANDS: dict[str, Callable[..., None]] = {
    "quickstart": quickstart,
    "tasks": tasks,
    "collect": collect,
    "train": train,
    "evaluate": evaluate,
    "play": play,
    "chat": chat,
    "caption": caption,
    "ask": ask,
    "info": info,
}


def main() -> None:
    """Parses the command line and runs one command; user errors end with a message, not a traceback."""
    try:
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="gato", description="One agent for control, text and pictures."
        )
    except (ValueError, TypeError, FileNotFoundError, FileExistsError) as error:
        rich.print(f"[bold red]{type(error).__name__}[/]: {rich.markup.escape(str(error))}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
