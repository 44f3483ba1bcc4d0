"""Episodes in Minari's HDF5 format, read with Minari's own classes from a folder on disk: no network, no settings.

What we add to the format, and plain Minari carries along: the episode attributes `seed` (as Minari itself writes it)
and `options` (the reset options as JSON), and the info `action_loss_mask`, aligned like every info: entry t + 1 belongs
to action t.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import h5py
import minari
import numpy as np
from gymnasium.envs.registration import EnvSpec
from minari.dataset.minari_storage import MinariStorage

from gato.data.episode import Episode

_DATA_FOLDER = "data"  # Minari keeps a dataset in this folder below the dataset's own
_MASK_INFO = "action_loss_mask"
_COMPRESSED_FROM_BYTES = 4096  # smaller arrays cost more in chunk bookkeeping than compression saves
_CHUNK_FRAMES = 32  # entries of an array compressed together


class MinariSource:
    """The episodes of one Minari dataset; its metadata must hold the spaces."""

    def __init__(self, path: str | Path, name: str) -> None:
        """Opens the dataset and reads its metadata.

        Args:
            path: the dataset's folder, which holds `data/`, or that folder itself.
            name: names the dataset in errors and metrics.

        Raises:
            FileNotFoundError: no dataset there.
            ValueError: the metadata or the HDF5 file is damaged, or lacks the spaces.
        """
        path = Path(path).absolute()
        folder = path / _DATA_FOLDER if (path / _DATA_FOLDER).is_dir() else path
        if not (folder / "metadata.json").is_file():
            raise FileNotFoundError(
                f"{name}: {path} holds no Minari dataset, expected {_DATA_FOLDER}/metadata.json in it"
            )
        self.name = name
        try:
            missing = {"observation_space", "action_space"} - set(MinariStorage.read_raw_metadata(folder))
            if missing:
                raise ValueError(f"the metadata lacks {sorted(missing)}: record the dataset with its spaces")
            self._dataset = minari.MinariDataset(str(folder))
            metadata = list(self._dataset.storage.get_episode_metadata(range(len(self._dataset))))
        except (ValueError, KeyError, OSError, AssertionError, NotImplementedError) as error:
            raise ValueError(f"{name}: {path} is no readable Minari dataset: {error!r}") from error
        if not metadata:
            raise ValueError(f"{name}: {path} holds no episodes, expected at least one")
        self.observation_space: gym.Space = self._dataset.observation_space
        self.action_space: gym.Space = self._dataset.action_space
        self._seeds = [None if item.get("seed") is None else int(item["seed"]) for item in metadata]
        self._options = [_read_options(item.get("options"), f"{name}: episode {i}") for i, item in enumerate(metadata)]
        tasks = [json.dumps(options or {}, sort_keys=True) for options in self._options]
        numbers = {task: number for number, task in enumerate(dict.fromkeys(tasks))}
        self.groups: np.ndarray = np.array([numbers[task] for task in tasks])

    def __len__(self) -> int:
        return len(self._options)

    def __getitem__(self, index: int) -> Episode:
        if not 0 <= index < len(self):
            raise IndexError(f"{self.name}: episode {index} of {len(self)}")
        try:
            data = self._dataset[index]
            _check_shapes(self.observation_space, data.observations, "observations")
            _check_shapes(self.action_space, data.actions, "actions")
            mask = None if not data.infos or _MASK_INFO not in data.infos else data.infos[_MASK_INFO][1:]
            return Episode(
                observations=data.observations,
                actions=data.actions,
                rewards=data.rewards,
                terminated=bool(data.terminations[-1:].any()),
                truncated=bool(data.truncations[-1:].any()),
                action_mask=mask,
                seed=self._seeds[index],
                options=self._options[index],
            )
        except (ValueError, KeyError, OSError, AssertionError) as error:
            raise ValueError(f"{self.name}: episode {index}: {error}") from error


def write_minari(
    path: str | Path,
    episodes: Iterable[Episode],
    observation_space: gym.Space,
    action_space: gym.Space,
    *,
    dataset_id: str,
    env_spec: EnvSpec | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Writes a dataset that `MinariSource` and plain Minari read: lossless, compressed, and whole or not at all.

    Arrays are written directly, because Minari's own writer cannot compress them.

    Args:
        path: folder of the dataset; it appears when all episodes are written.
        episodes: each is written before the next is asked for.
        observation_space: of the episodes; kept in the metadata.
        action_space: likewise.
        dataset_id: in Minari's form, like "classic/cartpole-expert-v0".
        env_spec: lets Minari rebuild the environment.
        metadata: further entries of the dataset's metadata as Minari names them, such as "description".

    Raises:
        FileExistsError: the path exists.
        ValueError: no episodes, a malformed dataset id, a space or spec without a stored form, or an episode that does
            not fit the spaces.
    """
    path = Path(path).absolute()  # Minari joins a relative data folder to itself
    if path.exists():
        raise FileExistsError(f"{path} exists: delete it or choose another path")
    minari.dataset.minari_dataset.parse_dataset_id(dataset_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    partial.mkdir()
    try:
        storage = _new_storage(partial / _DATA_FOLDER, observation_space, action_space, env_spec, dataset_id)
        num_episodes = num_steps = 0
        # The newest file layout stores small arrays and groups in a third of the space.
        with h5py.File(storage.data_path / "main_data.hdf5", "w", libver="latest") as file:
            for index, episode in enumerate(episodes):
                try:
                    _check_shapes(observation_space, episode.observations, "observations")
                    _check_shapes(action_space, episode.actions, "actions")
                    _write_episode(file.create_group(f"episode_{index}"), index, episode)
                except (ValueError, TypeError) as error:
                    raise ValueError(f"{dataset_id}: episode {index}: {error}") from error
                num_episodes += 1
                num_steps += len(episode)
        if not num_episodes:
            raise ValueError(f"{dataset_id}: no episodes came, expected at least one")
        storage.update_metadata(
            {
                **(metadata or {}),
                "dataset_id": dataset_id,
                "minari_version": minari.__version__,
                "total_episodes": num_episodes,
                "total_steps": num_steps,
                "dataset_size": storage.get_size(),
            }
        )
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _new_storage(
    folder: Path, observation_space: gym.Space, action_space: gym.Space, env_spec: EnvSpec | None, dataset_id: str
) -> MinariStorage:
    try:
        if env_spec is not None:
            env_spec.to_json()  # Minari itself would warn and leave the spec out
        return MinariStorage.new(
            folder, observation_space, action_space, env_spec, data_format="hdf5", jpeg_encoding=False
        )
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(
            f"{dataset_id}: {error}: store plain Gymnasium spaces (Text for a mission) and an EnvSpec whose entry "
            "point is a string, or none"
        ) from error


def _write_episode(group: h5py.Group, index: int, episode: Episode) -> None:
    group.attrs["id"] = index
    group.attrs["total_steps"] = len(episode)
    if episode.seed is not None:
        group.attrs["seed"] = episode.seed
    if episode.options is not None:
        group.attrs["options"] = json.dumps(episode.options)
    at_end = np.arange(len(episode)) == len(episode) - 1
    _write_tree(group, "observations", episode.observations, len(episode) + 1)
    _write_tree(group, "actions", episode.actions, len(episode))
    _write_tree(group, "rewards", episode.rewards, len(episode))
    _write_tree(group, "terminations", at_end & episode.terminated, len(episode))
    _write_tree(group, "truncations", at_end & episode.truncated, len(episode))
    if episode.action_mask is not None:
        _write_tree(group, "infos", {_MASK_INFO: np.append(True, episode.action_mask)}, len(episode) + 1)


def _write_tree(group: h5py.Group, key: str, tree: Any, length: int) -> None:
    """Writes a batched tree in Minari's layout: groups for Dict and Tuple, one dataset a leaf."""
    if isinstance(tree, tuple):
        tree = {f"_index_{index}": part for index, part in enumerate(tree)}
    if isinstance(tree, Mapping):
        part_group = group.create_group(key)
        for name, part in tree.items():
            if "/" in name:
                raise ValueError(f"{key} holds the key {name!r}, HDF5 allows no slash: rename it")
            _write_tree(part_group, name, part, length)
        return
    if len(tree) != length:
        raise ValueError(f"{key} has {len(tree)} entries, expected {length}: Minari also stores the last observation")
    if isinstance(tree, list):
        if any("\0" in text for text in tree):
            raise ValueError(f"{key} holds a text with a NUL character, which HDF5 would cut there: remove it")
        group.create_dataset(key, data=tree, dtype=h5py.string_dtype("utf-8"))
    elif tree.nbytes < _COMPRESSED_FROM_BYTES:
        group.create_dataset(key, data=tree)
    else:
        chunks = (min(len(tree), _CHUNK_FRAMES if tree.ndim > 2 else len(tree)), *tree.shape[1:])
        group.create_dataset(key, data=tree, chunks=chunks, compression="gzip", compression_opts=1, shuffle=True)


def _check_shapes(space: gym.Space, tree: Any, path: str) -> None:
    """Refuses a batched tree whose structure or leaf shapes are not those of the space."""
    match space:
        case gym.spaces.Dict():
            if not isinstance(tree, Mapping) or set(tree) != set(space):
                came = sorted(tree) if isinstance(tree, Mapping) else type(tree).__name__
                raise ValueError(f"{path} holds {came}, expected a dict with {sorted(space)}")
            for key, part in space.items():
                _check_shapes(part, tree[key], f"{path}/{key}")
        case gym.spaces.Tuple():
            if not isinstance(tree, tuple) or len(tree) != len(space):
                raise ValueError(f"{path} is {type(tree).__name__}, expected a tuple of {len(space)}")
            for index, part in enumerate(space):
                _check_shapes(part, tree[index], f"{path}/{index}")
        case gym.spaces.Text():
            if not isinstance(tree, list) or not all(isinstance(text, str) for text in tree):
                raise ValueError(f"{path} is {type(tree).__name__}, expected a list of str")
        case _:
            if not isinstance(tree, np.ndarray) or tree.dtype.kind not in "biuf" or tree.shape[1:] != space.shape:
                came = f"{tree.dtype} {tree.shape}" if isinstance(tree, np.ndarray) else type(tree).__name__
                raise ValueError(f"{path} is {came}, expected numbers of shape (timesteps, *{space.shape}) for {space}")


def _read_options(stored: Any, where: str) -> dict[str, Any] | None:
    """Reset options as we store them (JSON), or as Minari itself does (nested attributes)."""
    if stored is None or isinstance(stored, Mapping):
        return None if stored is None else _plain(stored)
    try:
        options = json.loads(stored)
    except (TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{where}: options are {stored!r}, expected JSON") from error
    if not isinstance(options, dict):
        raise ValueError(f"{where}: options are {stored!r}, expected a JSON object")
    return options


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
