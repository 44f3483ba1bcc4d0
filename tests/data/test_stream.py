"""A long stream: shares at every row, memory that stays, and a restart at every batch."""

import dataclasses
import gc
import json
import os
from pathlib import Path

import numpy as np
import pytest
from gymnasium.spaces import Box

from gato.config import DataConfig, PromptConfig, SourceConfig
from gato.data.encoded import RowFacts, SequenceCache, encoding_of
from gato.data.episode import Episode, ImageText
from gato.data.mixture import Mixture, build_mixture, open_rows
from gato.data.opened import open_encoded
from gato.data.prepared import write_prepared
from gato.data.rows import TextRows
from gato.data.sources.images import write_images
from gato.data.sources.minari_writer import write_minari

NUM_EPISODES = 60
MOST_GROWTH_BYTES = 10 << 20  # under 5 % of what a process with nothing but this loader takes


@pytest.fixture(scope="module")
def sources(tmp_path_factory, config, text):
    """Control on the fly and prepared, prose and captions, opened by name and weight."""
    folder = tmp_path_factory.mktemp("stream")
    rng = np.random.default_rng(0)
    episodes = [
        Episode(
            observations=rng.normal(size=(61, 5)),
            actions=rng.uniform(-1, 1, (60, 2)).astype(np.float32),
            rewards=np.ones(60),
            terminated=False,
            truncated=True,
            options={"room": number % 3},
        )
        for number in range(NUM_EPISODES)
    ]
    spaces = Box(-np.inf, np.inf, (5,), np.float64), Box(-1, 1, (2,), np.float32)
    write_minari(folder / "control", episodes, *spaces, dataset_id="test/stream-v0")
    lines = [json.dumps({"text": f"the ball {i} is next to the box {i}, " * 9}) for i in range(50)]
    (folder / "prose.jsonl").write_text("\n".join(lines))
    images = rng.integers(0, 256, (20, 8, 8, 3), np.uint8)
    write_images(folder / "captions.zip", [ImageText(image=image, text="a red ball") for image in images])

    prompt = PromptConfig(probability=0.5, max_tokens=40)
    control = SourceConfig(name="control", kind="minari", path=str(folder / "control"), prompt=prompt)
    encoded, facts = open_encoded(control, DataConfig(), config, text, SequenceCache(0), with_returns=False)
    encoding = encoding_of(DataConfig(), config, text, terminal_observation=False)
    write_prepared(folder / "prepared", encoded, facts, encoding)
    made = {
        "control": control,
        "prepared": dataclasses.replace(control, name="prepared", kind="prepared", path=str(folder / "prepared")),
        "prose": SourceConfig(name="prose", kind="text", path=str(folder / "prose.jsonl")),
        "captions": SourceConfig(name="captions", kind="captions", path=str(folder / "captions.zip")),
    }

    def choose(**weights):
        return tuple(dataclasses.replace(made[name], weight=float(weight)) for name, weight in weights.items())

    return choose


def data_config(sources, **changes):
    return DataConfig(sources=sources, **{"batch_size": 4, "context_length": 96, "max_patches": 24, **changes})


def source_ids(weights, num_rows, config, make_tokens, make_encoded):
    """Which source each of the first rows of a mixture with these weights is of."""
    names = [f"source-{number}" for number in range(len(weights))]
    listed = tuple(
        SourceConfig(name=name, kind="text", path=".", weight=weight, held_out=0.0)
        for name, weight in zip(names, weights, strict=True)
    )
    data = DataConfig(sources=listed, batch_size=500, context_length=4, max_patches=0)
    rows = [
        TextRows(make_encoded([make_tokens([4])], name), data, number, seed=0, held_out=False)
        for number, name in enumerate(names)
    ]
    mixture = Mixture(rows, data, config, 0)
    return np.concatenate([next(mixture).source_ids for _ in range(num_rows // 500)])


def counts_so_far(ids, num_sources):
    """(rows, sources): how many of the rows up to and with each one are of each source."""
    return np.cumsum(ids[:, None] == np.arange(num_sources), axis=0)


@pytest.mark.parametrize("weights", [(1, 1), (7, 2, 1), (1, 2, 7), (1, 1, 1, 1, 1, 1), (40, 20, 10, 5, 3, 1)])
def test_shares_are_the_weights_after_every_row(weights, config, make_tokens, make_encoded):
    """Sources come in turn, not by chance: no count is ever off by a row for each source that stands before it.

    The first source has its share of n rows, rounded up; the next has its share of what is left, rounded up; and so on.
    So no count is a whole row too high, and each rounding upwards takes less than one row from the sources after it.
    By chance, counts of 10,000 rows would be off by up to 50 and their standard deviation.
    """
    num_rows = 10_000
    counts = counts_so_far(source_ids(weights, num_rows, config, make_tokens, make_encoded), len(weights))
    shares = np.array(weights) / sum(weights)
    error = counts - np.arange(1, num_rows + 1)[:, None] * shares
    left = np.cumsum(weights[::-1])[::-1]  # the weights of a source and of those after it
    too_low = np.array(weights) * np.append(0, np.cumsum(1 / left[1:]))
    assert error.max() < 1
    assert (error > -too_low - 1e-9).all()


def test_weights_of_any_size_hold_to_a_hundredth_of_the_smallest(config, make_tokens, make_encoded):
    """Grain keeps shares as whole hundredths of the smallest."""
    weights = np.array([np.pi, np.e, 1.0099, np.sqrt(50)])
    num_rows = 10_000
    counts = counts_so_far(source_ids(weights, num_rows, config, make_tokens, make_encoded), len(weights))[-1]
    shares = weights / weights.sum()
    assert np.abs(counts - num_rows * shares).max() < len(weights) + num_rows * shares.min() / 100 * len(weights)


def continues_everywhere(make, num_batches, assert_same):
    """Whether a stream goes on as it did from each of its states, in a new stream and in one that has moved on."""
    unbroken = make()
    states, batches = [json.dumps(unbroken.get_state())], []
    for _ in range(num_batches):
        batches.append(next(unbroken))
        states.append(json.dumps(unbroken.get_state()))
    assert len({batch.tokens.tobytes() for batch in batches}) == num_batches
    moved = make()
    for start in np.random.default_rng(0).permutation(num_batches).tolist():
        for stream in (make(), moved):
            stream.set_state(json.loads(states[start]))
            for number in range(start, num_batches):
                assert_same(next(stream), batches[number])
                assert json.dumps(stream.get_state()) == states[number + 1]


@pytest.mark.parametrize(
    "sharing", [{}, {"process_index": 1, "process_count": 2}, {"num_rows": 40}], ids=["alone", "shared", "budgets"]
)
def test_a_stream_restored_at_any_batch_continues_as_it_did(sources, config, text, assert_same, sharing):
    chosen = sources(control=3, prepared=2, prose=2, captions=1)
    chosen = (dataclasses.replace(chosen[0], max_tokens=1_500), *chosen[1:])
    data = data_config(chosen)
    continues_everywhere(lambda: build_mixture(data, config, text, seed=5, **sharing), 8, assert_same)


def resident_bytes():
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read where Linux shows it")
def test_memory_stays_over_ten_thousand_batches_of_more_data_than_the_cache_holds(
    sources, config, text, make_tokens, make_encoded, tmp_path
):
    records = [make_tokens([8] * 1_200, first_token=number) for number in range(240)]
    size_bytes = sum(array.nbytes for record in records for array in record.arrays().values())
    assert size_bytes > 2 * MOST_GROWTH_BYTES  # that a cache without an end would be seen
    encoding = encoding_of(DataConfig(), config, text, terminal_observation=False)
    facts = RowFacts(kind="control", groups=[0] * len(records))
    write_prepared(tmp_path / "large", make_encoded(records), facts, encoding)
    control, prose, captions = sources(control=1, prose=2, captions=1)
    large = dataclasses.replace(control, name="large", kind="prepared", path=str(tmp_path / "large"), weight=16.0)
    data = data_config((large, prose, control, captions), batch_size=2)

    cache = SequenceCache(1 << 20)
    rows = [open_rows(data, number, config, text, cache, 0, False) for number in range(len(data.sources))]
    del records
    mixture = Mixture(rows, data, config, 0)
    # From when every source has been read, and long before every record has.
    for _ in range(20):
        next(mixture)
    before = resident_bytes()
    for number in range(10_000):
        next(mixture)
        if number % 500 == 499:
            assert resident_bytes() - before < MOST_GROWTH_BYTES, number
