"""Prepared sources: rows from the cache equal rows made on the fly, and nothing foreign or damaged is read."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Text
from hypothesis import given
from hypothesis import strategies as st

from gato.config import DataConfig, PromptConfig, SourceConfig
from gato.data.encoded import RowFacts, SequenceCache, encoding_of
from gato.data.episode import Episode, ImageText
from gato.data.mixture import build_mixture
from gato.data.opened import open_encoded
from gato.data.prepared import PreparedSource, pack, unpack, write_prepared
from gato.data.sources.images import write_images
from gato.data.sources.minari_writer import write_minari
from gato.tokenizer.sequence import TokenSequence


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Prompted control with pictures, text and returns; prose; captions."""
    folder = tmp_path_factory.mktemp("sources")
    rng = np.random.default_rng(0)
    space = Dict({"camera": Box(0, 255, (16, 16, 3), np.uint8), "mission": Text(30), "n": Box(-1, 1, (2,))})
    episodes = [
        Episode(
            observations={
                "camera": rng.integers(0, 256, (7, 16, 16, 3), dtype=np.uint8),
                "mission": ["go to the ball"] * 7,
                "n": rng.uniform(-1, 1, (7, 2)).astype(np.float32),
            },
            actions=rng.integers(3, size=6),
            rewards=np.full(6, number),
            terminated=True,
            truncated=False,
            action_mask=rng.random(6) < 0.7,
            options={"room": number % 2},
        )
        for number in range(12)
    ]
    write_minari(folder / "control", episodes, space, Discrete(3), dataset_id="test/control-v0")
    lines = [json.dumps({"text": f"the ball {i} is next to the box {i}"}) for i in range(20)]
    (folder / "prose.jsonl").write_text("\n".join(lines), encoding="utf-8")
    images = rng.integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    write_images(folder / "captions.zip", [ImageText(image=image, text="a red ball") for image in images])
    return (
        SourceConfig(
            name="control",
            kind="minari",
            path=str(folder / "control"),
            held_out=0.2,
            min_return=0.3,
            prompt=PromptConfig(probability=0.5, max_tokens=80, terminal_observation=True),
        ),
        SourceConfig(name="prose", kind="text", path=str(folder / "prose.jsonl"), held_out=0.2),
        SourceConfig(name="captions", kind="captions", path=str(folder / "captions.zip"), held_out=0.2),
    )


@pytest.fixture
def data(sources):
    return DataConfig(sources=sources, batch_size=4, context_length=160, max_patches=128)


@pytest.fixture
def prepare(text, tmp_path):
    """Prepares every source of a config; returns the config that reads what was prepared."""

    def prepare(data, config):
        made = []
        for source in data.sources:
            encoded, facts = open_encoded(source, data, config, text, SequenceCache(0), with_returns=True)
            encoding = encoding_of(data, config, text, terminal_observation=source.prompt.terminal_observation)
            write_prepared(tmp_path / source.name, encoded, facts, encoding)
            made.append(dataclasses.replace(source, kind="prepared", path=str(tmp_path / source.name)))
        return dataclasses.replace(data, sources=tuple(made))

    return prepare


@pytest.fixture
def prepared(data, config, prepare):
    """The same data with every source prepared."""
    return prepare(data, config)


@pytest.mark.parametrize("held_out", [False, True])
def test_batches_from_the_cache_equal_batches_on_the_fly(data, prepared, config, text, assert_same, held_out):
    fresh = build_mixture(data, config, text, seed=1, held_out=held_out)
    cached = build_mixture(prepared, config, text, seed=1, held_out=held_out)
    for _ in range(12):
        assert_same(next(cached), next(fresh))


SHORT = {"values_per_token": 4, "separator": "mark", "action_tokens": "grouped"}


@pytest.mark.parametrize("held_out", [False, True])
def test_short_timesteps_from_the_cache_equal_those_on_the_fly_however_own_actions_are_shown(
    data, prepare, config, text, assert_same, held_out
):
    """Prepared once; actions of the episode itself, windows per row and taught repeats are chosen anew by every run."""
    short = dataclasses.replace(config, **SHORT)
    prepared = prepare(data, short)
    for own_actions, action_tokens in (("fed", "grouped"), ("hidden", "decoded"), ("dropped", "grouped")):
        tokenizer = dataclasses.replace(
            short, own_actions=own_actions, action_tokens=action_tokens, own_action_dropout=0.5
        )
        settings = {"pack_windows": own_actions != "fed", "repeated_action_share": 0.5}
        fresh, cached = (
            build_mixture(dataclasses.replace(part, **settings), tokenizer, text, seed=1, held_out=held_out)
            for part in (data, prepared)
        )
        has_actions = False
        for _ in range(8):
            batch = next(cached)
            has_actions |= bool(batch.action_mask.any())
            assert_same(batch, next(fresh))
        assert has_actions


@pytest.mark.parametrize(
    ("written", "read", "told"),
    [
        ({}, SHORT, "tokenizer.values_per_token 1 instead of 4"),
        (SHORT, {}, "tokenizer.values_per_token 4 instead of 1"),
        (SHORT, {**SHORT, "values_per_token": 5}, "tokenizer.values_per_token 4 instead of 5: prepare it anew"),
        (SHORT, {**SHORT, "separator": "token"}, "tokenizer.separator 'mark' instead of 'token': prepare it anew"),
        (
            SHORT,
            {"values_per_token": 4, "separator": "mark"},
            "tokenizer.action_tokens 'grouped' instead of 'sequential'",
        ),
    ],
)
def test_another_layout_is_refused(data, prepare, config, text, written, read, told):
    prepared = prepare(data, dataclasses.replace(config, **written))
    with pytest.raises(ValueError, match="control was prepared with ") as refused:
        build_mixture(prepared, dataclasses.replace(config, **read), text, seed=0)
    assert told in str(refused.value)


sizes = st.integers(0, 4)


@given(
    num_steps=st.integers(1, 4),
    num_patches=sizes,
    width=st.integers(1, 5),
    largest=st.sampled_from([300, 2**16 - 1, 2**16, 2**31 - 1]),
    seed=st.integers(0, 9),
)
def test_what_is_packed_is_unpacked(num_steps, num_patches, width, largest, seed):
    rng = np.random.default_rng(seed)
    count = num_steps * width + num_patches
    sequence = TokenSequence(
        tokens=np.append(rng.integers(0, largest, count - 1, np.int32), np.int32(largest)),
        local_positions=rng.integers(0, 512, count, dtype=np.int32),
        loss_mask=rng.random(count) < 0.5,
        changed_mask=rng.random(count) < 0.5,
        patches=rng.integers(0, 256, (num_patches, 16, 16, 3), dtype=np.uint8),
        patch_indices=np.arange(num_patches, dtype=np.int32),
        patch_intervals=rng.integers(0, 128, (num_patches, 4), dtype=np.int32),
        starts=np.linspace(0, count, num_steps + 1).astype(np.int64),
    )
    content = pack(sequence)
    for name, array in unpack(content).arrays().items():
        expected = getattr(sequence, name)
        assert array.dtype == expected.dtype
        assert np.array_equal(array, expected)
    with pytest.raises(ValueError):
        unpack(content[:-1])
    with pytest.raises(ValueError, match="a record has"):
        unpack(content + b"\0")


def test_a_flipped_bit_is_found_when_opened(prepared):
    folder = prepared.sources[0].path
    file = Path(folder) / "records.array_record"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"records\.array_record is damaged"):
        PreparedSource(folder, "control")


@pytest.mark.parametrize(
    "change, told",
    [
        ({"data": {"question_loss": False}}, "question_loss True instead of False"),
        ({"config": {"num_bins": 64}}, r"tokenizer\.num_bins \d+ instead of 64"),
    ],
)
def test_another_encoding_is_refused(prepared, config, text, change, told):
    data = dataclasses.replace(prepared, **change.get("data", {}))
    tokenizer = dataclasses.replace(config, **change.get("config", {}))
    with pytest.raises(ValueError, match=f"control was prepared with {told}: prepare it anew"):
        build_mixture(data, tokenizer, text, seed=0)


def test_nothing_half_written_stays(tmp_path):
    class Broken:
        name = "broken"

        def __len__(self):
            return 2

        def __getitem__(self, index):
            raise ValueError("record 0 is damaged")

    with pytest.raises(ValueError, match="record 0 is damaged"):
        write_prepared(tmp_path / "out", Broken(), RowFacts(kind="text"), {})
    assert not list(tmp_path.iterdir())


def test_missing_and_existing_folders_are_named(prepared, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone: .* holds no prepared source"):
        PreparedSource(tmp_path / "nowhere", "gone")
    source = PreparedSource(prepared.sources[1].path, "prose")
    with pytest.raises(FileExistsError, match="exists: delete it"):
        write_prepared(prepared.sources[1].path, source, source.facts, source.encoding)
    with pytest.raises(IndexError):
        source[len(source)]
