"""LeRobot datasets: numbers, instructions and frames of the right episode, and what is damaged is named."""

import io
import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, Text
from PIL import Image

from gato.data.episode import ControlSource
from gato.data.sources.lerobot import LeRobotSource
from gato.data.sources.video import decode_frames

FPS = 10
LENGTHS = (5, 3, 7, 4)  # the first two lie in one file of data and of video, the others in the next
FILES = (0, 0, 1, 1)
TASKS = ("push the block", "lift it, é")
EPISODE_TASKS = (0, 1, 0, 0)
TOP, WRIST = "observation.images.top", "observation.images.wrist"
SHAPE = (32, 48, 3)


def frames_of(episode, camera=0):
    """Frames that differ in every episode, timestep and camera."""
    rng = np.random.default_rng((episode, camera))
    return rng.integers(0, 256, (LENGTHS[episode], *SHAPE), np.uint8)


def state_of(episode):
    return np.random.default_rng(100 + episode).normal(size=(LENGTHS[episode], 3)).astype(np.float32)


def action_of(episode):
    return np.random.default_rng(200 + episode).normal(size=(LENGTHS[episode], 2)).astype(np.float32)


@pytest.fixture(scope="module")
def write_dataset(write_lerobot):
    """Writes a dataset of two cameras; `columns` are further ones of data/, a function of the episode each."""

    def write(path, *, features=None, columns=None, info=None, index_name="task"):
        video = {"dtype": "video", "info": {"video.fps": FPS, "is_depth_map": False}}
        all_features = {
            "observation.state": {"dtype": "float32", "shape": [3], "names": ["x", "y", "z"]},
            "action": {"dtype": "float32", "shape": [2], "names": None},
            TOP: {**video, "shape": [3, *SHAPE[:2]], "names": ["channels", "height", "width"]},
            WRIST: {**video, "shape": list(SHAPE), "names": ["height", "width", "channels"]},
            "timestamp": {"dtype": "float32", "shape": [1], "names": None},
            **(features or {}),
        }
        numbers = range(len(LENGTHS))
        return write_lerobot(
            path,
            [
                {
                    "observation.state": state_of(number).tolist(),
                    "action": action_of(number).tolist(),
                    **{key: make(number) for key, make in (columns or {}).items()},
                }
                for number in numbers
            ],
            features=all_features,
            videos={key: [frames_of(number, camera) for number in numbers] for camera, key in enumerate((TOP, WRIST))},
            files=FILES,
            tasks=TASKS,
            task_of=EPISODE_TASKS,
            fps=FPS,
            info=info,
            index_name=index_name,
        )

    return write


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, write_dataset):
    return write_dataset(tmp_path_factory.mktemp("robot") / "set")


def replace_column(file, column, values):
    table = pq.read_table(file)
    number = table.schema.get_field_index(column)
    pq.write_table(table.set_column(number, column, pa.array(values)), file)


def edit_info(path, edit):
    file = path / "meta" / "info.json"
    info = json.loads(file.read_text())
    edit(info)
    file.write_text(json.dumps(info))


def test_spaces_and_groups_are_those_of_the_metadata(dataset):
    source = LeRobotSource(dataset, "arm")
    assert isinstance(source, ControlSource)
    assert isinstance(source.observation_space, Dict)
    assert set(source.observation_space) == {"observation.state", TOP, WRIST, "task"}
    assert source.observation_space["observation.state"] == Box(-np.inf, np.inf, (3,), np.float32)
    assert source.observation_space[TOP] == source.observation_space[WRIST] == Box(0, 255, SHAPE, np.uint8)
    assert source.action_space == Box(-np.inf, np.inf, (2,), np.float32)
    assert len(source) == 4
    assert source.groups.tolist() == [0, 1, 0, 0]


def test_episodes_hold_the_numbers_frames_and_instruction_of_their_timesteps(dataset):
    source = LeRobotSource(dataset, "arm")
    for index in (3, 0, 2, 1):
        episode = source[index]
        np.testing.assert_array_equal(episode.observations["observation.state"], state_of(index))
        np.testing.assert_array_equal(episode.observations[TOP], frames_of(index, 0))
        np.testing.assert_array_equal(episode.observations[WRIST], frames_of(index, 1))
        assert episode.observations["task"] == [TASKS[EPISODE_TASKS[index]]] * LENGTHS[index]
        np.testing.assert_array_equal(episode.actions, action_of(index))
        assert episode.rewards.tolist() == [0] * LENGTHS[index]
        assert not episode.terminated
        assert not episode.truncated
    assert source.episode_returns().tolist() == [0, 0, 0, 0]


def test_observations_fit_their_space(dataset):
    source = LeRobotSource(dataset, "arm")
    episode = source[1]
    for step in range(len(episode)):
        member = {key: leaf[step] for key, leaf in episode.observations.items()}
        assert source.observation_space.contains(member)


def test_pictures_are_chosen_and_scaled(dataset):
    source = LeRobotSource(dataset, "arm", images=[WRIST], image_size=[16, 24], task=False)
    assert set(source.observation_space) == {"observation.state", WRIST}
    assert source.observation_space[WRIST] == Box(0, 255, (16, 24, 3), np.uint8)
    frames = source[2].observations[WRIST]
    assert frames.shape == (7, 16, 24, 3)
    # A half-size frame is close to the means of its blocks of four pixels, far from any other frame's.
    blocks = frames_of(2, 1).reshape(7, 16, 2, 24, 2, 3).mean(axis=(2, 4))
    distances = np.abs(frames[:, None].astype(float) - blocks[None]).mean(axis=(2, 3, 4))
    assert distances.argmin(axis=1).tolist() == list(range(7))
    source = LeRobotSource(dataset, "arm", images=[])
    assert set(source.observation_space) == {"observation.state", "task"}


def test_pictures_in_the_table_are_read(tmp_path, write_dataset):
    def encode(frame):
        content = io.BytesIO()
        Image.fromarray(frame).save(content, "PNG")
        return {"bytes": content.getvalue(), "path": "frame.png"}

    color, grey = "observation.color", "observation.grey"
    path = write_dataset(
        tmp_path / "set",
        features={
            color: {"dtype": "image", "shape": list(SHAPE), "names": None},
            grey: {"dtype": "image", "shape": [1, *SHAPE[:2]], "names": None},
        },
        columns={
            color: lambda episode: [encode(frame) for frame in frames_of(episode, 2)],
            grey: lambda episode: [encode(frame[..., 0]) for frame in frames_of(episode, 3)],
        },
    )
    observations = LeRobotSource(path, "arm", images=[color, grey])[1].observations
    np.testing.assert_array_equal(observations[color], frames_of(1, 2))
    np.testing.assert_array_equal(observations[grey], frames_of(1, 3)[..., :1])
    source = LeRobotSource(path, "arm", images=[grey], image_size=[16, 16])
    assert source[1].observations[grey].shape == (3, *source.observation_space[grey].shape) == (3, 16, 16, 1)


def test_a_source_is_reopened_where_it_is_unpickled(dataset):
    source = LeRobotSource(dataset, "arm")
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again[2].observations[TOP], source[2].observations[TOP])


def test_threads_share_a_source(dataset):
    source = LeRobotSource(dataset, "arm", images=[TOP])
    order = [3, 0, 2, 1] * 4
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda index: source[index].observations[TOP], order))
    for index, frames in zip(order, found, strict=True):
        np.testing.assert_array_equal(frames, frames_of(index))


def test_rewards_and_ends_are_read_where_they_are_stored(tmp_path, write_dataset):
    path = write_dataset(
        tmp_path / "set",
        features={
            "next.reward": {"dtype": "float32", "shape": [1], "names": None},
            "next.done": {"dtype": "bool", "shape": [1], "names": None},
        },
        columns={
            "next.reward": lambda episode: [float(episode)] * LENGTHS[episode],
            "next.done": lambda episode: [False] * (LENGTHS[episode] - 1) + [episode != 1],
        },
    )
    source = LeRobotSource(path, "arm", images=[])
    assert source[2].rewards.tolist() == [2.0] * 7
    assert [source[index].terminated for index in range(4)] == [True, False, True, True]
    assert source.episode_returns().tolist() == [0, 3, 14, 12]


def test_whole_numbers_need_a_declared_space(tmp_path, write_dataset):
    path = write_dataset(
        tmp_path / "set",
        features={
            "observation.mode": {"dtype": "int64", "shape": [1], "names": None},
            "observation.contact": {"dtype": "bool", "shape": [2], "names": None},
        },
        columns={
            "observation.mode": lambda episode: [episode] * LENGTHS[episode],
            "observation.contact": lambda episode: [[True, False]] * LENGTHS[episode],
        },
    )
    with pytest.raises(ValueError, match=r"^arm: observation\.mode holds int64 .*\(found: 0 to 3\): declare its space"):
        LeRobotSource(path, "arm", images=[])
    bounds = {"box": {"low": [-2, -3], "high": 5}}
    spaces = {"observation.mode": {"discrete": 4}, "action": bounds}
    source = LeRobotSource(path, "arm", images=[], spaces=spaces)
    assert source.observation_space["observation.mode"] == Discrete(4)
    assert source.observation_space["observation.contact"] == MultiBinary(2)
    assert source.action_space == Box(np.float32([-2, -3]), np.float32([5, 5]))
    assert source[3].observations["observation.mode"].tolist() == [3] * 4


def test_an_index_of_tasks_without_a_name_is_read(tmp_path, write_dataset):
    source = LeRobotSource(write_dataset(tmp_path / "set", index_name="__index_level_0__"), "arm")
    assert source.observation_space["task"] == Text(14, min_length=0, charset="".join(sorted(set("".join(TASKS)))))
    assert source[1].observations["task"][0] == TASKS[1]


def test_frames_are_exact_from_any_start_in_a_lossy_video(tmp_path, write_video):
    # Grey levels far enough apart to tell frames from each other after compression.
    levels = np.linspace(20, 230, 25).astype(np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (25, 32, 32, 3)).copy()
    write_video(tmp_path / "a.mp4", frames, fps=FPS, lossless=False)
    for start in (0, 1, 5, 6, 7, 13, 24):
        times = np.arange(start, 25) / FPS + 1e-4
        found = decode_frames(tmp_path / "a.mp4", times, 0.5 / FPS, None, "video")
        means = np.array([frame.mean() for frame in found])
        assert np.abs(means - levels[start:]).max() < 4  # levels are 8 or more apart


def test_a_video_that_is_cut_short_or_missing_is_named(tmp_path, write_dataset, write_video):
    path = write_dataset(tmp_path / "set")
    video = path / "videos" / TOP / "chunk-000" / "file-001.mp4"
    write_video(video, frames_of(2), fps=FPS)
    source = LeRobotSource(path, "arm")
    np.testing.assert_array_equal(source[2].observations[TOP], frames_of(2))
    with pytest.raises(
        ValueError, match=r"^arm: episode 3: .*top: .*file-001\.mp4 has no frame at 0\.7000 s \(frame 0 of"
    ):
        source[3]
    video.write_bytes(b"no video")
    with pytest.raises(ValueError, match=r"^arm: episode 2: .*top: .*file-001\.mp4 cannot be decoded"):
        source[2]
    video.unlink()
    with pytest.raises(
        FileNotFoundError, match=r"^arm: episode 2: .*file-001\.mp4 does not exist: the download is inc"
    ):
        source[2]


def test_a_video_of_another_rate_or_size_is_refused(tmp_path, write_dataset, write_video):
    path = write_dataset(tmp_path / "set")
    video = path / "videos" / TOP / "chunk-000" / "file-000.mp4"
    frames = np.concatenate([frames_of(0), frames_of(1)])
    write_video(video, frames, fps=5)
    with pytest.raises(
        ValueError, match=r"^arm: episode 0: .* has no frame at 0\.1000 s .* not that of meta/info\.json"
    ):
        LeRobotSource(path, "arm")[0]
    write_video(video, frames[:, :16], fps=FPS)
    with pytest.raises(ValueError, match=r"^arm: episode 0: .*top: frame 0 is \(16, 48, 3\), but meta/info\.json says"):
        LeRobotSource(path, "arm")[0]


def test_metadata_that_do_not_fit_the_data_are_refused(tmp_path, write_dataset):
    path = write_dataset(tmp_path / "set")
    file = path / "meta" / "episodes" / "chunk-000" / "file-001.parquet"
    replace_column(file, "dataset_from_index", [4, 7, 15])
    with pytest.raises(ValueError, match=r"^arm: episode 1 is said to have 3 timesteps, rows 4 to 8 of 19"):
        LeRobotSource(path, "arm")[1]
    replace_column(file, "dataset_to_index", [7, 14, 19])
    with pytest.raises(
        ValueError, match=r"^arm: episode 1: episode_index of its rows 4 to 7 is \[0, 1, 1\] \.\.\., expecte"
    ):
        LeRobotSource(path, "arm")[1]
    replace_column(file, f"videos/{TOP}/to_timestamp", [0.6, 0.7, 1.1])
    with pytest.raises(
        ValueError, match=r"^arm: episode 1: .*top lasts 0\.100 s, too short for 3 frames at 10 a second"
    ):
        LeRobotSource(path, "arm")
    file.unlink()
    with pytest.raises(ValueError, match=r"^arm: meta/episodes lists 1 episodes, meta/info\.json says 4"):
        LeRobotSource(path, "arm")


def test_other_layouts_and_missing_datasets_are_refused(tmp_path, write_dataset):
    with pytest.raises(
        FileNotFoundError, match=r"^arm: .*gone holds no LeRobot dataset, expected meta/info\.json in it"
    ):
        LeRobotSource(tmp_path / "gone", "arm")
    path = write_dataset(tmp_path / "set")
    edit_info(path, lambda info: info.update(codebase_version="v2.1"))
    with pytest.raises(ValueError, match=r"^arm: the layout is 'v2\.1', expected v3\.x: convert it"):
        LeRobotSource(path, "arm")
    edit_info(path, lambda info: (info.update(codebase_version="v3.0"), info.pop("fps")))
    with pytest.raises(ValueError, match=r"^arm: .*info\.json lacks \['fps'\]"):
        LeRobotSource(path, "arm")
    (path / "meta" / "info.json").write_text("{")
    with pytest.raises(ValueError, match=r"^arm: .*info\.json is not JSON"):
        LeRobotSource(path, "arm")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": ["observation.images.tap"]}, r"images name 'observation\.images\.tap', .*did you mean '.*top'\?"),
        ({"image_size": [64]}, r"image_size is \[64\], expected \[height, width\]"),
        ({"image_size": [64, 0]}, r"image_size is \[64, 0\], expected"),
        (
            {"spaces": {"state": {"discrete": 2}}},
            r"spaces name \['state'\], expected of \['observation\.state', 'action'",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(dataset, options, message):
    with pytest.raises(ValueError, match=rf"^arm: {message}"):
        LeRobotSource(dataset, "arm", **options)


def test_depth_and_odd_shapes_are_refused(tmp_path, write_dataset):
    path = write_dataset(tmp_path / "set")
    edit_info(path, lambda info: info["features"][TOP]["info"].update(is_depth_map=True))
    with pytest.raises(ValueError, match=r"^arm: .*top holds depths, not pictures: leave it out"):
        LeRobotSource(path, "arm")
    edit_info(path, lambda info: info["features"][WRIST].update(shape=[3, 48, 3]))
    with pytest.raises(
        ValueError, match=r"^arm: .*wrist has shape \(3, 48, 3\), expected channels as the first or the"
    ):
        LeRobotSource(path, "arm", images=[WRIST])
    edit_info(path, lambda info: info["features"].pop("action"))
    with pytest.raises(ValueError, match=r"have no 'action': there is nothing to learn"):
        LeRobotSource(path, "arm")


def test_episodes_beyond_the_end_are_refused(dataset):
    for index in (4, -1):
        with pytest.raises(IndexError, match=rf"^arm: episode {index} of 4"):
            LeRobotSource(dataset, "arm")[index]
