"""Episodes in the RLDS layout of TensorFlow Datasets, read without TensorFlow.

A dataset is a folder with `dataset_info.json` (splits, their files and numbers of records), `features.json` (the type
of each field) and TFRecord or ArrayRecord files. A record is one episode: a `tf.train.Example` with one feature per
field, named by its path, such as `steps/observation/image`, that holds the field's values of all steps in a row.

A step is an observation, the action taken on it and the reward for that. By the standard, the step with `is_last` holds
the last observation only, and its action and reward mean nothing.

Source: the RLDS format, https://github.com/google-research/rlds; `tfds.features` for the fields.
"""

import difflib
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from gato.data.episode import Episode
from gato.data.reading import located
from gato.data.sources.groups import group_ids
from gato.data.sources.images import check_size
from gato.data.sources.rlds_layout import Field, Shard, open_shards, read_fields, read_info
from gato.data.sources.rlds_values import decode_values
from gato.data.sources.tfrecord import Values, parse_example
from gato.data.validation import check_members

_STEPS = "steps/"
_OBSERVATION = "observation"
_TEXT_LENGTH = 4096  # of the Text space, as are its characters; observed texts beyond either are read all the same


class RldsSource:
    """The episodes of one split. Only the fields asked for are decoded, and only when their episode is."""

    def __init__(
        self,
        path: str | Path,
        name: str,
        *,
        split: str | None = None,
        observations: Sequence[str] | None = None,
        action: str = "action",
        reward: str | None = "reward",
        discrete: Mapping[str, int | list[int] | None] | None = None,
        image_size: Sequence[int] | None = None,
        last_step_acts: bool = False,
        group_by: str | None = None,
    ) -> None:
        """Opens the dataset and finds where its records begin; reads no episode unless `group_by` is given.

        Paths of fields are those below a step, such as "observation/image"; one of a branch means all fields below it.

        Args:
            path: the folder of one version, which holds `dataset_info.json`.
            split: "train", for instance; may be left out where there is only one.
            observations: what is observed, such as ["observation/image", "language_instruction"]; None = all of
                "observation". An observation is a dict of these, without "observation/" in front.
            action: what is imitated; a branch gives a dict.
            reward: None = the episodes have no rewards, and get zeros.
            discrete: the number of values of integer fields, counted from 0, which the files do not hold: one number,
                or one per element; None = a quantity, not a choice. Needed for integers in an action, and
                elsewhere for those of more than 8 bits.
            image_size: [height, width] that images are scaled to; None = as they are. An image has to fit into the
                context as patches, which a camera's rarely does.
            last_step_acts: the action and the reward of the last step count, against the standard, as in many
                recordings of robots.
            group_by: the field that names the task, such as "steps/language_instruction" (of the first step) or
                "episode_metadata/task"; an episode is never the prompt of another task's. Every record is read once for
                it. None = all show the same task.

        Raises:
            FileNotFoundError: no dataset there, or one of its files is missing.
            ValueError: damaged files, no such split or field, or a field of a kind that is not read; names it.
        """
        self.name, self._where = name, f"{name}: {path}"
        info = read_info(Path(path), self._where)
        fields = read_fields(Path(path), self._where)
        self._steps = {key.removeprefix(_STEPS): field for key, field in fields.items() if key.startswith(_STEPS)}
        if isinstance(observations, str) or not isinstance(discrete, Mapping | None):
            raise ValueError(
                f"{name}: observations are {observations!r} and discrete is {discrete!r}, expected a list of fields, "
                "and an object of sizes by field"
            )
        self._discrete = dict(discrete or {})
        self._image_size = check_size(image_size, name)
        self._last_step_acts = last_step_acts
        chosen = [self._below(each) for each in ([_OBSERVATION] if observations is None else observations)]
        self._observed = dict.fromkeys(key for keys in chosen for key in keys)
        if not self._observed:
            raise ValueError(f"{self._where}: nothing is observed, expected one field or more in observations")
        self._acted = self._below(action)
        self._action_root = action
        if both := sorted(set(self._observed) & set(self._acted)):
            raise ValueError(f"{self._where}: {both} are observed and acted, expected each field on one side only")
        self._flags = ["is_terminal"] if last_step_acts else ["is_last", "is_terminal"]
        self._reward = reward
        for key in [*self._flags, *([] if reward is None else [reward])]:
            self._require(key)
        unused = set(self._discrete) - set(self._observed) - set(self._acted)
        if unused:
            raise ValueError(
                f"{self._where}: discrete names {sorted(unused)}, expected fields among "
                f"{[*self._observed, *self._acted]}"
            )
        self._spaces = {key: self._space(key, acts=False) for key in self._observed}
        self._spaces |= {key: self._space(key, acts=True) for key in self._acted}
        with located(self._where):
            self.observation_space: gym.Space = _space_tree(_nest(self._observed, self._spaces, _OBSERVATION))
        self.action_space: gym.Space = _space_tree(_nest(self._acted, self._spaces, action))
        self._shards = open_shards(Path(path), info, split, self._where)
        self._stops = np.cumsum([len(shard) for shard in self._shards])
        self.groups: np.ndarray = np.zeros(len(self), np.int64)
        if group_by is not None:
            if group_by not in fields:
                raise ValueError(f"{self._where}: group_by is {group_by!r}, {_nearest(group_by, fields)}")
            self.groups = group_ids(self._task(index, group_by) for index in range(len(self)))

    def __len__(self) -> int:
        return int(self._stops[-1])

    def __getitem__(self, index: int) -> Episode:
        if not 0 <= index < len(self):
            raise IndexError(f"{self.name}: episode {index} of {len(self)}")
        keys = [*self._observed, *self._acted, *self._flags, *([] if self._reward is None else [self._reward])]
        shard, position = self._place(index)
        with located(f"{self.name}: episode {index} of {shard.path.name}"):
            values = parse_example(shard[position], {_STEPS + key for key in keys})
            missing = [key for key in keys if _STEPS + key not in values]
            if missing:
                raise ValueError(f"the record lacks {[_STEPS + key for key in missing]}, which features.json lists")
            flag = self._decode("is_terminal", values[_STEPS + "is_terminal"], None)
            if not len(flag):
                raise ValueError("it has no steps")
            batched = {key: self._decode(key, values[_STEPS + key], len(flag)) for key in keys}
            return self._episode(batched, len(flag))

    def _episode(self, batched: dict[str, Any], num_steps: int) -> Episode:
        for key in self._flags:
            early = np.flatnonzero(batched[key][:-1])
            if len(early):
                raise ValueError(f"{key} is true at step {early[0]} of {num_steps}, expected at the last one at most")
        ends_early = not self._last_step_acts and bool(batched["is_last"][-1])
        length = num_steps - ends_early
        if length < 1:
            raise ValueError(
                f"it has {num_steps} steps, of which {length} act: leave it out, or set last_step_acts where the "
                "action of the last step counts"
            )
        acted = {key: batched[key][:length] for key in self._acted}
        for key, values in ({key: batched[key] for key in self._observed} | acted).items():
            if not isinstance(values, list):
                check_members(self._spaces[key], values, f"field {_STEPS + key}")
        terminated = bool(batched["is_terminal"][-1])
        rewards = np.zeros(length) if self._reward is None else batched[self._reward][:length].reshape(length)
        return Episode(
            observations=_nest(self._observed, batched, _OBSERVATION),
            actions=_nest(self._acted, acted, self._action_root),
            rewards=rewards.astype(np.float64),
            terminated=terminated,
            truncated=not terminated,
        )

    def _decode(self, key: str, values: Values, num_steps: int | None) -> Any:
        with located(f"field {_STEPS + key}"):
            decoded = decode_values(self._steps[key], values, num_steps, self._image_size)
        if isinstance(decoded, np.ndarray) and key in self._spaces:
            return decoded.astype(self._spaces[key].dtype, copy=False)
        return decoded

    def _space(self, key: str, *, acts: bool) -> gym.Space:
        field = self._steps[key]
        where = f"{self._where}: field {_STEPS + key}"
        if field.problem is not None:
            raise ValueError(f"{where} {field.problem}: leave it out by `observations`, or convert the dataset")
        if acts and field.kind != "tensor":
            raise ValueError(f"{where} is {field.kind}, but an action must be numbers: name another one by `action`")
        if field.kind == "text":
            return gym.spaces.Text(_TEXT_LENGTH, min_length=0, charset=string.printable)
        if field.kind == "image":
            shape = field.shape if self._image_size is None else (*self._image_size, field.shape[2])
            if None in shape:
                raise ValueError(f"{where} has pictures of any size: give image_size to scale them to one")
            return gym.spaces.Box(0, 255, shape, np.uint8)  # type: ignore[arg-type]
        return self._number_space(key, field, where, acts)

    def _number_space(self, key: str, field: Field, where: str, acts: bool) -> gym.Space:
        dtype, shape = np.dtype(field.dtype), tuple(size for size in field.shape if size is not None)
        if key in self._discrete:
            sizes = self._discrete[key]
            if sizes is not None:
                return _choices(sizes, field, shape, where)
        elif field.num_classes is not None:
            return gym.spaces.Discrete(field.num_classes)
        elif dtype.kind in "iu" and (acts or dtype.itemsize > 1):
            raise ValueError(
                f"{where} is {dtype} {shape}, and the files do not say how many values it takes: give "
                f'discrete={{"{key}": n}} for the values 0 to n - 1, or {{"{key}": null}} for a quantity'
            )
        if dtype.kind == "f":
            return gym.spaces.Box(-np.inf, np.inf, shape, dtype.type)
        if dtype.kind == "b":
            return gym.spaces.MultiBinary(shape) if shape else gym.spaces.Discrete(2)
        return gym.spaces.Box(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype.type)

    def _below(self, root: str) -> list[str]:
        """Lists the fields that a path means."""
        keys = [key for key in self._steps if key == root or key.startswith(f"{root}/")]
        if not keys:
            raise ValueError(f"{self._where}: no field {root!r} in a step, {_nearest(root, self._steps)}")
        return sorted(keys)

    def _require(self, key: str) -> None:
        field = self._steps.get(key)
        hint = "set reward to null where there are none" if key == self._reward else "RLDS asks for it"
        if field is None:
            raise ValueError(f"{self._where}: no field {key!r} in a step ({hint}), {_nearest(key, self._steps)}")
        if field.kind != "tensor" or field.problem is not None or set(field.shape) - {1}:
            raise ValueError(f"{self._where}: field {_STEPS + key} is {field.kind} {field.shape}, expected a number")

    def _place(self, index: int) -> tuple[Shard, int]:
        """Returns the file of an episode, and its number in it."""
        number = int(np.searchsorted(self._stops, index, side="right"))
        shard = self._shards[number]
        return shard, index - int(self._stops[number]) + len(shard)

    def _task(self, index: int, key: str) -> bytes:
        shard, position = self._place(index)
        values = parse_example(shard[position], {key}).get(key, [])
        if not len(values):
            raise ValueError(f"{self.name}: episode {index} of {shard.path.name}: no value of {key}, to group by")
        return values[0] if isinstance(values, list) else values[:1].tobytes()


def _choices(sizes: int | list[int], field: Field, shape: tuple[int, ...], where: str) -> gym.Space:
    counts = np.asarray(sizes)
    if np.dtype(field.dtype).kind not in "iub" or counts.dtype.kind != "i" or (counts < 1).any():
        raise ValueError(
            f"{where} is {field.dtype}, discrete gives {sizes!r}: expected sizes of 1 or more for integers"
        )
    if counts.ndim and counts.shape != shape:
        raise ValueError(f"{where} has shape {shape}, but discrete gives {sizes}: expected one size, or one an element")
    if not shape:
        return gym.spaces.Discrete(int(counts))
    return gym.spaces.MultiDiscrete(np.broadcast_to(counts, shape).copy(), dtype=np.int64)


def _nest(keys: Sequence[str] | Mapping[str, Any], values: Mapping[str, Any], root: str) -> Any:
    """Nests values by path in dicts, without the root's name; where the root is the only path, returns its value."""
    if list(keys) == [root]:
        return values[root]
    tree: dict[str, Any] = {}
    for key in keys:
        *branches, leaf = key.removeprefix(f"{root}/").split("/")
        part = tree
        for branch in branches:
            part = part.setdefault(branch, {})
            if not isinstance(part, dict):
                break
        if not isinstance(part, dict) or leaf in part:
            raise ValueError(f"two fields would be called {key.removeprefix(f'{root}/')!r}, of which one is {key!r}")
        part[leaf] = values[key]
    return tree


def _space_tree(tree: Any) -> gym.Space:
    return gym.spaces.Dict({key: _space_tree(part) for key, part in tree.items()}) if isinstance(tree, dict) else tree


def _nearest(key: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are {sorted(known)}"
