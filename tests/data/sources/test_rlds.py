"""RLDS episodes in TFRecord and ArrayRecord files, written here as TensorFlow Datasets lays them out."""

import io
import json
import struct
import zlib

import google_crc32c
import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordWriter
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Text
from PIL import Image

from gato.data.sources.rlds import RldsSource

CLASSES = {
    "featuresDict": "features_dict.FeaturesDict",
    "sequence": "dataset_feature.Dataset",
    "tensor": "tensor_feature.Tensor",
    "image": "image_feature.Image",
    "text": "text_feature.Text",
    "classLabel": "class_label_feature.ClassLabel",
}


def node(kind, **content):
    return {"pythonClassName": f"tensorflow_datasets.core.features.{CLASSES[kind]}", kind: content}


def shape_of(*sizes):
    return {"dimensions": [str(size) for size in sizes]} if sizes else {}


def tensor(dtype, *sizes, encoding="none"):
    return node("tensor", shape=shape_of(*sizes), dtype=dtype, encoding=encoding)


def image(*sizes):
    return node("image", shape=shape_of(*sizes), dtype="uint8", encodingFormat="png")


def branch(**parts):
    return node("featuresDict", features=parts)


FLAGS = {key: tensor("bool") for key in ("is_first", "is_last", "is_terminal")}


def episode_features(step, **metadata):
    steps = node("sequence", feature=branch(**step), length="-1")
    return branch(steps=steps, **({"episode_metadata": branch(**metadata)} if metadata else {}))


def varint(number):
    parts = []
    while number >= 0x80:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def serialize(features):
    """An Example of lists of bytes, and of arrays of floats or integers."""
    entries = b""
    for name, values in features.items():
        if isinstance(values, list):
            content = field(1, b"".join(field(1, value) for value in values))
        elif values.dtype.kind == "f":
            content = field(2, field(1, values.astype("<f4").tobytes()))
        else:
            content = field(3, field(1, b"".join(varint(int(value) % 2**64) for value in values.ravel())))
        entries += field(1, field(1, name.encode()) + field(2, content))
    return field(1, entries)


def frame(data):
    def masked(part):
        crc = google_crc32c.value(part)
        return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)

    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def write(path, features, shards, *, file_format="tfrecord", split="train", **changes):
    """A dataset of one split, one list of records a shard."""
    path.mkdir(parents=True, exist_ok=True)
    names = [f"arm-{split}.{file_format}-{i:05d}-of-{len(shards):05d}" for i in range(len(shards))]
    for name, records in zip(names, shards, strict=True):
        if file_format == "tfrecord":
            (path / name).write_bytes(b"".join(map(frame, records)))
        else:
            writer = ArrayRecordWriter(str(path / name), "group_size:1")
            for record in records:
                writer.write(record)
            writer.close()
    entry = {
        "name": split,
        "shardLengths": [str(len(records)) for records in shards],
        "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
    }
    info = {"name": "arm", "version": "1.0.0", "fileFormat": file_format, "splits": [entry], **changes}
    (path / "dataset_info.json").write_text(json.dumps(info))
    (path / "features.json").write_text(json.dumps(features))
    return path


def png(pixels):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


ARM = episode_features(
    {
        "observation": branch(
            image=image(12, 16, 3),
            state=tensor("float64", 3),
            grid=tensor("uint8", 2, 2, encoding="zlib"),
            words=node("text"),
        ),
        "action": tensor("float32", 2),
        "reward": tensor("float32"),
        "discount": tensor("float32"),
        "language_instruction": node("text"),
        **FLAGS,
    },
    file_path=node("text"),
)


def arm_values(num_steps, number=0, *, terminal=True):
    """What the steps of an episode hold, by field."""
    rng = np.random.default_rng(number)
    last = np.arange(num_steps) == num_steps - 1
    return {
        "observation/image": rng.integers(0, 256, (num_steps, 12, 16, 3), np.uint8),
        "observation/state": rng.normal(size=(num_steps, 3)).astype(np.float32),
        "observation/grid": rng.integers(0, 256, (num_steps, 2, 2), np.uint8),
        "observation/words": [f"step {i} é" for i in range(num_steps)],
        "action": rng.normal(size=(num_steps, 2)).astype(np.float32),
        "reward": rng.normal(size=num_steps).astype(np.float32),
        "discount": np.ones(num_steps, np.float32),
        "language_instruction": [f"pick block {number % 2}"] * num_steps,
        "is_first": np.arange(num_steps) == 0,
        "is_last": last,
        "is_terminal": last & terminal,
    }


def arm_record(num_steps, number=0, *, terminal=True, **changes):
    steps = arm_values(num_steps, number, terminal=terminal) | changes
    stored = {}
    for key, values in steps.items():
        if key == "observation/image" and isinstance(values, np.ndarray):
            values = [png(pixels) for pixels in values]
        elif key == "observation/grid" and isinstance(values, np.ndarray):
            values = [zlib.compress(each.tobytes()) for each in values]
        elif isinstance(values, list):
            values = [value.encode() if isinstance(value, str) else value for value in values]
        stored[f"steps/{key}"] = values
    return serialize({**stored, "episode_metadata/file_path": [f"{number}.h5".encode()]})


LENGTHS = [5, 2, 7, 3]


@pytest.fixture(scope="module", params=["tfrecord", "array_record"])
def arm(request, tmp_path_factory):
    path = tmp_path_factory.mktemp(request.param) / "1.0.0"
    records = [arm_record(length, i, terminal=i != 1) for i, length in enumerate(LENGTHS)]
    return write(path, ARM, [records[:1], records[1:]], file_format=request.param)


def test_episodes_come_back_as_they_were(arm):
    source = RldsSource(arm, "arm")
    assert len(source) == 4
    for index, length in enumerate(LENGTHS):
        values, episode = arm_values(length, index), source[index]
        assert len(episode) == length - 1
        assert episode.observations.keys() == {"image", "state", "grid", "words"}
        for key in ("image", "state", "grid"):
            np.testing.assert_array_equal(episode.observations[key], values[f"observation/{key}"])
        assert episode.observations["words"] == values["observation/words"]
        np.testing.assert_array_equal(episode.actions, values["action"][:-1])
        np.testing.assert_array_equal(episode.rewards, values["reward"][:-1])
        assert (episode.terminated, episode.truncated) == (index != 1, index == 1)


def test_spaces_are_those_of_the_features(arm):
    source = RldsSource(arm, "arm")
    assert set(source.observation_space) == {"image", "state", "grid", "words"}
    assert source.observation_space["image"] == Box(0, 255, (12, 16, 3), np.uint8)
    assert source.observation_space["state"] == Box(-np.inf, np.inf, (3,), np.float64)
    assert source.observation_space["grid"] == Box(0, 255, (2, 2), np.uint8)
    assert isinstance(source.observation_space["words"], Text)
    assert source.action_space == Box(-np.inf, np.inf, (2,), np.float32)
    assert source[0].observations["state"].dtype == np.float64
    assert source.groups.tolist() == [0, 0, 0, 0]


def test_the_last_step_acts_where_the_data_were_recorded_so(arm):
    episode = RldsSource(arm, "arm", last_step_acts=True)[0]
    values = arm_values(5, 0)
    assert len(episode) == len(episode.observations["state"]) == 5
    np.testing.assert_array_equal(episode.actions, values["action"])
    np.testing.assert_array_equal(episode.rewards, values["reward"])


def test_what_the_last_step_leaves_undefined_may_be_anything(tmp_path):
    action = np.array([[1, 2], [3, 4], [np.nan, np.inf]], np.float32)
    reward = np.array([1, 2, np.nan], np.float32)
    source = RldsSource(write(tmp_path, ARM, [[arm_record(3, action=action, reward=reward)]]), "arm")
    assert source[0].actions.tolist() == [[1, 2], [3, 4]]
    assert source[0].rewards.tolist() == [1, 2]
    with pytest.raises(ValueError, match=r"episode 0 of .*: field steps/action is nan at timestep 2, element"):
        RldsSource(tmp_path, "arm", last_step_acts=True)[0]


def test_an_episode_that_was_cut_ends_without_a_last_step(tmp_path):
    source = RldsSource(write(tmp_path, ARM, [[arm_record(3, terminal=False, is_last=np.zeros(3, bool))]]), "arm")
    assert len(source[0]) == len(source[0].observations["state"]) == 3
    assert source[0].truncated
    assert not source[0].terminated


def test_observations_are_chosen_by_path(arm):
    source = RldsSource(arm, "arm", observations=["observation/state", "language_instruction"])
    assert set(source.observation_space) == {"state", "language_instruction"}
    assert source[1].observations["language_instruction"] == ["pick block 1"] * 2
    one = RldsSource(arm, "arm", observations=["observation"])
    assert one.observation_space == RldsSource(arm, "arm").observation_space


def test_episodes_are_grouped_by_the_text_of_their_task(arm):
    assert RldsSource(arm, "arm", group_by="steps/language_instruction").groups.tolist() == [0, 1, 0, 1]
    assert RldsSource(arm, "arm", group_by="episode_metadata/file_path").groups.tolist() == [0, 1, 2, 3]


def test_pictures_are_scaled_by_the_mean_of_areas(tmp_path):
    pixels = np.zeros((2, 12, 16, 3), np.uint8)
    pixels[:, :6, :4] = 100
    pixels[0, 6:, 8:] = 40
    path = write(tmp_path, ARM, [[arm_record(2, **{"observation/image": pixels})]])
    source = RldsSource(path, "arm", observations=["observation/image"], image_size=[2, 4])
    assert source.observation_space["image"] == Box(0, 255, (2, 4, 3), np.uint8)
    assert source[0].observations["image"][0, :, :, 1].tolist() == [[100, 0, 0, 0], [0, 0, 40, 40]]
    square = RldsSource(path, "arm", observations=["observation/image"], image_size=[2, 2])
    assert square[0].observations["image"][0, :, :, 1].tolist() == [[50, 0], [0, 40]]


def test_grey_pictures_keep_one_channel_or_fill_three(tmp_path):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    features = {"observation": branch(one=image(3, 4, 1), three=image(3, 4, 3)), "action": tensor("float32"), **FLAGS}
    steps = {"one": [png(grey)] * 2, "three": [png(grey)] * 2}
    record = serialize(
        {f"steps/observation/{key}": values for key, values in steps.items()}
        | {"steps/action": np.zeros(2, np.float32), "steps/is_last": np.array([0, 1])}
        | {"steps/is_terminal": np.array([0, 1])}
    )
    source = RldsSource(write(tmp_path, episode_features(features), [[record]]), "arm", reward=None)
    assert source[0].observations["one"][0].tolist() == grey[..., None].tolist()
    assert (source[0].observations["three"][1] == grey[..., None]).all()
    assert source[0].rewards.tolist() == [0]


def small(tmp_path, features, values, **options):
    """A dataset of one episode of two steps, whose first alone acts."""
    flags = {"is_last": np.array([0, 1]), "is_terminal": np.array([0, 1])}
    record = serialize({f"steps/{key}": part for key, part in (flags | values).items()})
    path = write(tmp_path, episode_features({**FLAGS, **features}), [[record]])
    return RldsSource(path, "arm", **{"reward": None, **options})


NUMBER = {"observation": tensor("float32")}
NUMBERS = {"observation": np.zeros(2, np.float32)}


def test_an_observation_or_action_without_branches_is_no_dict(tmp_path):
    values = NUMBERS | {"action/a": np.array([0.5, 0], np.float32), "action/b/c": np.array([1, 0])}
    action = branch(a=tensor("float32"), b=branch(c=tensor("bool")))
    source = small(tmp_path, NUMBER | {"action": action}, values)
    assert source.observation_space == Box(-np.inf, np.inf, (), np.float32)
    assert source.action_space == Dict({"a": Box(-np.inf, np.inf, (), np.float32), "b": Dict({"c": Discrete(2)})})
    assert source[0].observations.tolist() == [0, 0]
    assert source[0].actions["b"]["c"].tolist() == [1]
    one = RldsSource(tmp_path, "arm", reward=None, action="action/a")
    assert one.action_space == Box(-np.inf, np.inf, (), np.float32)
    assert one[0].actions.tolist() == [0.5]


@pytest.mark.parametrize(
    "size, sizes, space",
    [((), 7, Discrete(7)), ((2,), 7, MultiDiscrete([7, 7])), ((2,), [7, 3], MultiDiscrete([7, 3]))],
)
def test_integers_are_discrete_where_their_number_of_values_is_given(tmp_path, size, sizes, space):
    values = NUMBERS | {"action": np.array([[6, 2], [0, 0]]) if size else np.array([6, 0])}
    source = small(tmp_path, NUMBER | {"action": tensor("int32", *size)}, values, discrete={"action": sizes})
    assert source.action_space == space
    assert source[0].actions.tolist() == ([[6, 2]] if size else [6])
    assert source[0].actions.dtype == np.int64


def test_integers_may_be_quantities(tmp_path):
    values = {"observation": np.array([-5, 2**40]), "action": np.zeros(2, np.float32)}
    features = {"observation": tensor("int64"), "action": tensor("float32")}
    source = small(tmp_path, features, values, discrete={"observation": None})
    assert source.observation_space == Box(-(2**63), 2**63 - 1, (), np.int64)
    assert source[0].observations.tolist() == [-5, 2**40]


def test_class_labels_know_their_number_of_values(tmp_path):
    label = node("classLabel", numClasses="4")
    source = small(tmp_path, NUMBER | {"action": label}, NUMBERS | {"action": np.array([3, 0])})
    assert source.action_space == Discrete(4)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint64", "float16", "float64", "bool"])
def test_numbers_of_any_type_come_back_raw_and_as_lists(tmp_path, dtype):
    stored = np.array([[1, 0], [0, 1]], dtype)
    if dtype == "uint64":
        stored[0, 0] = 2**64 - 1
    features = {"observation": branch(raw=tensor(dtype, 2, encoding="bytes"), listed=tensor(dtype, 2))}
    values = {
        "observation/raw": [each.tobytes() for each in stored],
        "observation/listed": stored,
        "action": np.zeros(2, np.float32),
    }
    discrete = {f"observation/{key}": None for key in ("raw", "listed")} if dtype in ("int16", "uint64") else None
    source = small(tmp_path, features | {"action": tensor("float32")}, values, discrete=discrete)
    for key in ("raw", "listed"):
        assert source[0].observations[key].dtype == (np.int8 if dtype == "bool" else stored.dtype)
        np.testing.assert_array_equal(source[0].observations[key], stored)


FEATURES = NUMBER | {"action": tensor("float32")}
VALUES = NUMBERS | {"action": np.zeros(2, np.float32)}


@pytest.mark.parametrize(
    "features, options, match",
    [
        ({"action": tensor("int64")}, {}, r'field steps/action is int64 \(\), .* give discrete=\{"action": n\}'),
        ({"observation": tensor("int32", 3)}, {}, r"field steps/observation is int32 \(3,\)"),
        ({"action": tensor("uint8")}, {}, "field steps/action is uint8"),
        ({"action": node("text")}, {}, "steps/action is text, but an action must be numbers: name another one"),
        ({}, {"discrete": {"action": 5}}, "steps/action is float32, discrete gives 5: expected sizes"),
        ({"action": tensor("int64", 2)}, {"discrete": {"action": [2, 0]}}, "discrete gives"),
        ({"action": tensor("int64", 2)}, {"discrete": {"action": [2, 3, 4]}}, r"shape \(2,\), but discrete gives"),
        ({}, {"discrete": {"acton": 5}}, r"discrete names \['acton'\], expected fields among"),
        ({}, {"observations": ["action"]}, r"\['action'\] are observed and acted, expected each field on one side"),
        ({}, {"observations": []}, "nothing is observed"),
        ({}, {"action": "acton"}, "no field 'acton' in a step, did you mean 'action'?"),
        ({}, {"observations": ["observation/x"]}, "no field 'observation/x' in a step"),
        ({}, {"reward": "reward"}, "no field 'reward' in a step .set reward to null where there are none"),
        ({}, {"reward": "is_firs"}, "no field 'is_firs' in a step"),
        ({"reward": tensor("float32", 2)}, {"reward": "reward"}, r"steps/reward is tensor \(2,\), expected a number"),
        ({}, {"group_by": "steps/task"}, "group_by is 'steps/task', "),
        ({}, {"split": "test"}, r"split is 'test', expected one of \['train'\]"),
        ({}, {"observations": "observation"}, "observations are 'observation' and discrete is None, expected a list"),
        ({}, {"discrete": [5]}, r"and discrete is \[5\], expected"),
        ({}, {"image_size": [64]}, r"image_size is \[64\], expected \[height, width\]"),
        ({"observation": image(-1, -1, 3)}, {}, "has pictures of any size: give image_size"),
        ({"observation": tensor("float32", -1)}, {}, r"steps/observation has the shape \(None,\) .* leave it out"),
        ({"observation": tensor("bfloat16")}, {}, r"steps/observation is bfloat16 \(\)"),
        (
            {"observation": node("image", shape=shape_of(2, 2, 1), dtype="uint16")},
            {},
            r"steps/observation has uint16 pictures \(2, 2, 1\), expected uint8",
        ),
        ({"observation": node("sequence", feature=tensor("float32"))}, {}, "is a sequence within an episode or a step"),
        ({"observation": {"pythonClassName": "a.b.Audio", "audio": {}}}, {}, "is of the kind Audio, which is not read"),
        (
            {"observation": {"pythonClassName": "a.b.Depth", "tensor": {"shape": {}, "dtype": "float32"}}},
            {},
            "is of the kind Depth, which is not read",
        ),
        (
            {"observation": node("tensor", shape={}, dtype="float32", optional=True)},
            {},
            "steps/observation may be without a value",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_by_name_when_opened(tmp_path, features, options, match):
    with pytest.raises(ValueError, match=rf"^arm: .*{match}"):
        small(tmp_path, FEATURES | features, VALUES, **options)


def test_fields_of_other_kinds_do_no_harm_where_they_are_left_out(tmp_path):
    features = {"observation": branch(a=tensor("float32"), b=tensor("float32", -1)), "action": tensor("float32")}
    values = {"observation/a": np.ones(2, np.float32), "action": np.zeros(2, np.float32)}
    source = small(tmp_path, features, values, observations=["observation/a"])
    assert source[0].observations["a"].tolist() == [1, 1]


@pytest.mark.parametrize(
    "features, values, match",
    [
        ({}, {"action": np.zeros(3, np.float32)}, "field steps/action: it holds 3 numbers, expected 1 for each of 2"),
        ({}, {"action": np.zeros(2, np.int64)}, "field steps/action: it holds int64, expected float32 for float32"),
        ({}, {"action": [b"a", b"b"]}, "field steps/action: it holds bytes, expected float32"),
        ({}, {"observation": np.array([0, np.nan], np.float32)}, "steps/observation is nan at timestep 1, expected"),
        ({}, {"is_last": np.array([1, 1])}, "is_last is true at step 0 of 2, expected at the last one at most"),
        ({}, {"is_last": np.array([0, 2])}, "field steps/is_last: it is 2 at step 1, expected bool"),
        ({}, {"is_terminal": np.array([1]), "is_last": np.array([1])}, "it holds 2 numbers, expected 1 for each of 1"),
        ({}, {"is_terminal": np.zeros(0, int)}, "it has no steps"),
        ({"observation": tensor("uint8")}, {"observation": np.array([1, 256])}, "it is 256 at step 1, expected uint8"),
        ({"observation": image(2, 2, 3)}, {"observation": [b"x", b"y"]}, "picture of step 0: cannot be decoded"),
        (
            {"observation": image(2, 2, 3)},
            {"observation": [png(np.zeros((2, 2, 3), np.uint8)), png(np.zeros((2, 3, 3), np.uint8))]},
            r"picture of step 1: it is \(2, 3, 3\), expected \(2, 2, 3\)",
        ),
        ({"observation": image(2, 2, 3)}, {"observation": [b"x"]}, "it has 1 values, expected one for each of 2 steps"),
        ({"observation": node("text")}, {"observation": [b"\xff", b""]}, "the text of step 0 is not UTF-8"),
        (
            {"observation": tensor("uint8", 2, encoding="bytes")},
            {"observation": [b"ab", b"abc"]},
            r"step 1 has 3 bytes, expected 2 of uint8 \(2,\)",
        ),
        (
            {"observation": tensor("uint8", 2, encoding="zlib")},
            {"observation": [zlib.compress(bytes(10**7)), b""]},
            "step 0 has 3 bytes, expected 2 of uint8",
        ),
        (
            {"observation": tensor("uint8", encoding="zlib")},
            {"observation": [b"???", b""]},
            "step 0 cannot be unpacked",
        ),
        ({"observation": tensor("bool", encoding="bytes")}, {"observation": [b"\2", b"\0"]}, "a byte is 2, expected 0"),
    ],
)
def test_values_that_are_not_what_the_features_say_are_refused_by_episode(tmp_path, features, values, match):
    source = small(tmp_path, FEATURES | features, VALUES | values)
    with pytest.raises(ValueError, match=rf"^arm: episode 0 of arm-train\.tfrecord-00000-of-00001: .*{match}"):
        source[0]


def test_discrete_values_outside_their_range_are_refused(tmp_path):
    values = VALUES | {"action": np.array([7, 0])}
    source = small(tmp_path, FEATURES | {"action": tensor("int64")}, values, discrete={"action": 7})
    with pytest.raises(ValueError, match=r"field steps/action is 7 at timestep 0, expected a member of Discrete\(7\)"):
        source[0]


def test_a_field_that_a_record_lacks_is_named(tmp_path):
    record = serialize({"steps/is_last": np.array([0, 1]), "steps/is_terminal": np.array([0, 1])})
    source = RldsSource(write(tmp_path, episode_features(FLAGS | FEATURES), [[record]]), "arm", reward=None)
    with pytest.raises(ValueError, match=r"lacks \['steps/observation', 'steps/action'\], which features.json lists"):
        source[0]


def test_an_episode_of_a_last_step_only_is_refused(tmp_path):
    source = RldsSource(write(tmp_path, ARM, [[arm_record(1)]]), "arm")
    with pytest.raises(ValueError, match="it has 1 steps, of which 0 act: leave it out, or set last_step_acts"):
        source[0]


def test_a_split_is_named_where_there_are_several(arm):
    info = json.loads((arm / "dataset_info.json").read_text())
    entries = [*info["splits"], {"name": "val", "shardLengths": []}]
    both = arm.parent / "both"
    both.mkdir(exist_ok=True)
    for file in arm.iterdir():
        (both / file.name).write_bytes(file.read_bytes())
    (both / "dataset_info.json").write_text(json.dumps(info | {"splits": entries}))
    assert len(RldsSource(both, "arm", split="train")) == 4
    with pytest.raises(ValueError, match=r"^arm: .*split is None, expected one of \['train', 'val'\]"):
        RldsSource(both, "arm")
    with pytest.raises(ValueError, match="split 'val' holds no episodes"):
        RldsSource(both, "arm", split="val")


def test_a_missing_dataset_is_named_with_those_below(arm):
    with pytest.raises(FileNotFoundError, match=r"^arm: .*gone holds no dataset of TensorFlow Datasets, expected data"):
        RldsSource(arm / "gone", "arm")
    with pytest.raises(FileNotFoundError, match=r"name one of its folders \['.*1\.0\.0'"):
        RldsSource(arm.parent, "arm")


@pytest.mark.parametrize("file_format", ["tfrecord", "array_record"])
def test_missing_and_damaged_files_are_named(tmp_path, file_format):
    path = write(tmp_path, ARM, [[arm_record(2)], [arm_record(2, 1), arm_record(3, 2)]], file_format=file_format)
    file = path / f"arm-train.{file_format}-00001-of-00002"
    content = file.read_bytes()
    cut = content[: len(content) // 2] if file_format == "tfrecord" else content[:100]
    file.write_bytes(cut)
    with pytest.raises(ValueError, match=rf"^arm: .*{file.name}"):
        RldsSource(path, "arm")
    damaged = bytearray(content)
    damaged[150] ^= 1  # in the first record
    file.write_bytes(damaged)
    source = RldsSource(path, "arm")
    with pytest.raises(ValueError, match=rf"^arm: episode 1 of {file.name}: .*record 0.*damaged"):
        source[1]
    file.unlink()
    with pytest.raises(FileNotFoundError, match=rf"^arm: .* lacks {file.name}, file 2 of 2 of split 'train'"):
        RldsSource(path, "arm")


def test_another_number_of_records_than_promised_is_refused(tmp_path):
    path = write(tmp_path, ARM, [[arm_record(2)]])
    info = json.loads((path / "dataset_info.json").read_text())
    info["splits"][0]["shardLengths"] = ["2"]
    (path / "dataset_info.json").write_text(json.dumps(info))
    with pytest.raises(ValueError, match=r"arm-train\.tfrecord-00000-of-00001 holds 1 records, but .* says 2"):
        RldsSource(path, "arm")


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"fileFormat": "riegeli"}, "fileFormat is 'riegeli', expected 'tfrecord' or 'array_record'"),
        ({"template": "../{SPLIT}"}, "filepathTemplate is '../{SPLIT}', expected the name of a file"),
        ({"template": "{SPLIT}-{HOST}"}, "filepathTemplate is '{SPLIT}-{HOST}'"),
    ],
)
def test_files_that_lie_otherwise_are_refused(tmp_path, changes, match):
    path = write(tmp_path, ARM, [[arm_record(2)]])
    info = json.loads((path / "dataset_info.json").read_text())
    info["splits"][0]["filepathTemplate"] = changes.pop("template", "{SPLIT}")
    (path / "dataset_info.json").write_text(json.dumps(info | changes))
    with pytest.raises(ValueError, match=rf"^arm: .*{match}"):
        RldsSource(path, "arm")


@pytest.mark.parametrize(
    "file, content, match",
    [
        ("dataset_info.json", "{", "dataset_info.json is not JSON"),
        ("features.json", "[]", "features.json holds list, expected an object"),
        ("features.json", '{"featuresDict": {}}', "features.json is not as tfds writes it"),
        ("features.json", json.dumps(branch(label=tensor("int64"))), r"has no steps, only \['label'\]"),
    ],
)
def test_damaged_metadata_are_named(tmp_path, file, content, match):
    path = write(tmp_path, ARM, [[arm_record(2)]])
    (path / file).write_text(content)
    with pytest.raises(ValueError, match=rf"^arm: .*{match}"):
        RldsSource(path, "arm")


def test_two_fields_of_one_name_are_refused(tmp_path):
    features = {"observation": branch(state=tensor("float32")), "state": tensor("float32"), "action": tensor("float32")}
    values = {"observation/state": np.ones(2, np.float32), "state": np.ones(2, np.float32), "action": np.ones(2)}
    with pytest.raises(ValueError, match=r"^arm: .*: two fields would be called 'state'"):
        small(tmp_path, features, values, observations=["observation/state", "state"])
