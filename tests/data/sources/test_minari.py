"""Minari datasets: what is written is read, by us and by plain Minari, and what is damaged is named."""

import dataclasses
import json
import warnings
from pathlib import Path

import gymnasium as gym
import h5py
import minari
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple
from hypothesis import given, settings
from hypothesis import strategies as st
from minari.data_collector import EpisodeBuffer

from gato.config import SourceConfig
from gato.data.episode import Episode
from gato.data.returns import episode_returns
from gato.data.sources.minari import MinariSource
from gato.data.sources.minari_format import reference_scores
from gato.data.sources.minari_writer import write_minari
from gato.data.sources.opening import open_source

RECORDED = Path(__file__).parents[4] / "shared" / "data" / "minari"  # beside the repository, where there is one

OBSERVATION_SPACE = Dict(
    {
        "camera": Box(0, 255, (16, 20, 3), np.uint8),
        "mission": Text(40),
        "body": Tuple(
            (Box(-np.inf, np.inf, (3,), np.float64), MultiBinary((2, 2)), Dict({"n": Discrete(4, start=-2)}))
        ),
    }
)
ACTION_SPACE = Tuple((MultiDiscrete([3, 2]), Box(-1, 1, (), np.float32)))

leaves = st.sampled_from(
    [
        Discrete(3),
        Discrete(5, start=-2),
        MultiDiscrete([2, 7]),
        MultiDiscrete([[2, 3], [4, 5]]),
        MultiBinary(4),
        MultiBinary((2, 3)),
        Box(-1, 1, (), np.float32),
        Box(-np.inf, np.inf, (2, 3), np.float64),
        Box(-5, 5, (0,), np.float32),
        Box(-(2**63), 2**63 - 1, (1,), np.int64),
        Box(0, 1, (2,), np.bool_),
        Box(0, 255, (8, 8, 3), np.uint8),
        Text(20),
        Text(5, charset="é日 \n"),
    ]
)
nested = st.recursive(
    leaves,
    lambda part: (
        st.dictionaries(st.sampled_from(["a", "b c", "_index_0", "x.y", "é"]), part, max_size=3).map(Dict)
        | st.lists(part, max_size=3).map(Tuple)
    ),
    max_leaves=5,
)


def batch(space, length):
    """Members of a space in batched form."""
    match space:
        case Dict():
            return {key: batch(part, length) for key, part in space.items()}
        case Tuple():
            return tuple(batch(part, length) for part in space)
        case Text():
            return [space.sample() for _ in range(length)]
        case _:
            return np.array([space.sample() for _ in range(length)], space.dtype).reshape(length, *space.shape)


def make_episode(observation_space, action_space, length, number=0, **changes):
    """An episode of random members of the spaces, another for each number."""
    observation_space.seed(number)
    action_space.seed(number)
    fields = {
        "observations": batch(observation_space, length + 1),
        "actions": batch(action_space, length),
        "rewards": np.random.default_rng(number).normal(size=length),
        "terminated": True,
        "truncated": False,
    }
    return Episode(**{**fields, **changes})


def assert_equal_trees(a, b):
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal_trees(a[key], b[key])
    elif isinstance(a, tuple):
        assert len(a) == len(b)
        for left, right in zip(a, b, strict=True):
            assert_equal_trees(left, right)
    elif isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b


@pytest.fixture(scope="module")
def episodes():
    """Different in length, end, seed, options and mask."""
    space = OBSERVATION_SPACE, ACTION_SPACE
    mask = np.array([True, False, False, True, True])
    advised = make_episode(*space, 5, 9).actions
    return [
        make_episode(
            *space, 5, 0, seed=7, options={"goal": "red", "at": [1, 2.5]}, action_mask=mask, expert_actions=advised
        ),
        make_episode(*space, 1, 1, seed=8, options={"goal": "blue", "at": [1, 2.5]}, terminated=False, truncated=True),
        make_episode(*space, 40, 2, options={"at": [1, 2.5], "goal": "red"}, truncated=True),
        make_episode(*space, 3, 3, terminated=False, seed=0),
        make_episode(*space, 3, 4, options={}),
    ]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, episodes):
    path = tmp_path_factory.mktemp("minari") / "rooms-v0"
    spec = EnvSpec("Rooms-v0", entry_point="rooms:Rooms", max_episode_steps=50)
    metadata = {"description": "Rooms of every kind.", "total_steps": -1}
    ids = {"dataset_id": "test/rooms-v0", "env_spec": spec, "metadata": metadata}
    write_minari(path, iter(episodes), OBSERVATION_SPACE, ACTION_SPACE, **ids)
    return path


def write_control(path, episodes=None, **changes):
    """A dataset of numbers, for what needs no more."""
    if episodes is None:
        episodes = [control_episode()]
    ids = {"dataset_id": "test/numbers-v0", **changes}
    write_minari(path, episodes, Box(-1, 1, (2,)), Discrete(3), **ids)
    return path


def control_episode(**changes):
    return make_episode(Box(-1, 1, (2,)), Discrete(3), 4, **changes)


def test_episodes_come_back_as_they_were(dataset, episodes):
    source = MinariSource(dataset, "rooms")
    assert len(source) == len(episodes)
    for index, expected in enumerate(episodes):
        episode = source[index]
        for field in ("observations", "actions", "rewards", "action_mask", "expert_actions"):
            assert_equal_trees(getattr(episode, field), getattr(expected, field))
        for field in ("terminated", "truncated", "seed", "options"):
            assert getattr(episode, field) == getattr(expected, field)


def test_the_spaces_come_back_as_they_were(dataset):
    source = MinariSource(dataset, "rooms")
    assert source.name == "rooms"
    assert source.observation_space == OBSERVATION_SPACE
    assert source.action_space == ACTION_SPACE


def test_equal_options_in_any_order_are_one_group(dataset):
    # Red, blue, red again, and twice no options: absent or empty.
    assert MinariSource(dataset, "rooms").groups.tolist() == [0, 1, 0, 2, 2]


def test_options_that_differ_at_any_depth_are_different_groups(tmp_path):
    options = [
        {"goal": {"at": [1, 2]}},
        {"goal": {"at": [2, 1]}},
        {"goal": {"at": [1, 2]}},
        {"goal": {"at": [1, 2], "n": 0}},
    ]
    path = write_control(tmp_path / "numbers", [control_episode(options=each) for each in options])
    source = MinariSource(path, "numbers")
    assert source.groups.tolist() == [0, 1, 0, 2]
    assert [source[i].options for i in range(4)] == options


@settings(deadline=None, max_examples=40)
@given(
    observation_space=nested,
    action_space=nested,
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    seed=st.integers(0, 2**32 - 1),
)
def test_episodes_of_any_space_come_back(tmp_path_factory, observation_space, action_space, lengths, seed):
    path = tmp_path_factory.mktemp("any") / "any-v0"
    written = [make_episode(observation_space, action_space, n, (seed + n) % 2**32, seed=seed) for n in lengths]
    write_minari(path, written, observation_space, action_space, dataset_id="any-v0")
    source = MinariSource(path, "any")
    assert source.observation_space == observation_space
    assert source.action_space == action_space
    for index, expected in enumerate(written):
        assert_equal_trees(source[index].observations, expected.observations)
        assert_equal_trees(source[index].actions, expected.actions)
        assert source[index].seed == seed


def test_plain_minari_reads_what_we_write(dataset, episodes):
    plain = minari.MinariDataset(str(dataset / "data"))
    assert plain.total_episodes == len(episodes)
    assert plain.total_steps == sum(map(len, episodes))
    assert plain.id == "test/rooms-v0"
    assert plain.storage.metadata["description"] == "Rooms of every kind."
    assert plain.env_spec == EnvSpec("Rooms-v0", entry_point="rooms:Rooms", max_episode_steps=50)
    for data, expected in zip(plain.iterate_episodes(), episodes, strict=True):
        assert_equal_trees(data.observations, expected.observations)
        assert data.terminations.tolist() == [False] * (len(expected) - 1) + [expected.terminated]
        assert data.truncations.tolist() == [False] * (len(expected) - 1) + [expected.truncated]


def test_what_plain_minari_writes_is_read(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    buffers = [
        EpisodeBuffer(
            id=i,
            seed=7 + i,
            options={"goal": {"row": i // 2, "at": np.array([1.5, 2])}, "colour": "red"},
            observations={"view": [np.full(2, i, np.float32)] * 4, "mission": ["go"] * 4},
            actions=[1, 0, 1],
            rewards=[0.0, 0.0, 1.0],
            terminations=[False, False, True],
            truncations=[False] * 3,
            infos={},
        )
        for i in range(3)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Minari asks for an author, a description and more
        minari.create_dataset_from_buffers(
            "test/plain-v0",
            buffers,
            observation_space=Dict({"view": Box(-9, 9, (2,)), "mission": Text(5)}),
            action_space=Discrete(2),
            data_format="hdf5",
        )
    source = MinariSource(tmp_path / "test" / "plain-v0", "plain")
    assert source.groups.tolist() == [0, 0, 1]
    episode = source[2]
    assert episode.options == {"goal": {"row": 1, "at": [1.5, 2.0]}, "colour": "red"}
    assert json.dumps(episode.options)
    assert episode.seed == 9
    assert episode.observations["mission"] == ["go"] * 4
    assert episode.observations["view"].tolist() == [[2, 2]] * 4
    assert episode.actions.tolist() == [1, 0, 1]
    assert episode.terminated
    assert not episode.truncated
    assert episode.action_mask is None


def test_the_folder_of_the_dataset_and_its_data_folder_are_one_dataset(dataset):
    assert len(MinariSource(dataset / "data", "rooms")) == len(MinariSource(str(dataset), "rooms"))


def test_relative_paths_are_written_and_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_control("some/numbers")
    source = MinariSource("some/numbers", "numbers")
    monkeypatch.chdir("/")
    assert len(source[0]) == 4
    assert (tmp_path / "some" / "numbers" / "data" / "main_data.hdf5").is_file()


def test_pictures_are_stored_compressed(tmp_path):
    space = Box(0, 255, (32, 32, 3), np.uint8)
    blank = make_episode(space, Discrete(2), 50, observations=np.zeros((51, 32, 32, 3), np.uint8))
    write_minari(tmp_path / "blank", [blank], space, Discrete(2), dataset_id="blank-v0")
    assert (tmp_path / "blank" / "data" / "main_data.hdf5").stat().st_size < blank.observations.nbytes / 10


@pytest.mark.parametrize("num_before", [0, 2])
def test_an_interrupted_recording_leaves_nothing(tmp_path, num_before):
    def recorded():
        for _ in range(num_before):
            yield control_episode()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_control(tmp_path / "numbers", recorded())
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "numbers"

    def recorded():
        for _ in range(3):
            assert not path.exists()
            yield control_episode()
        assert not path.exists()

    write_control(path, recorded())
    assert len(MinariSource(path, "numbers")) == 3
    assert list(tmp_path.iterdir()) == [path]


def test_an_existing_path_is_refused_before_anything_is_recorded(tmp_path):
    path = write_control(tmp_path / "numbers")

    def recorded():
        pytest.fail("asked for an episode")
        yield

    with pytest.raises(FileExistsError, match="numbers exists: delete it or choose another path"):
        write_control(path, recorded())
    assert len(MinariSource(path, "numbers")) == 1


def test_a_dataset_without_episodes_is_refused(tmp_path):
    with pytest.raises(ValueError, match="test/numbers-v0: no episodes came, expected at least one"):
        write_control(tmp_path / "numbers", [])
    assert list(tmp_path.iterdir()) == []


def test_a_malformed_dataset_id_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Malformed dataset ID"):
        write_control(tmp_path / "numbers", dataset_id="no version!")
    assert list(tmp_path.iterdir()) == []


def with_leaf(path, value):
    """An episode of the nested spaces in which one observation is another."""
    observations = make_episode(OBSERVATION_SPACE, ACTION_SPACE, 2).observations
    return make_episode(OBSERVATION_SPACE, ACTION_SPACE, 2, observations={**observations, path: value})


@pytest.mark.parametrize(
    "make, match",
    [
        (
            lambda: with_leaf("camera", np.zeros((3, 20, 16, 3), np.uint8)),
            r"observations/camera is uint8 \(3, 20, 16, 3\)",
        ),
        (lambda: with_leaf("camera", [1, 2, 3]), "observations/camera is list, expected numbers of shape"),
        (lambda: with_leaf("camera", np.full((3, 16, 20, 3), "a")), "observations/camera is <U1"),
        (lambda: with_leaf("mission", np.zeros(3)), "observations/mission is ndarray, expected a list of str"),
        (lambda: with_leaf("mission", ["go", 1, "go"]), "observations/mission is list, expected a list of str"),
        (lambda: with_leaf("mission", ["go", "g\0o", "go"]), "mission holds a text with a NUL character"),
        (lambda: with_leaf("body", (np.zeros((3, 3)),)), "observations/body is tuple, expected a tuple of 3"),
        (lambda: with_leaf("body", {"n": np.zeros(3)}), "observations/body is dict, expected a tuple of 3"),
        (
            lambda: with_leaf("extra", np.zeros(3)),
            r"observations holds \['body', 'camera', 'extra', 'mission'\], expected",
        ),
        (
            lambda: make_episode(OBSERVATION_SPACE, ACTION_SPACE, 2, observations=np.zeros((3, 2))),
            r"observations holds ndarray, expected a dict with \['body', 'camera', 'mission'\]",
        ),
        (
            lambda: make_episode(OBSERVATION_SPACE, ACTION_SPACE, 2, observations=batch(OBSERVATION_SPACE, 2)),
            "has 2 entries, expected 3: Minari also stores the last observation",
        ),
        (
            lambda: make_episode(OBSERVATION_SPACE, ACTION_SPACE, 2, actions=np.zeros(2)),
            "actions is ndarray, expected a tuple of 2",
        ),
        (
            lambda: make_episode(OBSERVATION_SPACE, ACTION_SPACE, 2, options={"goal": {1, 2}}),
            "set is not JSON serializable",
        ),
    ],
    ids=[
        "shape",
        "list",
        "strings",
        "numbers",
        "mixed",
        "nul",
        "short-tuple",
        "dict",
        "extra-key",
        "no-dict",
        "no-last",
        "actions",
        "options",
    ],
)
def test_an_episode_that_does_not_fit_the_spaces_is_refused_by_number(tmp_path, make, match):
    good = make_episode(OBSERVATION_SPACE, ACTION_SPACE, 2)
    with pytest.raises(ValueError, match=r"^test/rooms-v0: episode 1: .*" + match):
        write_minari(tmp_path / "rooms", [good, make()], OBSERVATION_SPACE, ACTION_SPACE, dataset_id="test/rooms-v0")
    assert list(tmp_path.iterdir()) == []


def test_a_key_with_a_slash_is_refused(tmp_path):
    space = Dict({"a/b": Discrete(2)})
    with pytest.raises(ValueError, match="observations holds the key 'a/b', HDF5 allows no slash"):
        write_minari(tmp_path / "x", [make_episode(space, Discrete(2), 2)], space, Discrete(2), dataset_id="x-v0")


def test_a_space_without_a_stored_form_is_refused(tmp_path):
    class Odd(gym.Space):
        pass

    with pytest.raises(ValueError, match=r"^x-v0: .*store plain Gymnasium spaces"):
        write_minari(tmp_path / "x", [], Odd(), Discrete(2), dataset_id="x-v0")
    assert list(tmp_path.iterdir()) == []


def test_a_spec_without_a_stored_form_is_refused(tmp_path):
    spec = EnvSpec("Local-v0", entry_point=lambda: None)
    with pytest.raises(ValueError, match=r"^test/numbers-v0: .*an EnvSpec whose entry point is a string"):
        write_control(tmp_path / "numbers", env_spec=spec)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_dataset_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(FileNotFoundError, match=r"numbers: .* holds no Minari dataset, expected data/"):
            MinariSource(path, "numbers")


def change_metadata(path, change):
    file = path / "data" / "metadata.json"
    metadata = json.loads(file.read_text())
    change(metadata)
    file.write_text(json.dumps(metadata))


def change_file(path, change):
    with h5py.File(path / "data" / "main_data.hdf5", "r+") as file:
        change(file)


def replace(group, key, value):
    del group[key]
    group[key] = value


@pytest.mark.parametrize(
    "damage, match",
    [
        (lambda path: (path / "data" / "metadata.json").write_text("{"), "is no readable Minari dataset"),
        (lambda path: (path / "data" / "main_data.hdf5").unlink(), "is no readable Minari dataset"),
        (lambda path: (path / "data" / "main_data.hdf5").write_bytes(b"no"), "is no readable Minari dataset"),
        (
            lambda path: change_metadata(path, lambda metadata: metadata.pop("action_space")),
            r"the metadata lacks \['action_space'\]: record the dataset with its spaces",
        ),
        (
            lambda path: change_metadata(path, lambda metadata: metadata.update(total_episodes=5)),
            "is no readable Minari dataset",
        ),
        (
            lambda path: change_file(path, lambda file: file["episode_1"].attrs.update(options="{")),
            "numbers: episode 1: options are '{', expected JSON",
        ),
        (
            lambda path: change_file(path, lambda file: file["episode_1"].attrs.update(options="[1]")),
            "numbers: episode 1: options are .* expected a JSON object",
        ),
    ],
    ids=["metadata", "no-file", "no-hdf5", "no-space", "episodes-missing", "options", "options-list"],
)
def test_a_damaged_dataset_is_refused_when_opened(tmp_path, damage, match):
    path = write_control(tmp_path / "numbers", [control_episode() for _ in range(2)])
    damage(path)
    with pytest.raises(ValueError, match=match) as caught:
        MinariSource(path, "numbers")
    assert str(caught.value).startswith("numbers: ")


@pytest.mark.parametrize(
    "damage, match",
    [
        (lambda episode: replace(episode, "rewards", np.array([0, np.nan, 0, 0])), "reward 1 is nan"),
        (lambda episode: replace(episode, "rewards", np.zeros(3)), "actions has 4 entries, expected 3"),
        (lambda episode: replace(episode, "observations", np.zeros((5, 3))), r"observations is float64 \(5, 3\)"),
        (lambda episode: replace(episode, "actions", np.zeros((4, 1))), r"actions is float64 \(4, 1\)"),
        (lambda episode: episode.__delitem__("actions"), "actions"),
        (
            lambda episode: episode.create_group("infos").create_dataset("action_loss_mask", data=np.ones(5)),
            "action_mask is float64",
        ),
    ],
    ids=["nan", "lengths", "observations", "actions", "missing", "mask"],
)
def test_a_damaged_episode_is_named_when_read(tmp_path, damage, match):
    path = write_control(tmp_path / "numbers", [control_episode() for _ in range(3)])
    change_file(path, lambda file: damage(file["episode_2"]))
    source = MinariSource(path, "numbers")
    assert len(source[1]) == 4
    with pytest.raises(ValueError, match=rf"^numbers: episode 2: .*{match}"):
        source[2]


@pytest.mark.parametrize("index", [-1, 1, 99])
def test_an_episode_beyond_the_end_is_refused(tmp_path, index):
    with pytest.raises(IndexError, match=f"numbers: episode {index} of 1"):
        MinariSource(write_control(tmp_path / "numbers"), "numbers")[index]


def test_the_mask_belongs_to_the_action_and_not_to_the_observation_before(tmp_path):
    # Minari's infos have an entry for the reset as well, so the mask of action t stands at t + 1.
    episode = control_episode(action_mask=np.array([False, True, True, True]))
    path = write_control(tmp_path / "numbers", [episode])
    with h5py.File(path / "data" / "main_data.hdf5", "r") as file:
        assert file["episode_0/infos/action_loss_mask"][:].tolist() == [True, False, True, True, True]
    assert MinariSource(path, "numbers")[0].action_mask.tolist() == [False, True, True, True]


def test_an_experts_advice_replaces_what_was_executed(tmp_path):
    advised, mask = np.array([2, 0, 1, 1]), np.array([False, True, True, False])
    noisy = control_episode(action_mask=mask, expert_actions=advised)
    path = write_control(tmp_path / "numbers", [noisy, control_episode()])
    source = SourceConfig(name="numbers", kind="minari", path=str(path), learned_actions="expert")
    opened = open_source(source)
    assert opened[0].actions.tolist() == advised.tolist()
    assert opened[0].action_mask is None
    assert_equal_trees(opened[0].observations, noisy.observations)
    assert_equal_trees(opened[1].actions, control_episode().actions)  # nobody advised anything else
    executed = open_source(dataclasses.replace(source, learned_actions="executed"))
    assert executed[0].actions.tolist() == noisy.actions.tolist()
    assert executed[0].action_mask.tolist() == mask.tolist()
    np.testing.assert_array_equal(episode_returns(opened), episode_returns(executed))


def test_advice_must_fit_the_actions(tmp_path):
    with pytest.raises(ValueError, match="expert_actions has 3 entries, expected 4"):
        control_episode(expert_actions=np.zeros(3, int))


def test_episodes_without_a_mask_stand_beside_those_with_one(tmp_path):
    with_mask = control_episode(action_mask=np.zeros(4, bool))
    source = MinariSource(write_control(tmp_path / "numbers", [control_episode(), with_mask]), "numbers")
    assert source[0].action_mask is None
    assert source[1].action_mask.tolist() == [False] * 4


def test_writing_what_was_read_gives_the_same_episodes(dataset, episodes, tmp_path):
    source = MinariSource(dataset, "rooms")
    write_minari(
        tmp_path / "copy",
        (source[i] for i in range(len(source))),
        source.observation_space,
        source.action_space,
        dataset_id="test/copy-v0",
    )
    copy = MinariSource(tmp_path / "copy", "copy")
    for index, expected in enumerate(episodes):
        for field in dataclasses.fields(Episode):
            assert_equal_trees(getattr(copy[index], field.name), getattr(expected, field.name))


@pytest.mark.parametrize(
    "name",
    [
        "atari/pong-expert-v0",
        "babyai/gotolocal-expert-v0",
        "box2d/lunarlander-expert-v0",
        "classic/cartpole-expert-v0",
        "mujoco/hopper-expert-v0",
    ],
)
def test_recorded_datasets_are_read(name):
    if not (RECORDED / name).is_dir():
        pytest.skip(f"no recorded dataset {name} beside the repository")
    source = MinariSource(RECORDED / name, name)
    assert len(source) > 1
    assert source.groups.shape == (len(source),)
    episode = source[len(source) - 1]
    assert episode.terminated or episode.truncated
    for t in (0, len(episode) - 1):
        assert source.action_space.contains(member(source.action_space, episode.actions, t))
        assert source.observation_space.contains(member(source.observation_space, episode.observations, t))


def member(space, tree, t):
    """Entry t of a batched tree, in the types that the space asks for."""
    match space:
        case Dict():
            return {key: member(part, tree[key], t) for key, part in space.items()}
        case Tuple():
            return tuple(member(part, each, t) for part, each in zip(space, tree, strict=True))
        case Box():
            return np.asarray(tree[t], space.dtype)
        case _:
            return tree[t]


def test_reference_scores_are_read_where_both_are_stated(tmp_path):
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "metadata.json"
    assert reference_scores(tmp_path) is None
    for content, expected in (
        ('{"ref_min_score": -2, "ref_max_score": 7.5}', (-2.0, 7.5)),
        ('{"ref_min_score": -2}', None),
        ('{"ref_min_score": -2, "ref_max_score": NaN}', None),
        ('{"ref_min_score": null, "ref_max_score": 3}', None),
        ("damaged", None),
    ):
        file.write_text(content)
        assert reference_scores(tmp_path) == reference_scores(tmp_path / "data") == expected


def test_a_dataset_of_minari_is_found_by_its_id(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    episode = Episode(
        observations=np.zeros((4, 2), np.float32),
        actions=np.array([0, 1, 0]),
        rewards=np.arange(3.0),
        terminated=True,
        truncated=False,
    )
    write_minari(tmp_path / "ours" / "walk-v0", [episode], Box(-1, 1, (2,)), Discrete(2), dataset_id="ours/walk-v0")
    source = MinariSource("ours/walk-v0", "walk", hub=True)
    assert source[0].actions.tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="'walk' is no id of Minari's, expected one such as"):
        MinariSource("walk", "walk", hub=True)

    def unreachable(dataset_id):
        raise OSError(f"no way to {dataset_id}")

    monkeypatch.setattr(minari, "download_dataset", unreachable)
    with pytest.raises(FileNotFoundError, match=r"'ours/run-v0' is not in .* and cannot be fetched: no way to"):
        MinariSource("ours/run-v0", "run", hub=True)


def test_a_dataset_of_minari_is_fetched_once(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    fetched = []

    def fetch(dataset_id):
        fetched.append(dataset_id)
        episode = Episode(
            observations=np.zeros((2, 1)), actions=np.array([1]), rewards=np.ones(1), terminated=True, truncated=False
        )
        write_minari(tmp_path / dataset_id, [episode], Box(-1, 1, (1,)), Discrete(2), dataset_id=dataset_id)

    monkeypatch.setattr(minari, "download_dataset", fetch)
    assert len(MinariSource("far/away-v0", "away", hub=True)) == len(MinariSource("far/away-v0", "away", hub=True)) == 1
    assert fetched == ["far/away-v0"]


def test_minaris_arrow_layout_is_read_like_its_hdf5(tmp_path, monkeypatch):
    """Written by Minari itself in both layouts."""
    pytest.importorskip("pyarrow")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    space = Dict({"position": Box(-5, 5, (2,), np.float64), "count": Discrete(4)})
    rng = np.random.default_rng(0)
    buffers = [
        EpisodeBuffer(
            observations={"position": rng.normal(size=(6, 2)), "count": rng.integers(0, 4, 6)},
            actions=rng.integers(0, 3, 5),
            rewards=list(rng.normal(size=5)),
            terminations=[False] * 4 + [True],
            truncations=[False] * 5,
        )
        for _ in range(3)
    ]
    sources = []
    for layout in ("hdf5", "arrow"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about missing authors and the like
            minari.create_dataset_from_buffers(
                f"ours/{layout}-v0",
                buffers,
                observation_space=space,
                action_space=Discrete(3),
                data_format=layout,
            )
        sources.append(MinariSource(f"ours/{layout}-v0", layout, hub=True))
    hdf5, arrow = sources
    assert list((tmp_path / "ours" / "arrow-v0").rglob("*.arrow"))
    assert len(hdf5) == len(arrow) == 3
    np.testing.assert_allclose(hdf5.episode_returns(), arrow.episode_returns())
    for index in range(3):
        np.testing.assert_equal(arrow[index].observations, hdf5[index].observations)
        np.testing.assert_equal(arrow[index].actions, hdf5[index].actions)
        np.testing.assert_equal(arrow[index].rewards, hdf5[index].rewards)
