"""Rows: pure functions of their number, prompted as often as the config says, and blind to what is held out."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gato.config import DataConfig, PromptConfig, SourceConfig, TokenizerConfig
from gato.data.rows import NUM_ROWS, ControlRows, PairRows, TextRows
from gato.data.split import split_records

TOKENIZER = TokenizerConfig()
NUM_EPISODES, NUM_TIMESTEPS, SIZE = 24, 20, 4  # of the source below: token = 1000 * episode + token


@pytest.fixture(scope="module")
def episodes(make_tokens):
    return [make_tokens([SIZE] * NUM_TIMESTEPS, first_token=1000 * i) for i in range(NUM_EPISODES)]


@pytest.fixture
def control_rows(episodes, make_encoded):
    def make(*, records=None, groups=None, seed=0, held_out_share=0.25, held_out=False, data=None, good=None, **prompt):
        source = SourceConfig(
            name="numbers", kind="minari", path="", held_out=held_out_share, prompt=PromptConfig(**prompt)
        )
        sizes = {"context_length": 40, "max_patches": 0, **(data or {})}
        records = episodes if records is None else records
        groups = np.zeros(len(records), np.int64) if groups is None else np.asarray(groups)
        config = DataConfig(sources=(source,), **sizes)
        return ControlRows(
            make_encoded(records), config, TOKENIZER, 0, groups=groups, seed=seed, held_out=held_out, good=good
        )

    return make


def parts(row):
    """The row cut where the episode changes: one array of tokens a part."""
    tokens = row.sequence.tokens
    return np.split(tokens, np.flatnonzero(np.diff(tokens // 1000)) + 1)


def episodes_shown(row):
    return set((row.sequence.tokens // 1000).tolist())


def within(count, num_rows, share):
    """Whether a count over independent rows lies within five standard errors of its share."""
    return abs(count - num_rows * share) <= 5 * np.sqrt(num_rows * share * (1 - share))


def test_a_row_is_a_function_of_its_number(control_rows, assert_same):
    first, second = control_rows(probability=0.5), control_rows(probability=0.5)
    forwards = [first[i] for i in range(30)]
    backwards = [second[i] for i in reversed(range(30))][::-1]
    for a, b in zip(forwards, backwards, strict=True):
        assert_same(a.sequence, b.sequence)


def test_rows_of_other_numbers_seeds_and_sources_differ(control_rows, episodes, make_encoded):
    def tokens(rows):
        return [rows[i].sequence.tokens.tolist() for i in range(10)]

    rows = tokens(control_rows(seed=0))
    assert len({tuple(row) for row in rows}) == 10
    others = tokens(control_rows(seed=1))
    assert rows != others
    sources = tuple(SourceConfig(name=name, kind="text", path="", held_out=0.25) for name in "ab")
    config = DataConfig(sources=sources, context_length=40)
    by_source = [
        tokens(TextRows(make_encoded(episodes), config, source_id, seed=0, held_out=False)) for source_id in (0, 1)
    ]
    assert by_source[0] != by_source[1]


def test_the_two_sides_of_a_split_draw_from_streams_of_their_own(control_rows):
    # With a single shared record the sides could only differ by their streams: compare where their windows start.
    sides = [control_rows(held_out=held_out, probability=0.0) for held_out in (False, True)]
    starts = [[int(rows[i].sequence.tokens[0]) % 1000 for i in range(20)] for rows in sides]
    assert starts[0] != starts[1]


def test_rows_have_no_end(control_rows, assert_same):
    rows = control_rows()
    assert len(rows) == NUM_ROWS
    assert_same(rows[NUM_ROWS - 1].sequence, control_rows()[NUM_ROWS - 1].sequence)


def test_rows_name_their_source(make_encoded, episodes):
    sources = tuple(SourceConfig(name=name, kind="text", path="") for name in "abc")
    rows = TextRows(make_encoded(episodes), DataConfig(sources=sources), 2, seed=0, held_out=False)
    assert rows[5].source_id == 2


def test_every_training_record_starts_rows_equally_often(control_rows):
    rows, num_rows = control_rows(probability=0.0), 1800
    assert len(rows.records) == 18
    found, counts = np.unique([int(rows[i].sequence.tokens[0]) // 1000 for i in range(num_rows)], return_counts=True)
    assert found.tolist() == rows.records.tolist()
    assert all(within(count, num_rows, 1 / 18) for count in counts)


@pytest.mark.parametrize("probability", [0.0, 0.25, 0.7, 1.0])
def test_rows_are_prompted_as_often_as_the_config_says(control_rows, probability):
    rows, num_rows = control_rows(probability=probability, max_tokens=12), 1500
    prompted = sum(len(parts(rows[i])) == 2 for i in range(num_rows))
    assert within(prompted, num_rows, probability)


@pytest.mark.parametrize("end_share", [0.0, 0.5, 1.0])
def test_prompts_are_the_end_as_often_as_the_config_says(control_rows, end_share):
    # Prompts of 3 of 20 timesteps; a uniform one starts at one of 18, the last of which gives the end as well.
    rows, num_rows = control_rows(probability=1.0, end_share=end_share, max_tokens=3 * SIZE), 1000
    prompts = [parts(rows[i])[0] for i in range(num_rows)]
    assert {len(prompt) for prompt in prompts} == {3 * SIZE}
    at_end = sum(int(prompt[-1]) % 1000 == NUM_TIMESTEPS * SIZE - 1 for prompt in prompts)
    assert within(at_end, num_rows, end_share + (1 - end_share) / 18)


def test_a_prompted_row_shows_whole_timesteps_of_another_episode_and_then_its_own(control_rows):
    groups = np.arange(NUM_EPISODES) % 3
    rows = control_rows(probability=1.0, max_tokens=14, groups=groups)
    for i in range(300):
        prompt, window = parts(rows[i])
        assert prompt[0] // 1000 != window[0] // 1000
        assert groups[prompt[0] // 1000] == groups[window[0] // 1000]
        assert len(prompt) == 3 * SIZE
        assert len(window) == 7 * SIZE  # of the 40 - 12 = 28 that are left
        for part in (prompt, window):
            assert part.tolist() == list(range(part[0], part[-1] + 1))
            assert part[0] % 1000 % SIZE == 0


def test_a_window_after_a_prompt_reaches_every_timestep(control_rows):
    rows = control_rows(probability=1.0, max_tokens=12)
    seen = {int(token) % 1000 for i in range(400) for token in parts(rows[i])[1]}
    assert seen == set(range(NUM_TIMESTEPS * SIZE))


def test_held_out_episodes_never_appear_in_training_rows(control_rows):
    rows = control_rows(probability=0.8, demonstrations=2, max_tokens=16)
    held_out = set(split_records(NUM_EPISODES, 0.25, held_out=True).tolist())
    assert len(held_out) == 6
    shown = set().union(*(episodes_shown(rows[i]) for i in range(1000)))
    assert shown == set(range(NUM_EPISODES)) - held_out


def test_held_out_rows_are_windows_of_held_out_episodes_prompted_by_any(control_rows):
    rows = control_rows(probability=1.0, held_out=True, max_tokens=12)
    pairs = [parts(rows[i]) for i in range(1000)]
    windows = {int(window[0]) // 1000 for _, window in pairs}
    assert windows == set(split_records(NUM_EPISODES, 0.25, held_out=True).tolist())
    assert {int(prompt[0]) // 1000 for prompt, _ in pairs} == set(range(NUM_EPISODES))


@pytest.mark.parametrize(
    "held_out, loss, prompt_carries_loss", [(False, True, True), (False, False, False), (True, True, False)]
)
def test_prompts_carry_loss_in_training_only_and_if_the_config_says_so(
    control_rows, held_out, loss, prompt_carries_loss
):
    rows = control_rows(probability=1.0, held_out=held_out, loss=loss, max_tokens=12)
    for i in range(50):
        row = rows[i]
        size = len(parts(row)[0])
        assert (row.sequence.loss_mask[:size] == prompt_carries_loss).all()
        assert row.sequence.loss_mask[size:].all()


def test_taking_the_loss_from_a_prompt_leaves_the_episode_as_it_is(control_rows, episodes):
    rows = control_rows(probability=1.0, loss=False)
    for i in range(30):
        rows[i]
    assert all(sequence.loss_mask.all() for sequence in episodes)


def test_an_episode_alone_in_its_group_is_never_prompted(control_rows):
    rows = control_rows(probability=1.0, groups=np.arange(NUM_EPISODES))
    assert all(len(parts(rows[i])) == 1 for i in range(100))
    assert {len(rows[i].sequence) for i in range(100)} == {40}


def test_several_demonstrations_are_of_different_episodes_and_share_the_budget(control_rows):
    rows = control_rows(probability=1.0, demonstrations=3, max_tokens=26)
    for i in range(200):
        *prompts, window = parts(rows[i])
        assert len({int(part[0]) // 1000 for part in [*prompts, window]}) == 4
        # 26 // 3 = 8 for the first, (26 - 8) // 2 = 9 for the second, 10 for the last: two timesteps each.
        assert [len(prompt) for prompt in prompts] == [8, 8, 8]
        assert len(window) == 16


def test_the_terminal_observation_is_shown_in_prompts_only(control_rows, make_tokens):
    # Episodes of five timesteps and, as a sixth, the last observation: tokens 20 and 21.
    records = [make_tokens([4] * 5 + [2], first_token=1000 * i) for i in range(12)]
    rows = control_rows(records=records, probability=0.5, max_tokens=10, end_share=0.5, terminal_observation=True)
    prompts, windows = set(), set()
    for i in range(500):
        *shown, window = parts(rows[i])
        windows.update((window % 1000).tolist())
        prompts.update(*[(part % 1000).tolist() for part in shown])
    assert prompts == set(range(22))
    assert windows == set(range(20))


def test_without_terminal_observation_every_timestep_is_in_windows(control_rows, make_tokens):
    records = [make_tokens([4] * 5 + [2], first_token=1000 * i) for i in range(4)]
    rows = control_rows(records=records, probability=0.0)
    assert set().union(*((rows[i].sequence.tokens % 1000).tolist() for i in range(50))) == set(range(22))


@settings(deadline=None, max_examples=40)
@given(
    lengths=st.lists(st.lists(st.integers(1, 6), min_size=1, max_size=6), min_size=2, max_size=5),
    spare=st.integers(0, 12),
    terminal=st.booleans(),
    number=st.integers(0, 1000),
)
def test_a_prompt_leaves_room_for_a_timestep_of_the_row(make_tokens, make_encoded, lengths, spare, terminal, number):
    records = [make_tokens([*each, 1], first_token=1000 * i) for i, each in enumerate(lengths)]
    prompt = PromptConfig(probability=1.0, max_tokens=100, terminal_observation=terminal)
    source = SourceConfig(name="numbers", kind="minari", path="", held_out=0.0, prompt=prompt)
    config = DataConfig(sources=(source,), context_length=12 + spare, max_patches=0)
    groups = np.zeros(len(records), np.int64)
    row = ControlRows(make_encoded(records), config, TOKENIZER, 0, groups=groups, seed=0, held_out=False)[number]
    shown, window = parts(row)
    assert len(row.sequence) <= 12 + spare
    own = records[window[0] // 1000]
    starts = own.starts[: -1 if terminal else None] + own.tokens[0]
    assert window[0] in starts
    assert window[-1] + 1 in starts
    assert len(shown)


def test_prompt_and_window_share_the_patches_of_a_row(control_rows, make_tokens):
    # Timesteps of two tokens, one of them a patch, and room for five patches.
    records = [make_tokens([2] * 6, range(0, 12, 2), first_token=1000 * i) for i in range(8)]
    rows = control_rows(records=records, probability=1.0, max_tokens=6, data={"max_patches": 5})
    for i in range(50):
        prompt, window = parts(rows[i])
        assert len(prompt) == 6
        assert len(window) == 4
        assert rows[i].sequence.patch_indices.tolist() == [0, 2, 4, 6, 8]


def test_a_prompt_leaves_a_patch_for_the_row(control_rows, make_tokens):
    records = [make_tokens([2] * 6, range(0, 12, 2), first_token=1000 * i) for i in range(8)]
    rows = control_rows(records=records, probability=1.0, data={"max_patches": 5})
    assert {tuple(map(len, parts(rows[i]))) for i in range(50)} == {(8, 2)}


def test_an_episode_whose_timestep_is_too_large_is_refused_by_name(control_rows, make_tokens):
    rows = control_rows(records=[make_tokens([4, 50, 4])], held_out_share=0.0, probability=0.0)
    with pytest.raises(ValueError, match=r"numbers: episode 0: a timestep of 50 tokens.* 40 tokens"):
        rows[0]


def test_a_prompt_of_which_nothing_fits_is_refused_by_name(control_rows):
    with pytest.raises(ValueError, match=r"numbers: prompt of episode \d+: no timestep .* fits into 3 tokens"):
        control_rows(probability=1.0, max_tokens=3)[0]


@pytest.fixture
def text_rows(make_encoded):
    def make(records, kind=TextRows, *, held_out_share=0.0, held_out=False, seed=0, **sizes):
        source = SourceConfig(name="numbers", kind="text", path="", held_out=held_out_share)
        config = DataConfig(sources=(source,), **sizes)
        return kind(make_encoded(records), config, 0, seed=seed, held_out=held_out)

    return make


def test_rows_of_text_are_cut_at_any_token(text_rows, make_tokens):
    rows = text_rows([make_tokens([20], first_token=1000 * i) for i in range(3)], context_length=10)
    drawn = [rows[i].sequence.tokens for i in range(600)]
    assert all(tokens.tolist() == list(range(tokens[0], tokens[0] + 10)) for tokens in drawn)
    assert {int(tokens[0]) for tokens in drawn} == {1000 * i + low for i in range(3) for low in range(11)}


def test_rows_of_text_show_short_documents_whole(text_rows, make_tokens, assert_same):
    document = make_tokens([7])
    assert_same(text_rows([document], context_length=10)[3].sequence, document)


def test_packed_rows_hold_short_documents_whole_and_cut_long_ones_to_what_is_left(text_rows, make_tokens):
    lengths = [7, 4, 30]
    documents = [make_tokens([length], first_token=1000 * i) for i, length in enumerate(lengths)]
    rows = text_rows(documents, context_length=20, pack_windows=True)
    sizes = set()
    for i in range(300):
        row = rows[i]
        starts = [*row.parts, len(row.sequence)]
        for low, high in itertools.pairwise(starts):
            tokens = row.sequence.tokens[low:high]
            which = int(tokens[0]) // 1000
            assert tokens.tolist() == list(range(tokens[0], tokens[0] + high - low))  # of one document, in order
            sizes.add((which, high - low))
            if which < 2:
                assert high - low == lengths[which]
        assert starts[0] == 0
        assert len(row.sequence) > 20 - 7  # nothing more would have fitted, or a longer one was drawn
    # A part of the long document takes what is left, whatever that is.
    assert {size for which, size in sizes if which == 2} >= {20, 16, 13, 12, 9, 8, 5}


def test_held_out_documents_never_appear_in_training_rows(text_rows, make_tokens):
    documents = [make_tokens([5], first_token=1000 * i) for i in range(10)]
    sides = [text_rows(documents, held_out_share=0.3, held_out=side, context_length=10) for side in (False, True)]
    shown = [set().union(*(episodes_shown(rows[i]) for i in range(300))) for rows in sides]
    assert shown[0] | shown[1] == set(range(10))
    assert len(shown[1]) == 3
    assert not shown[0] & shown[1]


def pairs(make_tokens, num_pairs=12):
    """Pairs of two patches and four text tokens."""
    return [make_tokens([6], [0, 1], first_token=1000 * i) for i in range(num_pairs)]


def test_a_row_holds_five_different_pairs(text_rows, make_tokens):
    rows = text_rows(pairs(make_tokens), PairRows, context_length=100, max_patches=100)
    for i in range(200):
        row = rows[i]
        shown = parts(row)
        assert len(shown) == len(episodes_shown(row)) == 5
        assert all(part.tolist() == list(range(part[0], part[0] + 6)) for part in shown)
        assert row.sequence.patch_indices.tolist() == [0, 1, 6, 7, 12, 13, 18, 19, 24, 25]
        assert row.sequence.starts.tolist() == [0, 6, 12, 18, 24, 30]


def test_every_pair_stands_in_rows_equally_often_and_at_any_place(text_rows, make_tokens):
    rows, num_rows = text_rows(pairs(make_tokens), PairRows, context_length=100), 1200
    order = np.array([[part[0] // 1000 for part in parts(rows[i])] for i in range(num_rows)])
    for place in order.T:
        assert all(within(count, num_rows, 1 / 12) for count in np.bincount(place, minlength=12))


@pytest.mark.parametrize(
    "sizes, expected",
    [
        ({"context_length": 30, "max_patches": 10}, 5),
        ({"context_length": 29, "max_patches": 99}, 4),
        ({"context_length": 99, "max_patches": 7}, 3),
        ({"context_length": 99, "max_patches": 99, "pairs_per_row": 2}, 2),
    ],
    ids=["all-fit", "tokens", "patches", "two-a-row"],
)
def test_a_row_holds_as_many_pairs_as_fit_whole(text_rows, make_tokens, sizes, expected):
    rows = text_rows(pairs(make_tokens), PairRows, **sizes)
    assert {len(parts(rows[i])) for i in range(30)} == {expected}


def test_few_pairs_are_each_shown_once(text_rows, make_tokens):
    rows = text_rows(pairs(make_tokens, 3), PairRows, context_length=100)
    assert {tuple(sorted(episodes_shown(rows[i]))) for i in range(20)} == {(0, 1, 2)}


def test_held_out_pairs_never_appear_in_training_rows(text_rows, make_tokens):
    sides = [
        text_rows(pairs(make_tokens), PairRows, held_out_share=0.25, held_out=side, context_length=100)
        for side in (False, True)
    ]
    shown = [set().union(*(episodes_shown(rows[i]) for i in range(100))) for rows in sides]
    assert shown[0] | shown[1] == set(range(12))
    assert len(shown[1]) == 3
    assert not shown[0] & shown[1]


@pytest.mark.parametrize("sizes", [{"context_length": 5}, {"max_patches": 1}], ids=["tokens", "patches"])
def test_a_pair_that_does_not_fit_into_a_row_is_refused_by_name(text_rows, make_tokens, sizes):
    match = r"numbers: pair \d takes 6 tokens, 2 of them patches, but a row takes .*: shrink the image"
    with pytest.raises(ValueError, match=match):
        text_rows(pairs(make_tokens, 3), PairRows, **sizes)[0]


def test_only_pairs_have_nothing_to_do_with_each_other(text_rows, control_rows, make_tokens):
    row = text_rows(pairs(make_tokens), PairRows)[0]
    assert list(row.parts) == row.sequence.starts[:-1].tolist()
    assert list(text_rows(pairs(make_tokens))[0].parts) == [0]
    assert list(control_rows()[0].parts) == [0]


@pytest.mark.parametrize("held_out", [False, True])
def test_only_good_episodes_are_shown_and_none_changes_sides(control_rows, held_out):
    good = np.arange(NUM_EPISODES) % 3 > 0
    everything = control_rows(held_out=held_out)
    filtered = control_rows(held_out=held_out, good=good, probability=0.5)
    assert filtered.records.tolist() == [index for index in everything.records.tolist() if good[index]]
    shown = set().union(*(episodes_shown(filtered[i]) for i in range(200)))
    assert shown <= set(np.flatnonzero(good).tolist())


def test_a_filter_that_leaves_nothing_is_refused(control_rows):
    with pytest.raises(ValueError, match="none of 18 records is left to train on: lower min_return"):
        control_rows(good=np.zeros(NUM_EPISODES, bool))
