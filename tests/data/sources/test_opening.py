"""Every kind of source, opened from its config: the contract that all of them keep."""

import json

import numpy as np
import pytest
from gymnasium.spaces import Discrete

from gato.config import SourceConfig
from gato.data.episode import Dialogue, Document, Episode, ImageText
from gato.data.sources.minari_writer import write_minari
from gato.data.sources.opening import open_source
from gato.data.sources.pictures import write_pictures

IMAGE = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
TURNS = (("user", "what?"), ("agent", "a ball"))


def write_control(path):
    episode = Episode(
        observations=np.arange(4), actions=np.arange(3), rewards=np.zeros(3), terminated=True, truncated=False
    )
    write_minari(path, [episode, episode], Discrete(4), Discrete(3), dataset_id="test/count-v0")


def write_talk(path):
    turns = [{"speaker": speaker, "text": text} for speaker, text in TURNS]
    path.write_text(f"{json.dumps({'turns': turns})}\n" * 2)


# Kind: the name of its file, what writes two records to it, and their type.
KINDS = {
    "minari": ("count", write_control, Episode),
    "text": ("a.jsonl", lambda path: path.write_text('{"text": "a"}\n{"text": "b"}'), Document),
    "dialogue": ("a.jsonl", write_talk, Dialogue),
    "captions": ("a.zip", lambda path: write_pictures(path, [ImageText(image=IMAGE, text="a")] * 2), ImageText),
    "questions": (
        "a.zip",
        lambda path: write_pictures(path, [Dialogue(image=image, turns=TURNS) for image in (IMAGE, 255 - IMAGE)]),
        Dialogue,
    ),
}


@pytest.fixture(params=KINDS)
def source(request, tmp_path):
    name, write, record = KINDS[request.param]
    write(tmp_path / name)
    config = SourceConfig(name=f"my-{request.param}", kind=request.param, path=str(tmp_path / name))
    return open_source(config), record


def test_a_source_has_the_name_of_its_config_and_records_of_its_kind(source):
    opened, record = source
    assert opened.name.startswith("my-")
    assert len(opened) == 2
    assert [type(opened[i]) for i in range(2)] == [record, record]


def test_a_record_is_the_same_every_time(source):
    opened, _ = source
    assert repr(opened[1]) == repr(opened[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_that_does_not_exist_is_refused(kind, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^mine: .*gone"):
        open_source(SourceConfig(name="mine", kind=kind, path=str(tmp_path / "gone")))


@pytest.mark.parametrize("kind", ["text", "dialogue", "captions", "questions"])
def test_a_file_of_another_kind_is_refused(kind, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"other": 1}')
    with pytest.raises(ValueError, match=r"^mine: .*a\.jsonl"):
        open_source(SourceConfig(name="mine", kind=kind, path=str(path)))
