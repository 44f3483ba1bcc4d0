"""Robot episodes in the LeRobot layout, version 3: tables of numbers, and videos decoded when asked for.

A dataset is a folder: meta/info.json names the features; meta/tasks.parquet the instructions; meta/episodes/ says where
each episode lies; data/ holds one row per timestep, many episodes per file; videos/ holds one stream of frames per
camera, many episodes per file, each from one timestamp to another.

Source: the format's description in the documentation of LeRobot, https://huggingface.co/docs/lerobot.
"""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from PIL import Image

from gato.data.episode import Episode
from gato.data.reading import located
from gato.data.sources.groups import group_ids
from gato.data.sources.images import check_size, shrink
from gato.data.sources.inferred_spaces import infer_space, parse_space, read_frame, read_leaf, unwrap
from gato.data.sources.parquet import ParquetTable
from gato.data.sources.table import require_type
from gato.data.sources.video import decode_frames

_VERSION = "v3"
_VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
_VIDEO_PARTS = ("chunk_index", "file_index", "from_timestamp", "to_timestamp")
_TASK = "task"
_REWARD = gym.spaces.Box(-np.inf, np.inf, (), np.float64)


class LeRobotSource:
    """The episodes of one LeRobot dataset.

    Observations are a Dict: the features whose names start with "observation", under these names, and "task", the
    instruction as Text. The format has neither an observation after the last action, nor, mostly, rewards and ends:
    rewards are zeros where there is no feature next.reward, and terminated is False where there is no next.done.
    Episodes with the same instruction are of one group.
    """

    def __init__(
        self,
        path: str | Path,
        name: str,
        *,
        images: Sequence[str] | None = None,
        image_size: Sequence[int] | None = None,
        task: bool = True,
        spaces: Mapping[str, Any] | None = None,
    ) -> None:
        """Reads the metadata.

        Args:
            path: the dataset's folder.
            images: the features with images to keep, such as ["observation.images.top"]; [] for none, null for all.
            image_size: [height, width] that images are scaled to, smoothly and without regard to their proportions;
                null keeps their size. A frame of 480 x 640 is 1,200 patches of 16 x 16, more than fits into an
                observation or the usual context; [64, 64] is 16 patches.
            task: whether the instruction is part of the observation.
            spaces: of other features by name, in the form of `gato.data.sources.inferred_spaces.parse_space`. Needed
                for whole numbers; without it, floats are unbounded. Bounds of "action" let the tokenizer spread its
                bins between them.

        Raises:
            FileNotFoundError: no such dataset.
            ValueError: another version of the layout, or damaged or contradictory metadata.
        """
        self.name, self._path = name, Path(path)
        info = _read_info(self._path, name)
        self._fps, self._features = float(info["fps"]), info["features"]
        self._video_path: str = info.get("video_path") or _VIDEO_PATH
        self._image_size = check_size(image_size, name)
        image_keys = [key for key, feature in self._features.items() if feature["dtype"] in ("image", "video")]
        for key in images or ():
            if key not in image_keys:
                near = difflib.get_close_matches(key, image_keys, n=1)
                hint = f": did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"{name}: images name {key!r}, expected of {image_keys}{hint}")
        self._images = [
            key for key in image_keys if key.startswith("observation") and (images is None or key in images)
        ]
        self._images += [key for key in images or () if key not in self._images]
        self._rewarded = ["next.reward"] if "next.reward" in self._features else []
        self._shows_task = task
        self._states = [key for key in self._features if key.startswith("observation") and key not in image_keys]
        if "action" not in self._features:
            raise ValueError(f"{name}: the features {list(self._features)} have no 'action': there is nothing to learn")

        self._tasks = _read_tasks(self._path, name)
        self._table = ParquetTable(self._path / "data", name)
        self._episodes, tasks = self._read_episodes(int(info["total_episodes"]))
        self.observation_space, self.action_space = self._make_spaces(dict(spaces or {}))
        self.groups = group_ids(tasks)

    def __len__(self) -> int:
        return len(self._episodes["length"])

    def __getitem__(self, index: int) -> Episode:
        if not 0 <= index < len(self):
            raise IndexError(f"{self.name}: episode {index} of {len(self)}")
        where = f"{self.name}: episode {index}"
        stored = [key for key in self._images if self._features[key]["dtype"] == "image"]
        done = ["next.done"] if "next.done" in self._features else []
        table = self._read_rows(index, ["task_index", *self._states, "action", *self._rewarded, *done, *stored])
        observations: dict[str, Any] = {}
        for key in self._states:
            observations[key] = read_leaf(table[key], self.observation_space[key], f"{where}: {key}")
        for key in self._images:
            observations[key] = self._read_images(index, key, table, f"{where}: {key}")
        if self._shows_task:
            observations[_TASK] = [self._task(number, where) for number in table["task_index"].to_pylist()]
        actions = read_leaf(table["action"], self.action_space, f"{where}: action")
        rewards = self._read_rewards(table, where)
        terminated = bool(done) and bool(unwrap(table["next.done"])[-1].as_py())
        with located(where):
            return Episode(
                observations=observations, actions=actions, rewards=rewards, terminated=terminated, truncated=False
            )

    def episode_returns(self) -> np.ndarray:
        """Sums the rewards of each episode, (episodes,) float64; reads nothing else."""
        if not self._rewarded:
            return np.zeros(len(self))
        tables = ((index, self._read_rows(index, self._rewarded)) for index in range(len(self)))
        return np.array([self._read_rewards(table, f"{self.name}: episode {index}").sum() for index, table in tables])

    def _read_rewards(self, table: Any, where: str) -> np.ndarray:
        if not self._rewarded:
            return np.zeros(len(table), np.float64)
        (column,) = self._rewarded
        return np.asarray(read_leaf(table[column], _REWARD, f"{where}: {column}"))

    def _read_rows(self, index: int, columns: Sequence[str]) -> Any:
        bounds = ("dataset_from_index", "dataset_to_index", "length")
        start, stop, length = (int(self._episodes[column][index]) for column in bounds)
        where = f"{self.name}: episode {index}"
        for column in columns:
            require_type(self._table.schema, column, f"{self.name}: data")
        if not 0 <= start < stop <= len(self._table) or stop - start != length:
            raise ValueError(
                f"{where} is said to have {length} timesteps, rows {start} to {stop} of {len(self._table)}: "
                "meta/episodes does not fit data/, repair the dataset"
            )
        table = self._table.read(["episode_index", "frame_index", *columns], start, stop)
        expected = {"episode_index": np.full(stop - start, index), "frame_index": np.arange(stop - start)}
        for column, numbers in expected.items():
            came = table[column].to_pylist()
            if came != numbers.tolist():
                raise ValueError(
                    f"{where}: {column} of its rows {start} to {stop} is {came[:3]} ..., expected "
                    f"{numbers.tolist()[:3]} ...: meta/episodes does not fit data/, repair the dataset"
                )
        return table

    def _read_images(self, index: int, key: str, table: Any, where: str) -> np.ndarray:
        """Reads the images of one camera, (T, height, width, channels) uint8."""
        shape, size = self.observation_space[key].shape, self._image_size
        if self._features[key]["dtype"] == "image":
            frames = [
                shrink(read_frame(item, f"{where}: timestep {step}"), size, Image.Resampling.BILINEAR)
                for step, item in enumerate(table[key].to_pylist())
            ]
        else:
            chunk, file, start_s, _ = (self._episodes[f"videos/{key}/{part}"][index] for part in _VIDEO_PARTS)
            path = self._path / self._video_path.format(video_key=key, chunk_index=int(chunk), file_index=int(file))
            # The column timestamp is rounded to float32; the grid of the frame rate is not.
            times = start_s + np.arange(len(table)) / self._fps
            frames = decode_frames(path, times, 0.5 / self._fps, size, where)
        for step, frame in enumerate(frames):
            if frame.shape != shape:
                raise ValueError(f"{where}: frame {step} is {frame.shape}, but meta/info.json says {shape}")
        return np.stack(frames)

    def _task(self, number: int, where: str) -> str:
        if number not in self._tasks:
            raise ValueError(f"{where}: task_index is {number}, meta/tasks.parquet has {sorted(self._tasks)[:10]}")
        return self._tasks[number]

    def _make_spaces(self, declared: dict[str, Any]) -> tuple[gym.spaces.Dict, gym.Space]:
        keys = [*self._states, "action"]
        unknown = set(declared) - set(keys)
        if unknown:
            raise ValueError(f"{self.name}: spaces name {sorted(unknown)}, expected of {keys}")
        found: dict[str, gym.Space] = {}
        for key in keys:
            where = f"{self.name}: {key}"
            if key in declared:
                found[key] = parse_space(declared[key], where)
                continue
            feature = self._features[key]
            if feature["dtype"] in ("float32", "float64"):
                found[key] = gym.spaces.Box(-np.inf, np.inf, tuple(feature["shape"]), np.dtype(feature["dtype"]).type)
                continue
            first = self._read_rows(0, [key])[key]
            found[key] = infer_space(first, where, lambda key=key: self._scan(key))  # type: ignore[misc]
        for key in self._images:
            found[key] = self._image_space(key)
        if self._shows_task:
            characters = "".join(sorted(set("".join(self._tasks.values()))))
            longest = max(map(len, self._tasks.values()), default=0)
            found[_TASK] = gym.spaces.Text(max(longest, 1), min_length=0, charset=characters)
        action = found.pop("action")
        if not found:
            raise ValueError(f"{self.name}: nothing is left to observe, expected states, images or task")
        return gym.spaces.Dict(found), action

    def _scan(self, key: str) -> Iterator[Any]:
        for index in range(len(self)):
            yield self._read_rows(index, [key])[key]

    def _image_space(self, key: str) -> gym.spaces.Box:
        feature = self._features[key]
        if any((feature.get("info") or {}).get(mark) for mark in ("is_depth_map", "video.is_depth_map")):
            raise ValueError(f"{self.name}: {key} holds depths, not pictures: leave it out with images")
        shape = tuple(feature["shape"])
        first, last = (len(shape) == 3 and shape[axis] in (1, 3, 4) for axis in (0, 2))
        if first == last:
            raise ValueError(f"{self.name}: {key} has shape {shape}, expected channels as the first or the last axis")
        height, width, channels = shape if last else (*shape[1:], shape[0])
        channels = 3 if feature["dtype"] == "video" else channels  # decoded to RGB
        return gym.spaces.Box(0, 255, (*(self._image_size or (height, width)), channels), np.uint8)

    def _read_episodes(self, expected: int) -> tuple[dict[str, np.ndarray], list[str]]:
        """Reads where episodes lie, by column of meta/episodes, and the instructions of each as one string."""
        table = ParquetTable(self._path / "meta" / "episodes", self.name)
        videos = [key for key in self._images if self._features[key]["dtype"] == "video"]
        columns = ["episode_index", "length", "dataset_from_index", "dataset_to_index"]
        columns += [f"videos/{key}/{part}" for key in videos for part in _VIDEO_PARTS]
        for column in [*columns, "tasks"]:
            require_type(table.schema, column, f"{self.name}: meta/episodes")
        rows = table.read([*columns, "tasks"], 0, len(table)).sort_by("episode_index")
        if rows["episode_index"].to_pylist() != list(range(expected)):
            raise ValueError(
                f"{self.name}: meta/episodes lists {len(rows)} episodes, meta/info.json says {expected}, expected each "
                "once, numbered from 0: the download is incomplete, or the dataset damaged"
            )
        episodes = {column: rows[column].to_numpy() for column in columns}
        for key in videos:
            duration_s = episodes[f"videos/{key}/to_timestamp"] - episodes[f"videos/{key}/from_timestamp"]
            short = np.flatnonzero(np.round(duration_s * self._fps) < episodes["length"])
            if len(short):
                raise ValueError(
                    f"{self.name}: episode {short[0]}: {key} lasts {duration_s[short[0]]:.3f} s, too short for "
                    f"{episodes['length'][short[0]]} frames at {self._fps:g} a second: repair the dataset"
                )
        return episodes, [json.dumps(tasks) for tasks in rows["tasks"].to_pylist()]


def _read_info(path: Path, name: str) -> dict[str, Any]:
    file = path / "meta" / "info.json"
    if not file.is_file():
        raise FileNotFoundError(f"{name}: {path} holds no LeRobot dataset, expected meta/info.json in it")
    try:
        info = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{name}: {file} is not JSON ({error})") from error
    if not isinstance(info, dict) or not str(info.get("codebase_version", "")).startswith(_VERSION):
        version = info.get("codebase_version") if isinstance(info, dict) else None
        raise ValueError(
            f"{name}: the layout is {version!r}, expected {_VERSION}.x: convert it with LeRobot's own script"
        )
    missing = [key for key in ("fps", "features", "total_episodes") if key not in info]
    if missing:
        raise ValueError(f"{name}: {file} lacks {missing}")
    for key, feature in info["features"].items():
        if not isinstance(feature, dict) or not {"dtype", "shape"} <= set(feature):
            raise ValueError(f"{name}: {file}: feature {key!r} is {feature!r}, expected dtype and shape")
    return info


def _read_tasks(path: Path, name: str) -> dict[int, str]:
    """Reads the instructions by number; pandas wrote them as an index, with or without a name."""
    table = ParquetTable(path / "meta" / "tasks.parquet", name)
    texts = [column for column in table.schema.names if column in ("task", "__index_level_0__")]
    require_type(table.schema, "task_index", f"{name}: meta/tasks.parquet")
    if len(texts) != 1:
        raise ValueError(
            f"{name}: meta/tasks.parquet has {table.schema.names}, expected the columns task_index and task"
        )
    rows = table.read(["task_index", texts[0]], 0, len(table)).to_pylist()
    return {row["task_index"]: row[texts[0]] for row in rows}
