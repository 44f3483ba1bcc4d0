"""Episodes in tables: one episode or one timestep per row, with columns for observations, actions and rewards.

Two layouts of columns: the one that the option `columns` describes, and that of the JAT dataset, one episode per row:
{continuous,discrete,image,text}_observations, of which there may be several, one of {continuous,discrete}_actions, and
rewards.

Source: the dataset card of https://huggingface.co/datasets/jat-project/jat-dataset.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium as gym
import numpy as np

from gato.data.episode import Episode, tree_leaves
from gato.data.reading import located
from gato.data.sources.groups import group_ids
from gato.data.sources.inferred_spaces import infer_space, parse_space, read_leaf, unwrap
from gato.data.sources.table import Table, read_blocks, require_type

_PARTS = ("observation", "action", "reward", "terminated", "truncated", "group")
_JAT_OBSERVATIONS = ("continuous_observations", "discrete_observations", "image_observations", "text_observations")
_JAT_ACTIONS = ("continuous_actions", "discrete_actions")
_REWARD = gym.spaces.Box(-np.inf, np.inf, (), np.float64)


@dataclass(frozen=True, kw_only=True)
class EpisodeOptions:
    """What a row means, and what its columns hold."""

    # "episodes": a row is an episode, and a column of observations, actions or rewards holds lists of one entry per
    # timestep; observations may have one more. "timesteps": a row is a timestep; those of an episode follow each other
    # and share the value of the column `episode_index`.
    rows: Literal["episodes", "timesteps"] = "episodes"
    # What stands where, if not as in the JAT dataset: {"observation": {"camera": "image", "arm": "state"},
    # "action": "action", "reward": "reward", "terminated": "done", "truncated": "timeout", "group": "task"}.
    # Observation and action are a column, or an object of columns that becomes a Dict. Reward may be null: there are
    # none, and all count 0. Terminated, truncated and group may be left out. The first two are bools, of which an
    # episode's last counts, and False if left out. Episodes with the same group, judged by an episode's first entry,
    # show the same task; all do if it is left out.
    columns: Mapping[str, Any] | None = None
    # By column, in the form of `parse_space`; inferred where left out. It cannot be for integers, such as those of JAT:
    # {"discrete_actions": {"discrete": 18}} for its Atari games, with 7 for BabyAI.
    spaces: Mapping[str, Any] | None = None
    episode_index: str = "episode_index"  # see rows


class EpisodeTable:
    """The episodes of a table, each read when asked for."""

    def __init__(self, table: Table, name: str, options: EpisodeOptions) -> None:
        """Chooses the columns, and reads the first episode where spaces are inferred.

        Raises:
            ValueError: columns are missing, a space is left open, or the rows of an episode do not follow each other.
        """
        rows, columns = options.rows, options.columns
        self.name, self._table = name, table
        if rows not in ("episodes", "timesteps"):
            raise ValueError(f"{name}: rows is {rows!r}, expected 'episodes' or 'timesteps'")
        self._columns = _check_columns(columns, name) if columns is not None else _jat_columns(table.schema, name)
        self._nested = rows == "episodes"
        for tree in self._columns.values():
            for column in _leaves(tree):
                require_type(table.schema, column, name)
        self._starts = np.arange(len(table) + 1) if self._nested else self._find_starts(options.episode_index)
        self._spaces = self._find_spaces(options.spaces or {})
        self.observation_space = _tree_space(self._columns["observation"], self._spaces)
        self.action_space = _tree_space(self._columns["action"], self._spaces)
        self.groups: np.ndarray = self._find_groups()

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, index: int) -> Episode:
        if not 0 <= index < len(self):
            raise IndexError(f"{self.name}: episode {index} of {len(self)}")
        where = f"{self.name}: episode {index}"
        columns = self._columns
        table = self._read([column for tree in columns.values() for column in _leaves(tree)], index)

        def read(column: str) -> np.ndarray | list[str]:
            place = f"{where}: column {column!r}"
            return read_leaf(self._entries(table[column], place), self._spaces[column], place)

        actions = _map(columns["action"], read)
        observations = _map(columns["observation"], read)
        _, first_action = next(tree_leaves(actions, "actions"))
        rewards = self._rewards(table, len(first_action), where)
        terminated, truncated = (self._ends(table, part, where) for part in ("terminated", "truncated"))
        with located(where):
            return Episode(
                observations=observations, actions=actions, rewards=rewards, terminated=terminated, truncated=truncated
            )

    def episode_returns(self) -> np.ndarray:
        """Sums the rewards of each episode, (episodes,) float64; reads nothing else."""
        reward = self._columns["reward"]
        if reward is None:
            return np.zeros(len(self))
        tables = ((index, self._read([reward], index)) for index in range(len(self)))
        return np.array([self._rewards(table, 0, f"{self.name}: episode {index}").sum() for index, table in tables])

    def _read(self, columns: Sequence[str], index: int) -> Any:
        return self._table.read(columns, int(self._starts[index]), int(self._starts[index + 1]))

    def _entries(self, column: Any, where: str) -> Any:
        """Returns a column's entries, one per timestep, as a pyarrow array."""
        values = unwrap(column)
        if not self._nested:
            return values
        if values.null_count:
            raise ValueError(f"{where} is missing, expected a list of one entry a timestep")
        if not hasattr(values.type, "value_type"):
            raise ValueError(
                f"{where} is {values.type}, expected a list of one entry a timestep: set rows to 'timesteps' if each "
                "row is a timestep"
            )
        return values.flatten()

    def _rewards(self, table: Any, length: int, where: str) -> np.ndarray:
        column = self._columns["reward"]
        if column is None:
            return np.zeros(length, np.float64)
        place = f"{where}: column {column!r}"
        return np.asarray(read_leaf(self._entries(table[column], place), _REWARD, place))

    def _ends(self, table: Any, part: str, where: str) -> bool:
        """Returns the last entry of a column of bools: of the episode's list, or of its last row."""
        column = self._columns.get(part)
        if column is None:
            return False
        value = table[column][-1].as_py()
        value = value[-1] if isinstance(value, list) and value else value
        if not isinstance(value, bool):
            raise ValueError(f"{where}: column {column!r} ends with {value!r}, expected true or false")
        return value

    def _find_spaces(self, declared: Mapping[str, Any]) -> dict[str, gym.Space]:
        parts = [column for part in ("observation", "action") for column in _leaves(self._columns[part])]
        unknown = sorted(set(declared) - set(parts))
        if unknown:
            raise ValueError(f"{self.name}: spaces name {unknown}, but observations and actions stand in {parts}")
        found: dict[str, gym.Space] = {}
        for column in parts:
            where = f"{self.name}: column {column!r}"
            if column in declared:
                found[column] = parse_space(declared[column], where)
                continue
            first = self._entries(self._read([column], 0)[column], where)
            found[column] = infer_space(first, where, lambda column=column: self._scan(column))  # type: ignore[misc]
            if isinstance(found[column], gym.spaces.Text) and column in _leaves(self._columns["action"]):
                raise ValueError(f'{where} holds actions of text: declare its space, such as {{"text": 64}}')
        return found

    def _scan(self, column: str) -> Iterator[Any]:
        for _, values in read_blocks(self._table, column):
            yield self._entries(values, f"{self.name}: column {column!r}")

    def _find_starts(self, column: str) -> np.ndarray:
        """Finds the first row of every episode; the number of rows stands at the end."""
        require_type(self._table.schema, column, self.name)
        seen: dict[Any, int] = {}
        last = None
        for start, values in read_blocks(self._table, column):
            for row, value in enumerate(values.to_pylist(), start):
                if value is None or (value != last and value in seen):
                    problem = "is missing" if value is None else f"is {value!r} again after another episode"
                    raise ValueError(
                        f"{self.name}: column {column!r} {problem} in row {row}, expected the rows of an episode to "
                        "follow each other: sort the dataset by it"
                    )
                if value != last:
                    seen[value] = row
                    last = value
        return np.array([*seen.values(), len(self._table)])

    def _find_groups(self) -> np.ndarray:
        column = self._columns.get("group")
        if column is None:
            return np.zeros(len(self), np.int64)
        starts = set(self._starts[:-1].tolist())
        return group_ids(
            json.dumps(value[0] if isinstance(value, list) and value else value)
            for start, values in read_blocks(self._table, column)
            for row, value in enumerate(values.to_pylist(), start)
            if row in starts
        )


def _jat_columns(schema: Any, name: str) -> dict[str, Any]:
    observed = [column for column in _JAT_OBSERVATIONS if column in schema.names]
    acted = [column for column in _JAT_ACTIONS if column in schema.names]
    if not observed or len(acted) != 1 or "rewards" not in schema.names:
        raise ValueError(
            f"{name}: the columns {schema.names} are not those of the JAT dataset: say with columns which hold "
            "observations, actions and rewards"
        )
    observation = observed[0] if len(observed) == 1 else {column: column for column in observed}
    return {"observation": observation, "action": acted[0], "reward": "rewards"}


def _check_columns(columns: Mapping[str, Any], name: str) -> dict[str, Any]:
    unknown, missing = sorted(set(columns) - set(_PARTS)), sorted({*_PARTS[:3]} - set(columns))
    if unknown or missing:
        problem = f"name {unknown}" if unknown else f"lack {missing}"
        raise ValueError(f"{name}: columns {problem}, expected {list(_PARTS[:3])} and perhaps {list(_PARTS[3:])}")
    for part, tree in columns.items():
        required = part in ("observation", "action")
        names = list(tree.values()) if required and isinstance(tree, Mapping) else [tree]
        if not names or not all(isinstance(column, str) or (column is None and not required) for column in names):
            raise ValueError(f"{name}: columns give {tree!r} for {part!r}, expected the name of a column")
    return {part: dict(tree) if isinstance(tree, Mapping) else tree for part, tree in columns.items()}


def _leaves(tree: Any) -> list[str]:
    return list(tree.values()) if isinstance(tree, dict) else [] if tree is None else [tree]


def _map(tree: Any, leaf: Callable[[str], Any]) -> Any:
    return {key: leaf(column) for key, column in tree.items()} if isinstance(tree, dict) else leaf(tree)


def _tree_space(tree: Any, leaves: Mapping[str, gym.Space]) -> gym.Space:
    space = _map(tree, leaves.__getitem__)
    return gym.spaces.Dict(space) if isinstance(space, dict) else space
