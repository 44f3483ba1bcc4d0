"""Every kind of source, opened from its config: the contract that all of them keep."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Discrete

from gato.config import SourceConfig
from gato.data.episode import Dialogue, Document, Episode, ImageText
from gato.data.sources.formats import FORMATS, find_format
from gato.data.sources.images import write_images
from gato.data.sources.minari_writer import write_minari
from gato.data.sources.opening import open_source

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
    "captions": ("a.zip", lambda path: write_images(path, [ImageText(image=IMAGE, text="a")] * 2), ImageText),
    "questions": (
        "a.zip",
        lambda path: write_images(path, [Dialogue(image=image, turns=TURNS) for image in (IMAGE, 255 - IMAGE)]),
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


@pytest.mark.parametrize("each", FORMATS, ids=lambda each: each.kind)
def test_every_format_of_the_list_is_there_and_its_extra_is_one_of_ours(each):
    assert callable(each.load())
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert each.extra is None or (each.extra in extras and each.extra in extras["all"][0])


@pytest.mark.parametrize(
    "kind, match",
    [
        ("minarri", "source 'mine': kind is 'minarri', did you mean 'minari'?"),
        ("prepard", "kind is 'prepard', did you mean 'prepared'?"),
        ("sound", r"kind is 'sound', expected one of \['minari', 'text', .*'prepared'\]"),
    ],
)
def test_an_unknown_kind_is_refused_with_the_nearest_known_one(kind, match):
    with pytest.raises(ValueError, match=match):
        open_source(SourceConfig(name="mine", kind=kind, path="a"))


@pytest.mark.parametrize(
    "kind, options, match",
    [
        ("text", {"skip_bad": True}, r"kind 'text' has no options \['skip_bad'\], it has \['encoding'\]"),
        ("captions", {"kind": "questions"}, r"no options \['kind'\], it has \['lines', 'columns', 'image_file'\]"),
        ("parquet", {"records": "text", "split": "a"}, r"no options \['split'\], it has \['records', .*'files'\]"),
        ("huggingface", {"row": 1, "hub": True}, r"no options \['row'\], it has \['rows', .*'hub', .*'files'\]"),
        ("huggingface_text", {"table": {}}, r"no options \['table'\]"),
        ("huggingface_text", {"hub": True}, r"kind 'huggingface_text' needs the options \['records'\]"),
    ],
)
def test_options_that_the_kind_does_not_have_or_lacks_are_refused(kind, options, match):
    with pytest.raises(ValueError, match=match):
        open_source(SourceConfig(name="mine", kind=kind, path="a", options=options))


def test_a_missing_library_is_named_with_the_extra_that_brings_it(monkeypatch):
    for name in ("rlds", "rlds_layout", "rlds_values", "tfrecord"):
        monkeypatch.delitem(sys.modules, f"gato.data.sources.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    with pytest.raises(ImportError, match=r"source 'arm': .*google_crc32c.*: pip install 'gato-jax\[rlds\]'"):
        open_source(SourceConfig(name="arm", kind="rlds", path="a"))


def test_formats_and_their_libraries_are_imported_when_opened():
    ask = "import sys, gato.data.sources.opening; print(*{'minari', 'pyarrow', 'datasets', 'av', 'google_crc32c'} & "
    done = subprocess.run([sys.executable, "-c", ask + "set(sys.modules))"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_formats_say_what_their_records_are(source):
    opened, record = source
    expected = {Episode: "episodes", Document: "text", Dialogue: "text", ImageText: "images"}[record]
    yields = find_format(opened.name.removeprefix("my-")).yields
    assert yields == {"images" if opened.name == "my-questions" else expected}
