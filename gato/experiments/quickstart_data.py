"""What the quickstart learns from: local experts' demonstrations, generated scenes and Python's documentation."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
from rich.console import Console

from gato.data.episode import Dialogue, ImageText, Speaker
from gato.data.sources.images import write_images
from gato.envs import select_tasks
from gato.envs.scenes import Scene, descriptions, dialogues, scenes
from gato.experiments.recording import Recording
from gato.experiments.recording_pool import record_all
from gato.files import replace_file

DEMONSTRATIONS = (
    Recording(task="cartpole", episodes=120, noise=(0.0, 0.4), keep="all"),
    Recording(task="pendulum", episodes=600, noise=(0.0, 0.8), keep="all"),
    Recording(task="mountain-car-continuous", episodes=300, noise=(0.0, 0.3)),
    Recording(task="acrobot", episodes=400, noise=(0.0, 0.3)),
    Recording(task="lunar-lander", episodes=1_000, noise=(0.0, 0.6), keep="all"),
    Recording(task="babyai-go-to-red-ball-grey-pixels", episodes=3_000, noise=(0.0, 0.3), keep="all"),
    Recording(task="babyai-go-to-local-pixels", episodes=6_000, noise=(0.0, 0.3), keep="all"),
    Recording(task="dark-room", episodes=4_000, keep="all"),
)
# The tasks that texts and dialogues are about: few enough for a small network.
DESCRIBED_FAMILIES = ("classic_control", "toy_text", "box2d")
DESCRIBED_TASKS = (
    "babyai-go-to-red-ball-grey",
    "babyai-go-to-local",
    "babyai-open-door",
    "babyai-pickup-loc",
    "dark-room",
)
NUM_SCENES = 20_000
NUM_HELD_OUT_SCENES = 400
NUM_TEXTS = 4_000


def prepare(folder: Path, *, share: float, seed: int, console: Console) -> None:
    """Makes every dataset of the quickstart that is not in the folder yet.

    Args:
        share: fraction of the full amount of everything; 1 for the real thing.
    """
    recordings = [
        dataclasses.replace(full, episodes=max(round(full.episodes * share), 4), seed=seed) for full in DEMONSTRATIONS
    ]
    record_all(recordings, folder / "demonstrations", 2, console)
    rng = np.random.default_rng(seed)
    training, held_out = scenes(rng, max(round(NUM_SCENES * share), 20), max(round(NUM_HELD_OUT_SCENES * share), 8))
    for split, drawn in (("", training), ("held-out-", held_out)):
        captions = (ImageText(image=scene.image, text=scene.caption) for scene in drawn)
        _write_images(folder / f"{split}captions.zip", captions)
        _write_images(folder / f"{split}questions.zip", _questions(drawn))
    num_texts = max(round(NUM_TEXTS * share), 40)
    tasks = select_tasks(DESCRIBED_TASKS, DESCRIBED_FAMILIES)
    talks = [
        {"turns": [{"speaker": who, "text": text} for who, text in talk]} for talk in dialogues(rng, num_texts, tasks)
    ]
    _write_lines(folder / "dialogues.jsonl", talks)
    texts = [*descriptions(rng, num_texts, tasks), *_documentation()]
    _write_lines(folder / "text.jsonl", [{"text": text} for text in texts])
    console.print(
        f"  {len(training)} scenes with captions and questions ({len(held_out)} more held out), "
        f"{len(talks)} dialogues, {len(texts)} texts"
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
