"""Joining recorded parts to one dataset."""

import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Text

from gato.data.episode import Episode
from gato.data.sources.minari import MinariSource
from gato.data.sources.minari_writer import join_minari, write_minari

OBSERVATION_SPACE = Dict({"camera": Box(0, 255, (32, 32, 3), np.uint8), "mission": Text(9)})
ACTION_SPACE = Discrete(3)


def episode(number: int) -> Episode:
    rng = np.random.default_rng(number)
    return Episode(
        observations={"camera": rng.integers(255, size=(4, 32, 32, 3), dtype=np.uint8), "mission": [str(number)] * 4},
        actions=rng.integers(3, size=3),
        rewards=rng.normal(size=3),
        terminated=True,
        truncated=False,
        action_mask=rng.random(3) < 0.5,
        seed=number,
        options={"number": number},
    )


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """Three datasets of episodes 0 to 1, 2 to 4 and 5."""
    folders = []
    for first, last in ((0, 2), (2, 5), (5, 6)):
        folders.append(tmp_path / f"part-{first}")
        write_minari(
            folders[-1], map(episode, range(first, last)), OBSERVATION_SPACE, ACTION_SPACE, dataset_id="part-v0"
        )
    return folders


@pytest.mark.parametrize("num_episodes", [1, 2, 4, 6])
def test_joined_parts_equal_one_recording(tmp_path, parts, num_episodes):
    steps = join_minari(tmp_path / "all", parts, num_episodes, dataset_id="all-v0", metadata={"description": "All."})
    joined = MinariSource(tmp_path / "all", "all")
    assert (len(joined), steps) == (num_episodes, 3 * num_episodes)
    for number in range(num_episodes):
        expected, came = episode(number), joined[number]
        assert np.array_equal(came.observations["camera"], expected.observations["camera"])
        assert came.observations["mission"] == expected.observations["mission"]
        assert np.array_equal(came.actions, expected.actions)
        assert np.array_equal(came.rewards, expected.rewards)
        assert np.array_equal(came.action_mask, expected.action_mask)
        assert (came.seed, came.options) == (number, {"number": number})
    metadata = json.loads((tmp_path / "all" / "data" / "metadata.json").read_text())
    assert (metadata["total_episodes"], metadata["total_steps"]) == (num_episodes, 3 * num_episodes)
    assert (metadata["dataset_id"], metadata["description"]) == ("all-v0", "All.")
    assert joined.observation_space == OBSERVATION_SPACE
    assert isinstance(joined.action_space, gym.spaces.Discrete)


def test_joined_bytes_stay_compressed(tmp_path, parts):
    join_minari(tmp_path / "all", parts, 6, dataset_id="all-v0")

    def size(folder: Path) -> int:
        return (folder / "data" / "main_data.hdf5").stat().st_size

    assert size(tmp_path / "all") < 1.1 * sum(map(size, parts))


def test_too_few_episodes_leave_nothing(tmp_path, parts):
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(ValueError, match="all-v0: the parts hold 6 episodes, expected 7"):
        join_minari(tmp_path / "all", parts, 7, dataset_id="all-v0")
    with pytest.raises(ValueError, match="the parts hold 0 episodes"):
        join_minari(tmp_path / "all", [], 1, dataset_id="all-v0")
    assert sorted(path.name for path in tmp_path.iterdir()) == before
