"""The cached path against the uncached one, past the end of the window too."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gato.model.cache import Chunk
from gato.model.gato import Gato

NO_PROMPT, NO_WINDOW = 0, 0


@pytest.fixture(scope="module")
def model(tokenizer, model_config, build):
    return build(Gato, model_config(), tokenizer)


@pytest.fixture(scope="module")
def extend(model):
    graphdef, state = nnx.split(model)
    return jax.jit(
        lambda chunk, cache, query_indices=None: nnx.merge(graphdef, state).extend(chunk, cache, query_indices)
    )


def _chunk(
    batch, places, positions, slots, *, prompt_length=NO_PROMPT, window_start=NO_WINDOW, clear_cache=False
) -> Chunk:
    """The batch's tokens at `places`; the other arguments are the same for every row."""
    places = np.asarray(places)
    num_rows = len(batch.tokens)
    index_of = np.full(batch.tokens.shape[1] + 1, len(places))
    index_of[places] = np.arange(len(places))

    def rows(values, dtype=np.int32):
        return np.broadcast_to(np.asarray(values, dtype), (num_rows, *np.shape(values)))

    return Chunk(
        tokens=batch.tokens[:, places],
        local_positions=batch.local_positions[:, places],
        patches=batch.patches,
        patch_indices=index_of[batch.patch_indices].astype(np.int32),
        patch_intervals=batch.patch_intervals,
        positions=rows(positions),
        cache_slots=rows(slots),
        prompt_length=rows(prompt_length),
        window_start=rows(window_start),
        clear_cache=rows(clear_cache, bool),
    )


@pytest.mark.parametrize("splits", [[12], [5, 7], [1] * 12, [3, 1, 1, 7]], ids=str)
def test_any_split_into_chunks_gives_the_uncached_hidden_vectors(splits, model, extend, random_batch, run):
    batch = random_batch()
    cache = model.init_cache(3, 16)
    hidden, start = [], 0
    for size in splits:
        places = np.arange(start, start + size)
        part, cache = extend(_chunk(batch, places, places, places), cache)
        hidden.append(part)
        start += size
    np.testing.assert_allclose(jnp.concatenate(hidden, axis=1), run(model, batch), atol=2e-5)


@pytest.mark.parametrize("query_indices", [[[6], [0], [3]], [[5, 6], [0, 1], [4, 2]]], ids=["one", "two"])
def test_queried_tokens_are_as_among_all_and_the_cache_too(query_indices, model, extend, random_batch):
    batch = random_batch()
    places, query_indices = np.arange(7), np.array(query_indices)
    _, cache = extend(_chunk(batch, places, places, places), model.init_cache(3, 16))
    chunk = _chunk(batch, places + 5, places + 5, places + 5)
    every_hidden, every_cache = extend(chunk, cache)
    hidden, cache = extend(chunk, cache, query_indices)
    np.testing.assert_allclose(hidden, every_hidden[np.arange(3)[:, None], query_indices], atol=2e-5)
    jax.tree.map(lambda one, every: np.testing.assert_allclose(one, every, atol=2e-5), cache, every_cache)


def test_cache_slots_may_come_in_any_order(model, extend, random_batch, run):
    batch = random_batch()
    slots = np.random.default_rng(0).permutation(16)[:12]
    places = np.arange(12)
    first, cache = extend(_chunk(batch, places[:8], places[:8], slots[:8]), model.init_cache(3, 16))
    second, _ = extend(_chunk(batch, places[8:], places[8:], slots[8:]), cache)
    np.testing.assert_allclose(jnp.concatenate([first, second], axis=1), run(model, batch), atol=2e-5)


def test_padding_in_a_chunk_writes_nothing_and_stays_finite(model, extend, random_batch, run):
    batch = random_batch(num_patches=0)
    positions, slots = np.array([0, 1, 2, -1, -1]), np.array([0, 1, 2, 16, 16])
    hidden, cache = extend(_chunk(batch, np.arange(5), positions, slots), model.init_cache(3, 16))
    assert jnp.isfinite(hidden).all()
    assert cache.positions[0].tolist() == [0, 1, 2] + [-1] * 13
    np.testing.assert_allclose(hidden[:, :3], run(model, batch)[:, :3], atol=2e-5)
    rest, _ = extend(_chunk(batch, np.arange(3, 12), np.arange(3, 12), np.arange(3, 12)), cache)
    np.testing.assert_allclose(rest, run(model, batch)[:, 3:], atol=2e-5)


def test_past_its_window_one_layer_equals_recomputing_what_is_visible(tokenizer, model_config, random_batch, build):
    # With one layer a hidden vector depends on the visible tokens only, not on what those once saw.
    model = build(Gato, model_config(num_layers=1), tokenizer)
    batch = random_batch(length=24)
    extend = nnx.jit(lambda model, chunk, cache: model.extend(chunk, cache))
    num_pinned, window, num_slots = 3, 5, 8
    cache = model.init_cache(3, num_slots)
    for place in range(24):
        slot = place if place < num_pinned else num_pinned + (place - num_pinned) % window
        start = max(num_pinned, place - window + 1)
        chunk = _chunk(batch, [place], [place], [slot], prompt_length=num_pinned, window_start=start)
        hidden, cache = extend(model, chunk, cache)
        if place in (6, 15, 23):
            visible = np.array(sorted({*range(min(num_pinned, place + 1)), *range(start, place + 1)}))
            again, _ = extend(model, _chunk(batch, visible, visible, range(len(visible))), model.init_cache(3, 16))
            np.testing.assert_allclose(hidden[:, 0], again[:, -1], atol=2e-5)


def test_a_pinned_prompt_stays_visible_and_the_rest_is_hidden(model, extend, random_batch):
    batch = random_batch(num_patches=0)
    places = np.arange(8)

    def last(prefix_of, pinned):
        changed = jax.tree.map(np.copy, batch)
        changed.tokens[:, prefix_of] = (changed.tokens[:, prefix_of] + 1) % 260
        _, cache = extend(_chunk(changed, places, places, places), model.init_cache(3, 16))
        # Only position 8 itself is in the window, beside what is pinned.
        hidden, _ = extend(_chunk(batch, [8], [8], [8], prompt_length=pinned, window_start=8), cache)
        return hidden

    nothing = slice(0, 0)
    assert jnp.abs(last(slice(0, 2), 2) - last(nothing, 2)).max() > 1e-3
    np.testing.assert_array_equal(last(slice(2, 8), 2), last(nothing, 2))
    np.testing.assert_array_equal(last(slice(0, 8), 0), last(nothing, 0))


def test_clearing_empties_its_row_only(model, extend, random_batch):
    batch = random_batch(num_patches=0)
    places = np.arange(4)
    _, used = extend(_chunk(batch, places, places, places), model.init_cache(3, 16))
    again = _chunk(batch, np.arange(4, 8), places, places + 4)
    one_cleared = dataclasses.replace(again, clear_cache=np.array([False, True, False]))
    hidden, cache = extend(one_cleared, used)
    fresh, _ = extend(again, model.init_cache(3, 16))
    kept, _ = extend(again, used)
    np.testing.assert_allclose(hidden[1], fresh[1], atol=2e-5)
    np.testing.assert_allclose(hidden[::2], kept[::2], atol=2e-5)
    assert jnp.abs(kept - fresh).max() > 1e-2
    assert cache.positions[1].tolist() == [-1] * 4 + [0, 1, 2, 3] + [-1] * 8
    assert cache.positions[0].tolist() == [0, 1, 2, 3] * 2 + [-1] * 8


def test_clearing_keeps_the_prompt(model, extend, random_batch):
    batch = random_batch(num_patches=0)
    places = np.arange(4)
    _, used = extend(_chunk(batch, places, places, places), model.init_cache(3, 16))
    _, cache = extend(_chunk(batch, np.arange(4, 8), places + 4, places + 4, prompt_length=2, clear_cache=True), used)
    assert cache.positions.tolist() == [[0, 1, -1, -1, 4, 5, 6, 7] + [-1] * 8] * 3
    for kept, before in zip((*cache.keys, *cache.values), (*used.keys, *used.values), strict=True):
        np.testing.assert_array_equal(kept[:, :, :2], before[:, :, :2])


@pytest.mark.parametrize("size", [1, 4])
def test_a_donated_cache_is_updated_in_place(size, model, random_batch):
    graphdef, state = nnx.split(model)
    extend = jax.jit(lambda chunk, cache: nnx.merge(graphdef, state).extend(chunk, cache), donate_argnums=1)
    batch = random_batch(num_patches=0)
    cache = model.init_cache(3, 256)
    chunk = _chunk(batch, range(size), range(size), range(size))
    cache_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(cache))
    memory = extend.lower(chunk, cache).compile().memory_analysis()
    assert memory.alias_size_in_bytes >= cache_bytes
    assert memory.temp_size_in_bytes < cache_bytes // 2
    extend(chunk, cache)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(cache))
