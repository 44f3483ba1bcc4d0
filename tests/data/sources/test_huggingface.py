"""Hugging Face datasets: episodes and timesteps as rows, spaces declared or inferred, text, and an absent hub."""

import io
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import datasets
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Text
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gato.config import SourceConfig
from gato.data.episode import ControlSource, Dialogue, Document, ImageText
from gato.data.sources.opening import open_source

datasets.disable_progress_bars()


def open_episodes(path, name, **options):
    return open_source(SourceConfig(name=name, kind="huggingface", path=str(path), options=options))


def open_language(path, name, **options):
    return open_source(SourceConfig(name=name, kind="huggingface_text", path=str(path), options=options))


LENGTHS = (3, 1, 4)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def save(tmp_path, columns, features=None, form="saved"):
    """Writes a dataset with the library itself, in one of the forms that it knows."""
    dataset = datasets.Dataset.from_dict(columns, features=features)
    path = tmp_path / form
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        match form:
            case "saved":
                dataset.save_to_disk(path)
            case "splits":
                datasets.DatasetDict({"train": dataset, "test": dataset.select([0])}).save_to_disk(path)
            case "parquet":
                path.mkdir()
                dataset.to_parquet(path / "train-00000.parquet", batch_size=2)
            case "arrow":
                dataset.save_to_disk(path)
                return next(path.glob("*.arrow"))
    return path


def random_columns(seed=0):
    """A JAT dataset of numbers, as nested lists."""
    rng = np.random.default_rng(seed)
    return {
        "continuous_observations": [rng.normal(size=(length, 4)).astype(np.float32).tolist() for length in LENGTHS],
        "continuous_actions": [rng.normal(size=(length, 2)).astype(np.float32).tolist() for length in LENGTHS],
        "rewards": [rng.normal(size=length).astype(np.float32).tolist() for length in LENGTHS],
    }


JAT_FEATURES = datasets.Features(
    {
        "continuous_observations": datasets.Sequence(datasets.Sequence(datasets.Value("float32"))),
        "continuous_actions": datasets.Sequence(datasets.Sequence(datasets.Value("float32"))),
        "rewards": datasets.Sequence(datasets.Value("float32")),
    }
)


def pictures(length, seed=0, shape=(8, 6, 4)):
    return np.random.default_rng(seed).integers(0, 256, (length, *shape), np.uint8)


def png(pixels):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return {"bytes": content.getvalue(), "path": None}


@pytest.mark.parametrize("form", ["saved", "splits", "parquet", "arrow"])
def test_jat_episodes_come_back_as_they_were(tmp_path, form):
    columns = random_columns()
    path = save(tmp_path, columns, JAT_FEATURES, form)
    source = open_episodes(path, "ant", split="train" if form == "splits" else None)
    assert isinstance(source, ControlSource)
    assert source.observation_space == Box(-np.inf, np.inf, (4,), np.float32)
    assert source.action_space == Box(-np.inf, np.inf, (2,), np.float32)
    assert source.groups.tolist() == [0, 0, 0]
    for index in (2, 0, 1):
        episode = source[index]
        assert len(episode) == LENGTHS[index]
        np.testing.assert_array_equal(episode.observations, np.float32(columns["continuous_observations"][index]))
        np.testing.assert_array_equal(episode.actions, np.float32(columns["continuous_actions"][index]))
        np.testing.assert_array_equal(episode.rewards, np.float32(columns["rewards"][index]))
        assert not episode.terminated
        assert not episode.truncated
    returns = [sum(rewards) for rewards in columns["rewards"]]
    np.testing.assert_allclose(source.episode_returns(), returns, rtol=1e-6)


@pytest.mark.parametrize("form", ["saved", "parquet"])
def test_a_source_may_be_pickled_and_shared_between_threads(tmp_path, form):
    columns = random_columns()
    source = open_episodes(save(tmp_path, columns, JAT_FEATURES, form), "ant")
    order = [2, 0, 1] * 20
    for shared in (source, pickle.loads(pickle.dumps(source))):
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda index: shared[index].observations, order))  # noqa: B023
        for index, observations in zip(order, found, strict=True):
            np.testing.assert_array_equal(observations, np.float32(columns["continuous_observations"][index]))


def test_jat_pictures_keep_their_four_channels(tmp_path):
    frames = [pictures(length, length) for length in LENGTHS]
    columns = {
        "image_observations": [[png(frame) for frame in episode] for episode in frames],
        "discrete_actions": [list(range(length)) for length in LENGTHS],
        "rewards": [[0.0] * length for length in LENGTHS],
    }
    features = datasets.Features(
        {
            "image_observations": datasets.Sequence(datasets.Image()),
            "discrete_actions": datasets.Sequence(datasets.Value("int64")),
            "rewards": datasets.Sequence(datasets.Value("float32")),
        }
    )
    source = open_episodes(save(tmp_path, columns, features), "pong", spaces={"discrete_actions": {"discrete": 18}})
    assert source.observation_space == Box(0, 255, (8, 6, 4), np.uint8)
    assert source.action_space == Discrete(18)
    for index in (1, 2):
        np.testing.assert_array_equal(source[index].observations, frames[index])
        assert source[index].actions.tolist() == list(range(LENGTHS[index]))


def test_jat_text_and_symbols_are_a_dict(tmp_path):
    columns = {
        "discrete_observations": [[[1, 2, 3]] * length for length in LENGTHS],
        "text_observations": [["go to é"] * length for length in LENGTHS],
        "discrete_actions": [[6] * length for length in LENGTHS],
        "rewards": [[0.0] * length for length in LENGTHS],
    }
    spaces = {"discrete_observations": {"multi_discrete": {"n": 11, "shape": [3]}}, "discrete_actions": {"discrete": 7}}
    source = open_episodes(save(tmp_path, columns), "babyai", spaces=spaces)
    assert isinstance(source.observation_space, Dict)
    assert source.observation_space["discrete_observations"] == MultiDiscrete([11, 11, 11])
    assert isinstance(source.observation_space["text_observations"], Text)
    episode = source[0]
    assert episode.observations["text_observations"] == ["go to é"] * 3
    assert episode.observations["discrete_observations"].tolist() == [[1, 2, 3]] * 3


STEPS = {
    "episode_index": [7, 7, 7, 2, 9, 9, 9, 9],
    "arm": np.arange(16, dtype=np.float32).reshape(8, 2).tolist(),
    "grip": [0, 1, 0, 1, 1, 1, 0, 0],
    "move": np.linspace(-1, 1, 8).tolist(),
    "reward": [0, 0, 1, 5, 0, 0, 0, 2],
    "done": [False, False, True, False, False, False, False, True],
    "task": ["red"] * 3 + ["blue"] + ["red"] * 4,
}
MAPPING = {
    "observation": {"body": "arm", "hand": "grip"},
    "action": "move",
    "reward": "reward",
    "terminated": "done",
    "group": "task",
}


@pytest.mark.parametrize("form", ["saved", "parquet"])
def test_timesteps_become_episodes(tmp_path, form):
    options = {"rows": "timesteps", "columns": MAPPING, "spaces": {"grip": {"discrete": 2}}}
    source = open_episodes(save(tmp_path, STEPS, form=form), "arm", **options)
    assert len(source) == 3
    assert source.groups.tolist() == [0, 1, 0]
    assert source.action_space == Box(-np.inf, np.inf, (), np.float64)
    begin = 0
    for index, length in enumerate(LENGTHS):
        episode, part = source[index], slice(begin, begin + length)
        assert episode.observations["body"].tolist() == STEPS["arm"][part]
        assert episode.observations["hand"].tolist() == STEPS["grip"][part]
        assert episode.actions.tolist() == STEPS["move"][part]
        assert episode.rewards.tolist() == STEPS["reward"][part]
        assert episode.terminated == (index != 1)
        begin += length
    assert source.episode_returns().tolist() == [1, 5, 2]


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_both_meanings_of_a_row_give_the_same_episodes(tmp_path_factory, lengths):
    path = tmp_path_factory.mktemp("meanings")
    rng = np.random.default_rng(sum(lengths))
    nested = {
        key: [rng.normal(size=(length, *shape)).tolist() for length in lengths]
        for key, shape in (("o", (2, 3)), ("a", ()), ("r", ()))
    }
    flat = {key: [entry for episode in episodes for entry in episode] for key, episodes in nested.items()}
    flat["id"] = [f"e{index}" for index, length in enumerate(lengths) for _ in range(length)]
    columns = {"observation": "o", "action": "a", "reward": "r"}
    one = open_episodes(save(path, nested, form="parquet"), "one", columns=columns)
    two = open_episodes(save(path, flat), "two", rows="timesteps", columns=columns, episode_index="id")
    assert len(one) == len(two) == len(lengths)
    assert one.observation_space == two.observation_space == Box(-np.inf, np.inf, (2, 3), np.float64)
    for index in range(len(lengths)):
        np.testing.assert_array_equal(one[index].observations, two[index].observations)
        np.testing.assert_array_equal(one[index].observations, np.array(nested["o"][index]))
        np.testing.assert_array_equal(one[index].actions, two[index].actions)
        np.testing.assert_array_equal(one[index].rewards, two[index].rewards)


def test_an_observation_after_the_last_action_and_absent_rewards(tmp_path):
    columns = {"o": [[0.0, 1.0, 2.0]], "a": [[0.5, 0.5]], "end": [True], "cut": [[False, True]]}
    mapping = {"observation": "o", "action": "a", "reward": None, "terminated": "end", "truncated": "cut"}
    source = open_episodes(save(tmp_path, columns), "walk", columns=mapping)
    episode = source[0]
    assert episode.observations.tolist() == [0, 1, 2]
    assert episode.rewards.tolist() == [0, 0]
    assert episode.terminated
    assert episode.truncated
    assert source.episode_returns().tolist() == [0]


def test_arrays_of_a_fixed_shape_are_read(tmp_path):
    frames = pictures(4, shape=(5, 6, 3))
    features = datasets.Features(
        {
            "camera": datasets.Array3D((5, 6, 3), "uint8"),
            "action": datasets.Sequence(datasets.Value("float32"), length=2),
            "episode_index": datasets.Value("string"),
        }
    )
    columns = {"camera": list(frames), "action": [[0.0, 1.0]] * 4, "episode_index": list("aabb")}
    mapping = {"observation": "camera", "action": "action", "reward": None}
    for form in ("saved", "parquet"):
        path = save(tmp_path, columns, features, form)
        source = open_episodes(path, "film", rows="timesteps", columns=mapping)
        assert source.observation_space == Box(0, 255, (5, 6, 3), np.uint8)
        np.testing.assert_array_equal(source[1].observations, frames[2:])


def test_integers_without_a_declared_space_are_refused_with_what_was_seen(tmp_path):
    columns = {**random_columns(), "discrete_actions": [[0, 1, 2], [16], [3] * 4]}
    del columns["continuous_actions"]
    with pytest.raises(
        ValueError, match=r"^pong: column 'discrete_actions' holds int64 .*\(found: 0 to 16\): declare i"
    ):
        open_episodes(save(tmp_path, columns), "pong")


def test_values_outside_a_declared_space_are_named(tmp_path):
    columns = {**random_columns(), "discrete_actions": [[0, 1, 2], [16], [3] * 4]}
    del columns["continuous_actions"]
    source = open_episodes(save(tmp_path, columns), "pong", spaces={"discrete_actions": {"discrete": 16}})
    assert source[0].actions.tolist() == [0, 1, 2]
    with pytest.raises(
        ValueError, match=r"^pong: episode 1: column 'discrete_actions' is 16 at timestep 0, expected a"
    ):
        source[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rewards": [[0.0] * 2, [0.0], [0.0] * 4]}, r"episode 0: actions has 3 entries, expected 2"),
        (
            {"rewards": [[0.0, None, 0.0], [0.0], [0.0] * 4]},
            r"episode 0: column 'rewards' holds 1 missing values, the fi",
        ),
        ({"continuous_observations": [[[0.0], [0.0, 1.0], [0.0]], [[1.0]], [[2.0]] * 4]}, r"lists of 1 to 2 values"),
        (
            {"continuous_observations": [[[0.0, 1.0]] * 3, None, [[2.0, 1.0]] * 4]},
            r"episode 1: .*is missing, expected a l",
        ),
        (
            {"continuous_observations": [[[0.0, 1.0]] * 3, [[1.0]], [[2.0, 1.0]] * 4]},
            r"episode 1: .* shape \(1,\), expe",
        ),
        ({"continuous_observations": [1.0, 2.0, 3.0]}, r"is double, expected a list .*: set rows to 'timesteps'"),
    ],
)
def test_damaged_episodes_are_named(tmp_path, changes, message):
    path = save(tmp_path, {**random_columns(), **changes})
    with pytest.raises(ValueError, match=rf"^ant: .*{message}"):
        list(map(open_episodes(path, "ant").__getitem__, range(3)))


def test_rows_of_an_episode_that_do_not_follow_each_other_are_refused(tmp_path):
    options = {"rows": "timesteps", "columns": MAPPING, "spaces": {"grip": {"discrete": 2}}}
    path = save(tmp_path, {**STEPS, "episode_index": [7, 7, 2, 7, 9, 9, 9, 9]})
    with pytest.raises(ValueError, match=r"^arm: column 'episode_index' is 7 again after another episode in row 3"):
        open_episodes(path, "arm", **options)
    with pytest.raises(ValueError, match=r"^arm: expected one column 'episode', found \['episode_index', "):
        open_episodes(path, "arm", **options, episode_index="episode")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": "steps"}, r"rows is 'steps', expected 'episodes' or 'timesteps'"),
        ({"columns": {"observation": "rewards"}}, r"columns lack \['action', 'reward'\], expected"),
        ({"columns": {**MAPPING, "mask": "m"}}, r"columns name \['mask'\], expected"),
        ({"columns": {**MAPPING, "action": None}}, r"columns give None for 'action', expected the name of a column"),
        ({"columns": MAPPING}, r"expected one column 'arm', found \['continuous_observations'"),
        ({"spaces": {"arm": {"discrete": 2}}}, r"spaces name \['arm'\], but observations and actions stand in"),
        ({"spaces": {"continuous_actions": {"box": {"low": 0}}}}, r"'continuous_actions': the space .* cannot be made"),
        ({"split": "train"}, r"split is 'train', but .* has no splits"),
        ({"subset": "ant"}, r"subset, revision and first are of datasets on the hub: set hub to true"),
        ({"hub": True}, r"no split of .* was chosen: set split"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path, options, message):
    path = save(tmp_path, random_columns())
    with pytest.raises(ValueError, match=rf"^ant: .*{message}"):
        open_episodes(path, "ant", **options)


def test_datasets_of_another_layout_must_say_what_stands_where(tmp_path):
    with pytest.raises(
        ValueError, match=r"^arm: the columns \['episode_index', .* are not those of the JAT dataset: say"
    ):
        open_episodes(save(tmp_path, STEPS), "arm")


def test_a_saved_dataset_with_splits_needs_one(tmp_path):
    path = save(tmp_path, random_columns(), form="splits")
    assert len(open_episodes(path, "ant", split="test")) == 1
    with pytest.raises(ValueError, match=r"^ant: split is None, expected one of \['train', 'test'\]"):
        open_episodes(path, "ant")
    with pytest.raises(ValueError, match=r"^ant: .* has no splits: choose Parquet files by name with the option files"):
        open_episodes(save(tmp_path, random_columns(), form="parquet"), "ant", split="train")


def test_missing_and_damaged_paths_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^ant: .*gone does not exist, expected Parquet .*set hub to true if"):
        open_episodes(tmp_path / "gone", "ant")
    (tmp_path / "a.arrow").write_bytes(b"arrow, no")
    with pytest.raises(ValueError, match=r"^ant: .*a\.arrow is no readable dataset"):
        open_episodes(tmp_path / "a.arrow", "ant")
    path = save(tmp_path, random_columns())
    for index in (3, -1):
        with pytest.raises(IndexError, match=rf"^ant: episode {index} of 3"):
            open_episodes(path, "ant")[index]


def test_text_and_pictures_of_saved_datasets_are_read(tmp_path):
    frames = pictures(2, shape=(5, 4, 3))
    features = datasets.Features(
        {"image": datasets.Image(), "caption": datasets.Value("string"), "answer": datasets.Value("large_string")}
    )
    columns = {"image": [png(frame) for frame in frames], "caption": ["a", "b"], "answer": ["c", "d"]}
    path = save(tmp_path, columns, features)
    assert open_language(path, "set", records="text", columns={"text": "answer"})[1] == Document(text="d")
    pair = open_language(path, "set", records="captions")[1]
    assert isinstance(pair, ImageText)
    np.testing.assert_array_equal(pair.image, frames[1])
    dialogue = open_language(path, "set", records="questions", columns={"question": "caption"})[0]
    assert isinstance(dialogue, Dialogue)
    assert dialogue.turns == (("user", "a"), ("agent", "c"))


def test_the_hub_is_asked_for_what_the_options_say(monkeypatch):
    asked = []

    def load_dataset(*args, **kwargs):
        asked.append((args, kwargs))
        return datasets.Dataset.from_dict(random_columns())

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    source = open_episodes(
        "jat-project/jat-dataset", "ant", hub=True, subset="mujoco-ant", split="train", revision="abc"
    )
    options = {"split": "train", "revision": "abc", "streaming": False}
    assert asked == [(("jat-project/jat-dataset", "mujoco-ant"), options)]
    assert len(source) == 3


@pytest.mark.parametrize("error", [ConnectionError("no network"), datasets.exceptions.DatasetNotFoundError("private")])
def test_a_hub_that_cannot_be_reached_is_named(monkeypatch, error):
    def load_dataset(*args, **kwargs):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(
        ValueError, match=r"^ant: a/b could not be loaded from the Hugging Face Hub .*or download the data"
    ):
        open_episodes("a/b", "ant", hub=True, split="train")


def test_the_first_rows_of_a_stream_are_those_of_the_whole(tmp_path, monkeypatch):
    """A Parquet file on this machine stands for the hub; the library streams it as it would stream that."""
    frames = pictures(5, shape=(5, 4, 3))
    features = datasets.Features({"image": datasets.Image(), "caption": datasets.Value("string")})
    columns = {"image": [png(frame) for frame in frames], "caption": list("abcde")}
    file = tmp_path / "set.parquet"
    datasets.Dataset.from_dict(columns, features=features).to_parquet(str(file))
    load, asked = datasets.load_dataset, []

    def load_dataset(path, subset, *, split, revision, streaming=False):
        asked.append(streaming)
        return load(
            "parquet", data_files=str(file), split=split, streaming=streaming, cache_dir=str(tmp_path / "cache")
        )

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    options = {"records": "captions", "hub": True, "split": "train"}
    whole = open_language("a/b", "set", **options)
    part = open_language("a/b", "set", first=3, **options)
    assert asked == [False, True]
    assert (len(whole), len(part)) == (5, 3)
    for index in range(3):
        np.testing.assert_array_equal(part[index].image, whole[index].image)
        assert part[index].text == whole[index].text == "abcde"[index]
    with pytest.raises(ValueError, match="first is 0, expected a number of rows of 1 or more"):
        open_language("a/b", "set", first=0, **options)
