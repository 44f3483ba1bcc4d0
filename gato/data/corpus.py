"""The text that a set of sources holds: what a SentencePiece model is trained on."""

from collections.abc import Collection, Iterable, Iterator

from gato.data.episode import Dialogue, Document, Episode, ImageText, Record, Source, tree_leaves
from gato.data.reading import readable


def corpus(sources: Iterable[Source], max_records: int, *, skip_bad: Collection[str] = ()) -> Iterator[str]:
    """Yields every distinct text of the first `max_records` records of each source, text in observations included.

    A source whose first record holds no text is passed over.

    Args:
        skip_bad: names of sources whose records are passed over where they cannot be read.

    Raises:
        ValueError, OSError: a record of another source cannot be read.
    """
    for source in sources:
        seen: set[str] = set()
        first = range(min(len(source), max_records))
        for place, (_, record) in enumerate(readable(source, first, skip_bad=source.name in skip_bad)):
            texts = list(_texts(record))
            if not place and not any(texts):
                break
            for text in texts:
                if text and text not in seen:
                    seen.add(text)
                    yield text


def _texts(record: Record) -> Iterator[str]:
    match record:
        case Document() | ImageText():
            yield record.text
        case Dialogue():
            yield from (text for _, text in record.turns)
        case Episode():
            for tree in (record.observations, record.actions):
                for _, leaf in tree_leaves(tree, ""):
                    if isinstance(leaf, list) and isinstance(leaf[0], str):
                        yield from leaf
