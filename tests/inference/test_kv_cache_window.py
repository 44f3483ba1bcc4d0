import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gato.inference.kv_cache_window import KVCacheWindow


def test_hand_worked_window_of_ten_with_prompt_of_two():
    window = KVCacheWindow(10, prompt_length=2)
    assert [window.begin_timestep(3) for _ in range(2)] == [2, 5]
    assert (window.num_visible, window.window_start, window.num_evicted) == (8, 2, 0)
    # 2 + 6 + 3 > 10: the first timestep, positions 2..4, is evicted.
    assert window.begin_timestep(3) == 8
    assert (window.num_visible, window.window_start, window.num_evicted) == (8, 5, 3)
    # The ring has 8 slots behind the prompt, 2..9: position 10 is the first to come around.
    np.testing.assert_array_equal(window.cache_slots(np.array([0, 1, 2, 9, 10, 11])), [0, 1, 2, 9, 2, 3])


def test_a_timestep_may_fill_all_that_the_prompt_leaves():
    window = KVCacheWindow(10, prompt_length=4)
    for start in (4, 10, 16):
        assert window.begin_timestep(6) == start
        assert window.num_visible == 10


@st.composite
def histories(draw):
    context_length = draw(st.integers(1, 40))
    prompt_length = draw(st.integers(0, context_length - 1))
    sizes = draw(st.lists(st.integers(1, context_length - prompt_length), max_size=30))
    return context_length, prompt_length, sizes


@settings(max_examples=100, deadline=None)
@given(histories())
def test_a_cache_slot_is_never_reused_while_its_position_is_visible(history):
    context_length, prompt_length, sizes = history
    window = KVCacheWindow(context_length, prompt_length)
    cached = {int(slot): position for position, slot in enumerate(window.cache_slots(np.arange(prompt_length)))}
    for size in sizes:
        start = window.begin_timestep(size)
        for position in range(start, start + size):
            cached[int(window.cache_slots(np.array(position)))] = position
        visible = [*range(prompt_length), *range(window.window_start, window.next_position)]
        assert len(visible) == window.num_visible
        assert set(visible) <= set(cached.values())
        assert all(0 <= slot < context_length for slot in cached)


@settings(max_examples=100, deadline=None)
@given(histories())
def test_only_whole_timesteps_are_evicted_and_no_more_than_must(history):
    context_length, prompt_length, sizes = history
    window = KVCacheWindow(context_length, prompt_length)
    boundaries = [prompt_length]
    for size in sizes:
        window.begin_timestep(size)
        boundaries.append(window.next_position)
        assert window.num_visible <= context_length
        oldest = boundaries.index(window.window_start)
        if oldest > 0:
            returned = prompt_length + window.next_position - boundaries[oldest - 1]
            assert returned > context_length, "a timestep was evicted although it fitted"


def test_a_timestep_that_cannot_fit_is_refused_and_changes_nothing():
    window = KVCacheWindow(10, prompt_length=4)
    window.begin_timestep(5)
    with pytest.raises(ValueError, match=r"one timestep takes 7 tokens.*context of 10 leaves 6 beside a prompt of 4"):
        window.begin_timestep(7)
    assert (window.next_position, window.num_visible) == (9, 9)


def test_a_prompt_longer_than_the_context_is_refused():
    with pytest.raises(ValueError, match="prompt has 11 tokens, the context 10"):
        KVCacheWindow(10, prompt_length=11)
