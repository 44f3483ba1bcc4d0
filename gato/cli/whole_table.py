"""Tables on the console from which nothing is cropped, however narrow it is."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

_ANY_WIDTH = 10_000  # wider than any of our tables


def print_whole(console: Console, table: Table) -> None:
    """Prints a table whose cells are complete.

    A terminal that is too narrow folds the lines. What is no terminal, such as a pipe or a file, gets lines as long as
    they are, since it would else be taken for one of 80 columns.
    """
    wanted = Measurement.get(console, console.options.update(max_width=_ANY_WIDTH), table)
    needed = wanted.minimum if console.is_terminal else wanted.maximum
    width = console.width
    console.width = max(width, needed)
    console.print(table, soft_wrap=False)
    console.width = width
