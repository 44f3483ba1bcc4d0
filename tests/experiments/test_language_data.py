"""Language for any tasks: every file is written, decided by the generator, and scenes do not depend on the tasks."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from gato.envs import Task, select_tasks
from gato.experiments.language_data import write_language

SCENES = ("captions.zip", "questions.zip", "held-out-captions.zip", "held-out-questions.zip")
TEXTS = ("dialogues.jsonl", "text.jsonl")


def write(folder: Path, tasks: list[Task], seed: int = 0) -> dict[str, bytes]:
    folder.mkdir(exist_ok=True)
    write_language(
        folder,
        tasks,
        num_scenes=20,
        num_held_out_scenes=8,
        num_texts=60,
        rng=np.random.default_rng(seed),
        console=Console(file=io.StringIO()),
    )
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return select_tasks(["dark-room"], ["classic_control", "box2d"])


def test_the_same_generator_writes_the_same_files(tmp_path: Path, tasks: list[Task]):
    first, second = write(tmp_path / "a", tasks), write(tmp_path / "b", tasks)
    assert set(first) == {*SCENES, *TEXTS}
    assert first == second
    assert all(first[name] != write(tmp_path / "c", tasks, seed=1)[name] for name in (*SCENES, *TEXTS))


def test_scenes_do_not_depend_on_the_tasks(tmp_path: Path, tasks: list[Task]):
    first, second = write(tmp_path / "a", tasks), write(tmp_path / "b", tasks[:1])
    assert all(first[name] == second[name] for name in SCENES)
    assert all(first[name] != second[name] for name in TEXTS)


def test_dialogues_are_about_the_agent_its_tasks_and_rooms(tmp_path: Path, tasks: list[Task]):
    lines = write(tmp_path / "a", tasks)["dialogues.jsonl"].decode().splitlines()
    assert len(lines) == 60
    assert sum("cells wide" in json.loads(line)["turns"][0]["text"] for line in lines) == 15


def test_files_that_are_there_stay(tmp_path: Path, tasks: list[Task]):
    (tmp_path / "text.jsonl").write_text('{"text": "mine"}\n')
    assert write(tmp_path, tasks)["text.jsonl"] == b'{"text": "mine"}\n'
