"""Reading the records of a source one after another, where some may be bad; and saying where one is."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from gato.data.episode import Records

_Item = TypeVar("_Item")


def readable(
    source: Records[_Item],
    indices: Iterable[int] | None = None,
    *,
    skip_bad: bool,
    problems: list[str] | None = None,
) -> Iterator[tuple[int, _Item]]:
    """Yields (index, record) for the records that can be read.

    Args:
        source: records, or what is made of them when they are asked for.
        indices: which, in this order; None reads all.
        skip_bad: passes over a record that cannot be read.
        problems: gets the message of each record passed over.

    Raises:
        ValueError, OSError: a record cannot be read, and bad ones are not skipped.
    """
    for index in range(len(source)) if indices is None else indices:
        try:
            record = source[int(index)]
        except (ValueError, OSError) as error:
            if not skip_bad:
                raise
            if problems is not None:
                problems.append(str(error))
            continue
        yield int(index), record


@contextmanager
def located(where: str, kinds: tuple[type[Exception], ...] = (ValueError,)) -> Iterator[None]:
    """Makes every error of these kinds from within a ValueError whose message begins with the place."""
    try:
        yield
    except kinds as error:
        raise ValueError(f"{where}: {error}") from error
