"""The text that a set of sources holds: what a SentencePiece model is trained on."""

from collections.abc import Iterable, Iterator

from gato.data.episode import Dialogue, Document, Episode, ImageText, Record, Source, tree_leaves


def corpus(sources: Iterable[Source], max_records: int) -> Iterator[str]:
    """Every distinct text of the first `max_records` records of each source, text in observations included.

    A source whose first record holds no text is passed over.
    """
    for source in sources:
        if not len(source) or not any(_texts(source[0])):
            continue
        seen: set[str] = set()
        for index in range(min(len(source), max_records)):
            for text in _texts(source[index]):
                if text and text not in seen:
                    seen.add(text)
                    yield text


def _texts(record: Record) -> Iterator[str]:
    match record:
        case Document():
            yield record.text
        case Dialogue():
            yield from (text for _, text in record.turns)
        case ImageText():
            yield record.text
        case Episode():
            for tree in (record.observations, record.actions):
                for _, leaf in tree_leaves(tree, ""):
                    if isinstance(leaf, list) and isinstance(leaf[0], str):
                        yield from leaf
