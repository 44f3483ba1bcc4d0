"""Episodes in Minari's HDF5 format, read with Minari's own classes from a folder on disk: no network, no settings."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import h5py
import minari
from minari.dataset.minari_storage import MinariStorage
from minari.storage.datasets_root_dir import get_dataset_path

from gato.data.episode import Episode
from gato.data.reading import located
from gato.data.sources.groups import group_ids
from gato.data.sources.minari_format import DATA_FOLDER, EXPERT_INFO, MASK_INFO
from gato.data.validation import check_shapes


class MinariSource:
    """The episodes of one Minari dataset; its metadata must hold the spaces."""

    def __init__(self, path: str | Path, name: str, *, hub: bool = False) -> None:
        """Opens the dataset and reads its metadata.

        Args:
            path: the dataset's folder, which holds `data/`, or that folder itself.
            hub: `path` is the id of a dataset of Minari's, such as "mujoco/ant/expert-v0": it lies in Minari's own
                folder, or is fetched into it.

        Raises:
            FileNotFoundError: no dataset there, and none of that id to be had.
            ValueError: the metadata or the HDF5 file is damaged, or lacks the spaces.
        """
        path = _fetched(str(path), name) if hub else Path(path).absolute()
        folder = path / DATA_FOLDER if (path / DATA_FOLDER).is_dir() else path
        if not (folder / "metadata.json").is_file():
            raise FileNotFoundError(
                f"{name}: {path} holds no Minari dataset, expected {DATA_FOLDER}/metadata.json in it"
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
        self.groups = group_ids(json.dumps(options or {}, sort_keys=True) for options in self._options)

    def __len__(self) -> int:
        return len(self._options)

    def episode_returns(self) -> list[float]:
        """Sums the rewards of each episode, undiscounted, without reading observations.

        Raises:
            ValueError: the rewards of an episode cannot be read.
        """
        file = Path(self._dataset.storage.data_path) / "main_data.hdf5"
        if not file.is_file():  # Minari's other layout keeps everything of an episode together
            return [self[index].episode_return for index in range(len(self))]
        returns = []
        with h5py.File(file) as episodes:
            for index in range(len(self)):
                with located(f"{self.name}: episode {index}: its rewards cannot be read", (KeyError, OSError)):
                    returns.append(float(episodes[f"episode_{index}/rewards"][()].sum()))
        return returns

    def __getitem__(self, index: int) -> Episode:
        if not 0 <= index < len(self):
            raise IndexError(f"{self.name}: episode {index} of {len(self)}")
        with located(f"{self.name}: episode {index}", (ValueError, KeyError, OSError, AssertionError)):
            data = self._dataset[index]
            check_shapes(self.observation_space, data.observations, "observations")
            check_shapes(self.action_space, data.actions, "actions")
            infos = data.infos or {}
            mask = infos[MASK_INFO][1:] if MASK_INFO in infos else None
            advised = _advised(self.action_space, infos[EXPERT_INFO]) if EXPERT_INFO in infos else None
            if advised is not None:
                check_shapes(self.action_space, advised, "expert actions")
            return Episode(
                observations=data.observations,
                actions=data.actions,
                rewards=data.rewards,
                terminated=bool(data.terminations[-1:].any()),
                truncated=bool(data.truncations[-1:].any()),
                action_mask=mask,
                expert_actions=advised,
                seed=self._seeds[index],
                options=self._options[index],
            )


def _advised(space: gym.Space, info: Any) -> Any:
    """Returns the expert's actions out of the info of that name, which Minari reads without a space."""
    match space:
        case gym.spaces.Dict():
            return {key: _advised(part, info[key]) for key, part in space.items()}
        case gym.spaces.Tuple():
            return tuple(_advised(part, info[f"_index_{index}"]) for index, part in enumerate(space))
        case gym.spaces.Text():
            return [text.decode() for text in info[1:]]
    return info[1:]


def _fetched(dataset_id: str, name: str) -> Path:
    """Finds the folder of a dataset of Minari's, and fetches it from its server if it is not on this machine."""
    try:
        minari.dataset.minari_dataset.parse_dataset_id(dataset_id)
    except (ValueError, TypeError) as error:  # the latter where the version is missing
        raise ValueError(
            f"{name}: {dataset_id!r} is no id of Minari's, expected one such as 'mujoco/ant/expert-v0'"
        ) from error
    folder = get_dataset_path(dataset_id)
    if not folder.is_dir():
        try:
            minari.download_dataset(dataset_id)
        except (ValueError, OSError, ImportError, RuntimeError) as error:
            raise FileNotFoundError(
                f"{name}: Minari's dataset {dataset_id!r} is not in {folder} and cannot be fetched: {error}"
            ) from error
    return folder


def _read_options(stored: Any, where: str) -> dict[str, Any] | None:
    """Reads reset options as we store them (JSON), or as Minari itself does (nested attributes)."""
    if stored is None:
        return None
    if isinstance(stored, Mapping):
        return json.loads(json.dumps(stored, default=lambda value: value.tolist()))  # arrays and numbers of numpy
    try:
        options = json.loads(stored)
    except (TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{where}: options are {stored!r}, expected JSON") from error
    if not isinstance(options, dict):
        raise ValueError(f"{where}: options are {stored!r}, expected a JSON object")
    return options
