"""Bad records: they stop a run by default, and are left out and named where the source says so."""

import dataclasses
import json

import h5py
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from PIL import Image

from gato.config import DataConfig, PromptConfig, SourceConfig
from gato.data.encoded import BadRecordError, EncodedSource, SequenceCache, encoding_of
from gato.data.episode import Episode
from gato.data.mixture import build_mixture
from gato.data.opened import open_encoded
from gato.data.prepared import PreparedSource, write_prepared
from gato.data.rows import TextRows
from gato.data.sources.minari_writer import write_minari

NUM_EPISODES, BAD = 12, 5


@pytest.fixture
def source(tmp_path):
    """Twelve episodes, of which one holds a NaN where nothing but its encoding looks."""
    episodes = [
        Episode(
            observations=np.full((9, 1), i, np.float32),
            actions=np.arange(8) % 2,
            rewards=np.full(8, i / 8),
            terminated=True,
            truncated=False,
        )
        for i in range(NUM_EPISODES)
    ]
    write_minari(tmp_path / "set", episodes, Box(-50, 50, (1,)), Discrete(2), dataset_id="test/set-v0")
    with h5py.File(tmp_path / "set" / "data" / "main_data.hdf5", "r+") as file:
        file[f"episode_{BAD}/observations"][3] = np.nan
    return SourceConfig(name="arm", kind="minari", path=str(tmp_path / "set"), held_out=0.0, prompt=PromptConfig())


def data_of(source):
    return DataConfig(sources=(source,), batch_size=4, context_length=30, max_patches=1)


def skipping(source):
    return dataclasses.replace(source, bad_records="skip")


def read(source, config, num_batches, **more):
    mixture = build_mixture(data_of(source), config, None, seed=0, **more)
    return mixture, [next(mixture) for _ in range(num_batches)]


def test_a_bad_record_stops_the_stream_and_is_named(source, config):
    with pytest.raises(
        ValueError,
        match=rf"arm: episode {BAD}: observation is nan at timestep 3.*leave such records out with bad_records 'skip'",
    ):
        read(source, config, 50)


def test_skipped_records_are_counted_named_and_never_shown(source, config):
    mixture, batches = read(skipping(source), config, 50)
    skipped = mixture.skipped()
    assert list(skipped) == ["arm"]
    assert list(skipped["arm"]) == [BAD]
    assert "observation is nan at timestep 3" in skipped["arm"][BAD]
    clean, _ = open_encoded(source, data_of(source), config, None, SequenceCache(1 << 20), with_returns=False)
    first_tokens = {int(clean[index].tokens[0]): index for index in range(NUM_EPISODES) if index != BAD}
    shown = {first_tokens[int(row[0])] for batch in batches for row in batch.tokens}
    assert shown == set(range(NUM_EPISODES)) - {BAD}


def test_a_stream_that_skips_resumes_exactly(source, config, assert_same):
    whole, batches = read(skipping(source), config, 30)
    part, _ = read(skipping(source), config, 11)
    state = json.loads(json.dumps(part.get_state()))
    again = build_mixture(data_of(skipping(source)), config, None, seed=0)
    again.set_state(state)
    for expected in batches[11:]:
        assert_same(next(again), expected)
    assert list(whole.skipped()["arm"]) == [BAD]


def test_a_source_of_bad_records_only_is_refused(make_tokens, make_encoded):
    class Broken:
        name = "broken"

        def __len__(self):
            return 3

        def __getitem__(self, index):
            raise ValueError(f"broken: record {index} is torn")

    source = SourceConfig(name="broken", kind="text", path="", held_out=0, bad_records="skip")
    encoded = EncodedSource(Broken(), lambda record: record, SequenceCache(0))
    rows = TextRows(encoded, DataConfig(sources=(source,)), 0, seed=0, held_out=False)
    with pytest.raises(ValueError, match=r"broken: row 7 met 100 bad records one after the other, such as: .* is torn"):
        rows[7]


def test_what_is_known_to_be_bad_is_not_read_again():
    class Counting:
        name, reads = "torn", 0

        def __len__(self):
            return 1

        def __getitem__(self, index):
            self.reads += 1
            raise OSError("the disk says no")

    counting = Counting()
    encoded = EncodedSource(counting, lambda record: record, SequenceCache(0))
    for _ in range(3):
        with pytest.raises(BadRecordError, match="the disk says no") as caught:
            encoded[0]
        assert (caught.value.source, caught.value.index) == ("torn", 0)
    assert counting.reads == 1


def test_a_prepared_source_keeps_the_gap(source, config, tmp_path, assert_same):
    data = data_of(source)
    encoded, facts = open_encoded(source, data, config, None, SequenceCache(0), with_returns=True)
    encoding = encoding_of(data, config, None, terminal_observation=False)
    with pytest.raises(BadRecordError, match=f"episode {BAD}"):
        write_prepared(tmp_path / "stopped", encoded, facts, encoding)
    assert not (tmp_path / "stopped").exists()
    bad = write_prepared(tmp_path / "kept", encoded, facts, encoding, skip_bad=True)
    assert list(bad) == [BAD]
    prepared = PreparedSource(tmp_path / "kept", "arm")
    assert len(prepared) == NUM_EPISODES
    with pytest.raises(ValueError, match=r"observation is nan.*\(when it was prepared\)"):
        prepared[BAD]
    moved = dataclasses.replace(skipping(source), kind="prepared", path=str(tmp_path / "kept"))
    on_the_fly, cached = (read(each, config, 20)[1] for each in (skipping(source), moved))
    for one, other in zip(on_the_fly, cached, strict=True):
        assert_same(one, other)


def test_the_return_filter_leaves_unreadable_episodes_out(source, config):
    with h5py.File(f"{source.path}/data/main_data.hdf5", "r+") as file:
        del file[f"episode_{NUM_EPISODES - 1}/rewards"]  # the best one
    filtered = dataclasses.replace(source, min_return=0.5)
    with pytest.raises(ValueError, match=rf"arm: episode {NUM_EPISODES - 1}"):
        read(filtered, config, 1)
    _, batches = read(skipping(filtered), config, 30)
    clean, _ = open_encoded(source, data_of(source), config, None, SequenceCache(1 << 20), with_returns=False)
    first_tokens = {int(clean[index].tokens[0]): index for index in range(NUM_EPISODES - 1) if index != BAD}
    # The best readable return is 10, so 5 is good enough; that one has the NaN.
    assert {first_tokens[int(row[0])] for batch in batches for row in batch.tokens} == {6, 7, 8, 9, 10}


LINES = {  # of each kind: a good line, a bad one
    "text": ({"text": "go to the red ball"}, {"text": ""}),
    "dialogue": ({"turns": ["where is it?", "next to the door"]}, {"turns": [3]}),
    "captions": ({"image": "a.png", "caption": "a red ball"}, {"image": "b.png", "caption": "a ball"}),
    "questions": ({"image": "a.png", "question": "what?", "answer": "a ball"}, {"image": "a.png", "question": "what?"}),
}


@pytest.mark.parametrize("kind", LINES)
def test_bad_lines_are_skipped_and_keep_their_numbers(kind, tmp_path, text, config):
    good, bad = (json.dumps(line) for line in LINES[kind])
    folder = tmp_path / kind
    folder.mkdir()
    (folder / "lines.jsonl").write_text("\n".join([good, bad, good, "torn {"]))
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    path = folder if kind in ("captions", "questions") else folder / "lines.jsonl"
    source = SourceConfig(name="words", kind=kind, path=str(path), held_out=0.0)
    data = DataConfig(sources=(source,), batch_size=4, context_length=60, max_patches=16, pairs_per_row=1)
    with pytest.raises(ValueError, match=r"words: .*lines\.jsonl:[24]"):
        build_mixture(data, config, text, seed=0)
    skipped = dataclasses.replace(data, sources=(skipping(source),))
    mixture = build_mixture(skipped, config, text, seed=0)
    for _ in range(10):
        next(mixture)
    assert sorted(mixture.skipped()["words"]) == [1, 3]
    assert "lines.jsonl:4 is not JSON" in mixture.skipped()["words"][3]
