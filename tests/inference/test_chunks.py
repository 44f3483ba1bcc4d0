import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gato.config import TokenizerConfig
from gato.inference.chunks import ChunkRow, assemble, bucket_size
from gato.inference.kv_cache_window import KVCacheWindow
from gato.tokenizer.sequence import TokenSequence

CONFIG = TokenizerConfig(text_vocab_size=300)


def tokens_of(tokens, patch_indices=()):
    n, p = len(tokens), len(patch_indices)
    return TokenSequence(
        tokens=np.array(tokens, np.int32),
        local_positions=np.arange(n, dtype=np.int32),
        loss_mask=np.arange(n) % 2 == 0,
        changed_mask=np.arange(n) % 3 == 0,
        patches=np.arange(p * 16 * 16 * 3).astype(np.uint8).reshape(p, 16, 16, 3),
        patch_indices=np.array(patch_indices, np.int32),
        patch_intervals=np.arange(p * 4, dtype=np.int32).reshape(p, 4),
        starts=np.array([0, n]),
    )


def test_bucket_sizes_are_few_and_waste_little():
    sizes = np.arange(1, 2049)
    buckets = np.array([bucket_size(int(size)) for size in sizes])
    assert bucket_size(0) == 0
    assert (buckets >= sizes).all()
    assert (buckets - sizes < np.maximum(4, sizes / 16)).all()
    assert len(np.unique(buckets)) < 130
    assert [bucket_size(int(bucket)) for bucket in buckets] == buckets.tolist()


def test_a_hand_worked_chunk_with_an_idle_row_and_padding():
    window = KVCacheWindow(10, prompt_length=2)
    for size in (5, 3):
        window.begin_timestep(size)
    position = window.begin_timestep(5)  # the first timestep is evicted: the window starts at 7, this one at 10
    sequence = tokens_of([33, 7, CONFIG.padding_id, 9], [2])
    row = ChunkRow(sequence=sequence, position=position - 1, window=window)
    chunk = assemble([None, row], CONFIG, size=6, num_patches=2)
    assert chunk.tokens[1].tolist() == [33, 7, CONFIG.padding_id, 9, CONFIG.padding_id, CONFIG.padding_id]
    assert chunk.local_positions[1].tolist() == [
        0,
        1,
        2,
        3,
        CONFIG.no_position,
        CONFIG.no_position,
    ]
    assert chunk.positions[1].tolist() == [9, 10, 11, 12, -1, -1]
    assert chunk.cache_slots[1].tolist() == [9, 2, 3, 4, 10, 10]
    assert chunk.patch_indices[1].tolist() == [2, 6]
    np.testing.assert_array_equal(chunk.patches[1, 0], row.sequence.patches[0])
    assert (chunk.prompt_length[1], chunk.window_start[1], chunk.clear_cache[1]) == (2, 7, False)
    assert (chunk.positions[0] == -1).all()
    assert (chunk.cache_slots[0] == 10).all()
    assert (chunk.tokens[0] == CONFIG.padding_id).all()


@given(st.integers(1, 12), st.sets(st.integers(0, 29), max_size=9))
def test_the_parts_of_a_row_follow_one_another_and_are_the_whole(size, patch_indices):
    whole = tokens_of(range(30), sorted(patch_indices))
    window = KVCacheWindow(50)
    parts = ChunkRow(sequence=whole, position=7, window=window, clear_cache=True).split(size)
    assert {len(part.sequence) for part in parts[:-1]} <= {size}
    assert [part.position for part in parts] == list(range(7, 37, size))
    assert [part.clear_cache for part in parts] == [True] + [False] * (len(parts) - 1)
    joined = TokenSequence.concatenate([part.sequence for part in parts])
    for name in (
        "tokens",
        "local_positions",
        "loss_mask",
        "changed_mask",
        "patches",
        "patch_indices",
        "patch_intervals",
    ):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name), err_msg=name)
