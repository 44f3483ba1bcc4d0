"""Writes episodes as Minari datasets: lossless, compressed, and whole or not at all."""

import json
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import gymnasium as gym
import h5py
import minari
import numpy as np
from gymnasium.envs.registration import EnvSpec
from minari.dataset.minari_storage import MinariStorage

from gato.data.episode import Episode
from gato.data.reading import located
from gato.data.sources.minari_format import DATA_FOLDER, EXPERT_INFO, MASK_INFO
from gato.data.validation import check_shapes
from gato.files import new_folder

_FILE = "main_data.hdf5"  # Minari's name for all episodes of a dataset
_COMPRESSED_FROM_BYTES = 4096  # smaller arrays cost more in chunk bookkeeping than compression saves
_CHUNK_FRAMES = 32  # entries of an array compressed together


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
    with _new_dataset(path, dataset_id) as partial:
        storage = _new_storage(partial / DATA_FOLDER, observation_space, action_space, env_spec, dataset_id)
        num_episodes = num_steps = 0
        # The newest file layout stores small arrays and groups in a third of the space.
        with h5py.File(storage.data_path / _FILE, "w", libver="latest") as file:
            for index, episode in enumerate(episodes):
                with located(f"{dataset_id}: episode {index}", (ValueError, TypeError)):
                    check_shapes(observation_space, episode.observations, "observations")
                    check_shapes(action_space, episode.actions, "actions")
                    _write_episode(file.create_group(f"episode_{index}"), index, episode)
                num_episodes += 1
                num_steps += len(episode)
        _finish(storage, dataset_id, num_episodes, num_steps, metadata)


def join_minari(
    path: str | Path,
    parts: Iterable[str | Path],
    num_episodes: int,
    *,
    dataset_id: str,
    metadata: Mapping[str, Any] | None = None,
) -> int:
    """Writes the first `num_episodes` episodes of several datasets of equal spaces as one, whole or not at all.

    Stored bytes are copied as they are; nothing is decoded or compressed again.

    Args:
        path: folder of the dataset; it appears when all episodes are copied.
        parts: folders that `write_minari` wrote, in the order of their episodes.
        num_episodes: fewer are an error.

    Returns:
        The number of timesteps.

    Raises:
        FileExistsError: the path exists.
        ValueError: the parts hold fewer episodes, or a malformed dataset id.
    """
    with _new_dataset(path, dataset_id) as partial:
        storage = None
        copied = num_steps = 0
        for part in parts:
            folder = Path(part) / DATA_FOLDER
            if storage is None:
                first = MinariStorage.read(folder)
                spaces = (first.observation_space, first.action_space)
                storage = _new_storage(partial / DATA_FOLDER, *spaces, None, dataset_id)
            with (
                h5py.File(folder / _FILE) as source,
                h5py.File(storage.data_path / _FILE, "a", libver="latest") as target,
            ):
                for index in range(min(len(source), num_episodes - copied)):
                    source.copy(f"episode_{index}", target, f"episode_{copied}")
                    group = target[f"episode_{copied}"]
                    group.attrs["id"] = copied
                    num_steps += int(group.attrs["total_steps"])
                    copied += 1
        if storage is None or copied < num_episodes:
            raise ValueError(f"{dataset_id}: the parts hold {copied} episodes, expected {num_episodes}")
        _finish(storage, dataset_id, copied, num_steps, metadata)
    return num_steps


def _new_dataset(path: str | Path, dataset_id: str) -> AbstractContextManager[Path]:
    minari.dataset.minari_dataset.parse_dataset_id(dataset_id)
    return new_folder(Path(path).absolute())  # Minari joins a relative data folder to itself


def _finish(
    storage: MinariStorage, dataset_id: str, num_episodes: int, num_steps: int, metadata: Mapping[str, Any] | None
) -> None:
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
    infos: dict[str, Any] = {}
    if episode.action_mask is not None:
        infos[MASK_INFO] = np.append(True, episode.action_mask)
    if episode.expert_actions is not None:
        infos[EXPERT_INFO] = _after_reset(episode.expert_actions)
    if infos:
        _write_tree(group, "infos", infos, len(episode) + 1)


def _after_reset(tree: Any) -> Any:
    """Returns a batched tree with an entry before its first, that of the reset: the first once more."""
    if isinstance(tree, tuple):
        return tuple(map(_after_reset, tree))
    if isinstance(tree, Mapping):
        return {name: _after_reset(part) for name, part in tree.items()}
    return [tree[0], *tree] if isinstance(tree, list) else np.concatenate([tree[:1], tree])


def _write_tree(group: h5py.Group, key: str, tree: Any, length: int) -> None:
    """Writes a batched tree in Minari's layout: groups for Dict and Tuple, one dataset per leaf."""
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
