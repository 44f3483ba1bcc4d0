"""Opens the dataset that a source config names."""

from gato.config import SourceConfig
from gato.data.sources.dialogue import DialogueSource
from gato.data.sources.minari import MinariSource
from gato.data.sources.pictures import PictureSource
from gato.data.sources.text import TextSource

AnySource = MinariSource | PictureSource | TextSource | DialogueSource


def open_source(source: SourceConfig) -> AnySource:
    """The records of one source.

    Raises:
        FileNotFoundError, ValueError: the path does not exist, or does not hold what the kind says.
    """
    match source.kind:
        case "minari":
            return MinariSource(source.path, source.name)
        case "captions" | "questions":
            return PictureSource(source.path, source.name, source.kind)
        case "text":
            return TextSource(source.path, source.name)
        case "dialogue":
            return DialogueSource(source.path, source.name)
