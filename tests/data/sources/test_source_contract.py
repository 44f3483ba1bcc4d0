"""What every source promises, whatever its format: one list of small datasets, one test a promise."""

import copy
import dataclasses
import io
import json
import multiprocessing
import operator
import pickle
import random
import struct
import subprocess
import sys
import tarfile
import warnings
from concurrent.futures import ThreadPoolExecutor

import datasets
import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from array_record.python.array_record_module import ArrayRecordWriter
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, Text, Tuple
from PIL import Image

from gato.data.episode import Dialogue, Document, Episode, ImageText
from gato.data.sources import huggingface, parquet
from gato.data.sources.dialogue import DialogueSource
from gato.data.sources.episode_table import EpisodeOptions
from gato.data.sources.images import ImageSource, write_images
from gato.data.sources.language_table import LanguageOptions
from gato.data.sources.lerobot import LeRobotSource
from gato.data.sources.memory import MemoryControlSource, MemorySource
from gato.data.sources.minari import MinariSource
from gato.data.sources.minari_writer import write_minari
from gato.data.sources.rlds import RldsSource
from gato.data.sources.text import TextSource
from gato.data.sources.webdataset import WebdatasetSource

TABLE = huggingface.TableOptions()
NUM_RECORDS = 6
OBSERVATION_SPACE = Dict(
    {"camera": Box(0, 255, (8, 8, 3), np.uint8), "body": Tuple((Box(-9, 9, (2,)), MultiBinary(3))), "goal": Text(9)}
)
ACTION_SPACE = Discrete(4)


def episode(number):
    rng = np.random.default_rng(number)
    length = 2 + number
    observations = {
        "camera": rng.integers(0, 256, (length + 1, 8, 8, 3), np.uint8),
        "body": (
            rng.uniform(-9, 9, (length + 1, 2)).astype(np.float32),
            rng.integers(0, 2, (length + 1, 3), np.int8),
        ),
        "goal": ["red"] * (length + 1),
    }
    return Episode(
        observations=observations,
        actions=rng.integers(0, 4, length),
        rewards=rng.normal(size=length),
        terminated=number % 2 == 0,
        truncated=number % 2 == 1,
        seed=number,
        options={"goal": number % 3},
    )


def picture(number):
    return np.random.default_rng(number).integers(0, 256, (5, 7, 3), np.uint8)


def png(pixels):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def make_minari(path):
    write_minari(path / "set", map(episode, range(NUM_RECORDS)), OBSERVATION_SPACE, ACTION_SPACE, dataset_id="a-v0")
    return MinariSource, (str(path / "set"), "mine"), {}


def make_text(path):
    for number in range(NUM_RECORDS):
        (path / f"{number}.txt").write_text(f"document {number}")
    return TextSource, (str(path), "mine"), {}


def make_dialogue(path):
    turns = [[{"speaker": "user", "text": f"{i}?"}, {"speaker": "agent", "text": f"{i}."}] for i in range(NUM_RECORDS)]
    (path / "a.jsonl").write_text("\n".join(json.dumps({"turns": each}) for each in turns))
    return DialogueSource, (str(path), "mine"), {}


def make_captions(path):
    lines = [json.dumps({"image": f"{number}.png", "caption": f"picture {number}"}) for number in range(NUM_RECORDS)]
    (path / "a.jsonl").write_text("\n".join(lines))
    for number in range(NUM_RECORDS):
        (path / f"{number}.png").write_bytes(png(picture(number)))
    return ImageSource, (str(path), "mine", "captions"), {}


def make_captions_zip(path):
    write_images(path / "a.zip", [ImageText(image=picture(i), text=f"picture {i}") for i in range(NUM_RECORDS)])
    return ImageSource, (str(path / "a.zip"), "mine", "captions"), {}


def make_questions_zip(path):
    turns = [(("user", f"{number}?"), ("agent", f"{number}.")) for number in range(NUM_RECORDS)]
    write_images(path / "a.zip", [Dialogue(image=picture(i), turns=turns[i]) for i in range(NUM_RECORDS)])
    return ImageSource, (str(path / "a.zip"), "mine", "questions"), {}


def write_shards(path, ending, text_of):
    for shard in range(2):
        with tarfile.open(path / f"part-{shard}.tar", "w") as archive:
            for number in range(shard * 3, shard * 3 + 3):
                for name, content in ((f"{number}.png", png(picture(number))), (f"{number}.{ending}", text_of(number))):
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))


def make_webdataset(path):
    write_shards(path, "txt", lambda number: f"picture {number}".encode())
    return WebdatasetSource, (f"{path}/part-{{0..1}}.tar", "mine"), {}


def make_webdataset_questions(path):
    write_shards(path, "json", lambda number: json.dumps({"q": f"{number}?", "a": f"{number}."}).encode())
    return WebdatasetSource, (str(path), "mine"), {"question": "q", "answer": "a"}


def message(number, content):
    size, length = len(content), b""
    while size >= 0x80:
        size, length = size >> 7, length + bytes([size & 0x7F | 0x80])
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def rlds_record(number):
    steps = 3 + number
    rng = np.random.default_rng(number)
    last = bytes([0] * (steps - 1) + [1])
    pictures = [png(rng.integers(0, 256, (8, 8, 3), np.uint8)) for _ in range(steps)]
    features = {
        "observation/camera": message(1, b"".join(message(1, each) for each in pictures)),
        "observation/state": message(2, message(1, rng.normal(size=(steps, 2)).astype("<f4").tobytes())),
        "instruction": message(1, message(1, f"task {number % 2}".encode()) * steps),
        "action": message(3, message(1, rng.integers(0, 4, steps, np.uint8).tobytes())),
        "reward": message(2, message(1, rng.normal(size=steps).astype("<f4").tobytes())),
        "is_last": message(3, message(1, last)),
        "is_terminal": message(3, message(1, last)),
    }
    entries = [message(1, f"steps/{key}".encode()) + message(2, value) for key, value in features.items()]
    return message(1, b"".join(message(1, entry) for entry in entries))


def frame(data):
    def masked(part):
        crc = google_crc32c.value(part)
        return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)

    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def rlds_folder(path, file_format):
    def tensor(dtype, *sizes):
        return {"tensor": {"shape": {"dimensions": list(map(str, sizes))}, "dtype": dtype, "encoding": "none"}}

    camera = {"image": {"shape": {"dimensions": ["8", "8", "3"]}, "dtype": "uint8", "encodingFormat": "png"}}
    step = {
        "observation": {"featuresDict": {"features": {"camera": camera, "state": tensor("float32", 2)}}},
        "instruction": {"text": {}},
        "action": tensor("int64"),
        "reward": tensor("float32"),
        "is_last": tensor("bool"),
        "is_terminal": tensor("bool"),
    }
    steps = {"sequence": {"feature": {"featuresDict": {"features": step}}}}
    (path / "features.json").write_text(json.dumps({"featuresDict": {"features": {"steps": steps}}}))
    info = {"name": "arm", "fileFormat": file_format, "splits": [{"name": "train", "shardLengths": ["2", "4"]}]}
    (path / "dataset_info.json").write_text(json.dumps(info))
    records = list(map(rlds_record, range(NUM_RECORDS)))
    for shard, part in enumerate((records[:2], records[2:])):
        file = path / f"arm-train.{file_format}-0000{shard}-of-00002"
        if file_format == "tfrecord":
            file.write_bytes(b"".join(map(frame, part)))
            continue
        writer = ArrayRecordWriter(str(file), "group_size:1")
        for record in part:
            writer.write(record)
        writer.close()
    observations = ["observation", "instruction"]
    options = {"observations": observations, "discrete": {"action": 4}, "group_by": "steps/instruction"}
    return RldsSource, (str(path), "mine"), options


def make_rlds(path):
    return rlds_folder(path, "tfrecord")


def make_rlds_array_record(path):
    return rlds_folder(path, "array_record")


def picture_columns():
    numbers = range(NUM_RECORDS)
    images = [{"bytes": png(picture(number)), "path": None} for number in numbers]
    return {"image": images, "question": [f"{i}?" for i in numbers], "answer": [f"{i}." for i in numbers]}


def write_parquet(path, columns, row_group_size):
    """Two files of several row groups."""
    table = pa.table(columns)
    half = len(table) // 2
    for name, part in (("0.parquet", table[:half]), ("1.parquet", table[half:])):
        pq.write_table(part, path / name, row_group_size=row_group_size)


def make_parquet(path):
    write_parquet(path, picture_columns(), 2)
    return parquet.open_language, (str(path), "mine"), {"language": LanguageOptions(records="questions")}


def save_dataset(path, columns):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own
        datasets.Dataset.from_dict(columns).save_to_disk(path / "set", num_shards=2)
    return str(path / "set")


def make_huggingface(path):
    rng = np.random.default_rng(0)
    lengths = range(2, 2 + NUM_RECORDS)
    columns = {
        "body": [rng.normal(size=(length + 1, 2)).tolist() for length in lengths],
        "goal": [["red"] * (length + 1) for length in lengths],
        "action": [rng.integers(0, 4, length).tolist() for length in lengths],
        "reward": [rng.normal(size=length).tolist() for length in lengths],
        "task": [length % 2 for length in lengths],
    }
    meaning = {"observation": {"body": "body", "goal": "goal"}, "action": "action", "reward": "reward", "group": "task"}
    options = EpisodeOptions(columns=meaning, spaces={"action": {"discrete": 4}})
    return huggingface.open_episodes, (save_dataset(path, columns), "mine"), {"episodes": options, "table": TABLE}


def make_huggingface_timesteps(path):
    rng = np.random.default_rng(0)
    owner = np.repeat(np.arange(NUM_RECORDS), np.arange(2, 2 + NUM_RECORDS))
    numbers = pa.FixedSizeListArray.from_arrays(pa.array(rng.normal(size=3 * len(owner))), 3)
    rewards = rng.normal(size=len(owner))
    write_parquet(path, {"state": numbers, "reward": rewards, "episode_index": owner, "task": owner // 4}, 5)
    columns = {"observation": "state", "action": "state", "reward": "reward", "group": "task"}
    options = EpisodeOptions(rows="timesteps", columns=columns)
    return huggingface.open_episodes, (str(path), "mine"), {"episodes": options, "table": TABLE}


def make_huggingface_text(path):
    saved = save_dataset(path, {"text": [f"document {number}" for number in range(NUM_RECORDS)]})
    options = {"language": LanguageOptions(records="text"), "table": TABLE}
    return huggingface.open_language, (saved, "mine"), options


def make_lerobot(path, write_lerobot):
    rng = np.random.default_rng(0)
    lengths = range(2, 2 + NUM_RECORDS)
    sizes = {"observation.state": 3, "action": 2}
    features = {key: {"dtype": "float32", "shape": [size], "names": None} for key, size in sizes.items()}
    features["observation.camera"] = {"dtype": "video", "shape": [16, 24, 3], "names": ["height", "width", "channels"]}
    folder = write_lerobot(
        path / "set",
        [{key: rng.normal(size=(length, size)).tolist() for key, size in sizes.items()} for length in lengths],
        features=features,
        videos={"observation.camera": [rng.integers(0, 256, (length, 16, 24, 3), np.uint8) for length in lengths]},
        files=[0, 0, 0, 1, 1, 1],
        tasks=["push", "lift"],
        task_of=[0, 1, 0, 1, 0, 1],
        fps=10,
    )
    return LeRobotSource, (str(folder), "mine"), {}


def make_memory(path):
    return MemorySource, ([Document(text=f"document {number}") for number in range(NUM_RECORDS)], "mine"), {}


def make_memory_control(path):
    spaces = {"observation_space": OBSERVATION_SPACE, "action_space": ACTION_SPACE}
    return MemoryControlSource, (list(map(episode, range(NUM_RECORDS))), "mine"), spaces


CASES = {  # how a dataset is made, and the type of its records
    "minari": (make_minari, Episode),
    "text": (make_text, Document),
    "dialogue": (make_dialogue, Dialogue),
    "captions": (make_captions, ImageText),
    "captions-zip": (make_captions_zip, ImageText),
    "questions-zip": (make_questions_zip, Dialogue),
    "parquet": (make_parquet, Dialogue),
    "huggingface": (make_huggingface, Episode),
    "huggingface-timesteps": (make_huggingface_timesteps, Episode),
    "huggingface-text": (make_huggingface_text, Document),
    "lerobot": (make_lerobot, Episode),
    "webdataset": (make_webdataset, ImageText),
    "webdataset-questions": (make_webdataset_questions, Dialogue),
    "rlds": (make_rlds, Episode),
    "rlds-array-record": (make_rlds_array_record, Episode),
    "memory": (make_memory, Document),
    "memory-control": (make_memory_control, Episode),
}
FILES = [case for case in CASES if not case.startswith("memory")]
CONTROL = [case for case, (_, record) in CASES.items() if record is Episode]


@pytest.fixture(scope="module")
def made(tmp_path_factory, write_lerobot):
    """(class, positional arguments, options) of each case."""
    writers = {make_lerobot: {"write_lerobot": write_lerobot}}
    return {case: make(tmp_path_factory.mktemp(case), **writers.get(make, {})) for case, (make, _) in CASES.items()}


@pytest.fixture(scope="module")
def read(made):
    """All records of each case, as a first instance reads them one after another."""
    return {case: list(map(opened.__getitem__, range(len(opened)))) for case, opened in opened_all(made).items()}


def opened_all(made):
    return {case: kind(*arguments, **options) for case, (kind, arguments, options) in made.items()}


def open_case(made, case):
    kind, arguments, options = made[case]
    return kind(*arguments, **options)


def assert_same(a, b):
    assert type(a) is type(b)
    if dataclasses.is_dataclass(a):
        for part in dataclasses.fields(a):
            assert_same(getattr(a, part.name), getattr(b, part.name))
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, tuple | list):
        assert len(a) == len(b)
        for left, right in zip(a, b, strict=True):
            assert_same(left, right)
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b


def members(space, tree):
    """One member of the space a timestep, out of a batched tree."""
    if isinstance(space, Dict):
        parts = {key: members(part, tree[key]) for key, part in space.items()}
        return [dict(zip(parts, each, strict=True)) for each in zip(*parts.values(), strict=True)]
    if isinstance(space, Tuple):
        return list(zip(*(members(part, each) for part, each in zip(space, tree, strict=True)), strict=True))
    return tree if isinstance(tree, list) else [each if space.shape else each[()] for each in tree]


@pytest.mark.parametrize("case", CASES)
def test_a_source_has_its_name_and_a_fixed_length(made, case):
    source = open_case(made, case)
    assert source.name == "mine"
    assert len(source) == NUM_RECORDS
    source[2]
    assert len(source) == NUM_RECORDS


@pytest.mark.parametrize("case", CASES)
def test_records_are_of_the_type_of_the_source_and_differ(read, case):
    assert {type(record) for record in read[case]} == {CASES[case][1]}
    digests = {pickle.dumps(record) for record in read[case]}
    assert len(digests) == NUM_RECORDS


@pytest.mark.parametrize("case", CASES)
def test_records_are_the_same_each_time_in_any_order_and_from_a_second_instance(made, read, case):
    source = open_case(made, case)
    for index in (5, 0, 3, 3, 1, 4, 2, 0, 5):
        assert_same(source[index], read[case][index])


@pytest.mark.parametrize("case", CASES)
def test_there_is_no_record_beyond_the_end(made, case):
    source = open_case(made, case)
    for index in (NUM_RECORDS, NUM_RECORDS + 10):
        with pytest.raises(IndexError):
            source[index]
    assert_same(source[NUM_RECORDS - 1], source[NUM_RECORDS - 1])


@pytest.mark.parametrize("case", CONTROL)
def test_episodes_fit_their_spaces(made, read, case):
    source = open_case(made, case)
    for record in read[case]:
        for space, tree in ((source.observation_space, record.observations), (source.action_space, record.actions)):
            for member in members(space, tree):
                assert space.contains(member), (space, member)
        assert record.rewards.dtype.kind == "f"


@pytest.mark.parametrize("case", CONTROL)
def test_every_episode_is_in_a_group(made, case):
    source = open_case(made, case)
    assert source.groups.shape == (NUM_RECORDS,)
    assert source.groups.dtype.kind == "i"
    assert 1 < len(set(source.groups.tolist())) < NUM_RECORDS


@pytest.mark.parametrize("case", FILES)
def test_a_missing_path_is_named_with_its_source(made, tmp_path, case):
    kind, (_, *others), options = made[case]
    with pytest.raises(FileNotFoundError, match=r"^mine: .*gone"):
        kind(str(tmp_path / "gone"), *others, **options)


@pytest.mark.parametrize("case", CASES)
def test_threads_read_the_same_records(made, read, case):
    source = open_case(made, case)
    indices = list(range(NUM_RECORDS)) * 8
    random.Random(0).shuffle(indices)
    with ThreadPoolExecutor(4) as threads:
        for index, record in zip(indices, threads.map(source.__getitem__, indices), strict=True):
            assert_same(record, read[case][index])


@pytest.fixture(scope="module")
def worker():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        yield pool


@pytest.mark.parametrize("case", CASES)
def test_a_copy_reads_the_same_records(made, read, case):
    source = open_case(made, case)
    source[0]
    copied = copy.deepcopy(source)
    del source
    for index in (3, 0):
        assert_same(copied[index], read[case][index])


@pytest.mark.parametrize("case", CASES)
def test_a_worker_process_reads_the_same_records_from_a_source_that_it_was_handed(made, read, case, worker):
    source = open_case(made, case)
    source[0]  # what it keeps after reading must not stand in the way either
    for index in (3, 0):
        assert_same(worker.apply(operator.getitem, (source, index)), read[case][index])


OPEN_AND_READ = """
import pickle, sys
for kind, arguments, options in pickle.load(sys.stdin.buffer):
    source = kind(*arguments, **options)
    pickle.dump([source[index] for index in range(len(source))], sys.stdout.buffer)
"""


def test_a_process_of_its_own_reads_the_same_records_from_the_same_path(made, read):
    asked = pickle.dumps([made[case] for case in FILES])
    done = subprocess.run([sys.executable, "-c", OPEN_AND_READ], input=asked, capture_output=True, check=True)
    answer = io.BytesIO(done.stdout)
    for case in FILES:
        for came, expected in zip(pickle.load(answer), read[case], strict=True):
            assert_same(came, expected)
