"""Files of language for any tasks: captioned scenes, questions about them, dialogues and texts."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
from rich.console import Console

from gato.data.episode import Dialogue, ImageText, Speaker
from gato.data.sources.images import write_images
from gato.envs import Task
from gato.envs.scenes import Scene, descriptions, room_dialogues, scenes
from gato.envs.talk import talks
from gato.files import replace_file

TALK_SHARE = 0.75  # of the dialogues: about the agent and its tasks; the others are about rooms


def write_language(
    folder: Path,
    tasks: Sequence[Task],
    *,
    num_scenes: int,
    num_held_out_scenes: int,
    num_texts: int,
    rng: np.random.Generator,
    console: Console,
) -> None:
    """Writes captions.zip, questions.zip, both again as held-out-*.zip, dialogues.jsonl and text.jsonl, whichever lack.

    Args:
        folder: exists.
        tasks: what dialogues and texts are about, beside rooms and the agent itself.
        num_texts: number of dialogues, and of texts beside Python's documentation.
        rng: decides everything that is drawn, in this order: scenes, dialogues, texts.

    Raises:
        ValueError: there are no tasks.
    """
    training, held_out = scenes(rng, num_scenes, num_held_out_scenes)
    for split, drawn in (("", training), ("held-out-", held_out)):
        captions = (ImageText(image=scene.image, text=scene.caption) for scene in drawn)
        _write_images(folder / f"{split}captions.zip", captions)
        _write_images(folder / f"{split}questions.zip", _questions(drawn))
    num_talks = round(TALK_SHARE * num_texts)
    drawn_dialogues = [*talks(rng, num_talks, tasks), *room_dialogues(rng, num_texts - num_talks)]
    lines = [
        {"turns": [{"speaker": speaker, "text": text} for speaker, text in drawn_dialogues[index]]}
        for index in rng.permutation(num_texts)
    ]
    _write_lines(folder / "dialogues.jsonl", lines)
    texts = [*descriptions(rng, num_texts, tasks), *_documentation()]
    _write_lines(folder / "text.jsonl", [{"text": text} for text in texts])
    console.print(
        f"  {len(training)} scenes with captions and questions ({len(held_out)} more held out), "
        f"{len(lines)} dialogues, {len(texts)} texts"
    )


def _questions(drawn: Sequence[Scene]) -> Iterator[Dialogue]:
    for scene in drawn:
        turns: list[tuple[Speaker, str]] = []
        for question in scene.questions:
            turns += ("user", question.question), ("agent", question.answer)
        yield Dialogue(image=scene.image, turns=tuple(turns))


def _documentation() -> Iterator[str]:
    """Yields the language reference that Python ships as text, paragraph by paragraph."""
    for topic in topics.values():
        yield from (paragraph for part in topic.split("\n\n") if (paragraph := part.strip()))


def _write_images(path: Path, items: Iterator[ImageText] | Iterator[Dialogue]) -> None:
    if not path.exists():
        write_images(path, items)


def _write_lines(path: Path, objects: Sequence[dict]) -> None:
    if not path.exists():
        replace_file(path, "".join(json.dumps(item) + "\n" for item in objects))
