import pytest
from gymnasium import spaces

from gato.inference.slot import Slot
from gato.tokenizer.spaces import TimestepTokenizer

SPACE = spaces.Discrete(5)  # a timestep is an observation, the separator and an action of one token each


@pytest.fixture
def make_slot(make_agent):
    def make(context_length, *, layout=None, **policy):
        agent = make_agent(context_length=context_length, layout=layout, **policy)
        return Slot(agent, agent.policy, TimestepTokenizer(SPACE, SPACE, agent.tokenizer), seed=7)

    return make


def play(slot, num_steps):
    """The rows of some timesteps, whose actions are 0, 1, 2 and so on, and the tokens of these."""
    tokens = [int(slot.timesteps.encode_action(action)[0]) for action in range(num_steps)]
    rows = []
    for action, token in enumerate(tokens):
        rows.append(slot.begin(slot.timesteps.encode_observation(3)))
        assert slot.end([token, 0]) == action
    return rows, tokens


def test_hand_worked_rows_of_a_context_that_holds_two_timesteps(make_slot):
    rows, tokens = play(make_slot(8), 3)
    # Each begins with the action before it, which is not cached yet.
    assert [row.chunk_row.position for row in rows] == [0, 2, 5]
    assert [len(row.chunk_row.sequence) for row in rows] == [2, 3, 3]
    assert [row.chunk_row.sequence.tokens[0] for row in rows[1:]] == tokens[:2]
    assert [row.chunk_row.clear_cache for row in rows] == [True, False, False]
    assert [row.query_indices.tolist() for row in rows] == [[1], [2], [2]]  # the separator
    assert [row.action_positions.tolist() for row in rows] == [[2], [5], [8]]
    assert [row.num_evicted for row in rows] == [0, 0, 3]
    assert [(row.seed, row.step) for row in rows] == [(7, 0), (7, 1), (7, 2)]
    assert all(row.refreshed is None for row in rows)


def test_an_action_that_is_evicted_before_it_is_cached_is_never_written(make_slot):
    rows, _ = play(make_slot(3), 2)
    assert rows[1].num_evicted == 3
    assert (rows[1].chunk_row.position, len(rows[1].chunk_row.sequence)) == (3, 2)
    assert rows[1].query_indices.tolist() == [1]


def test_parallel_actions_are_part_of_the_chunk_and_are_never_pending(make_slot):
    rows, _ = play(make_slot(8, layout={"action_tokens": "parallel"}), 2)
    assert [len(row.chunk_row.sequence) for row in rows] == [3, 3]
    assert [row.chunk_row.position for row in rows] == [0, 3]
    assert [row.query_indices.tolist() for row in rows] == [[1], [1]]


@pytest.mark.parametrize(("own_actions", "sizes"), [("fed", [1, 2, 2, 2]), ("hidden", [1, 1, 1, 1])])
def test_a_timestep_of_two_tokens_or_one(make_slot, own_actions, sizes):
    layout = {"values_per_token": 4, "action_tokens": "grouped", "separator": "mark", "own_actions": own_actions}
    slot = make_slot(4, layout=layout)
    rows, tokens = play(slot, 4)
    assert [len(row.chunk_row.sequence) for row in rows] == sizes
    assert [row.query_indices.tolist() for row in rows] == [[size - 1] for size in sizes]
    assert [len(row.action_positions) for row in rows] == [0] * 4
    evicted = [0, 0, 2, 4] if own_actions == "fed" else [0] * 4
    assert [row.num_evicted for row in rows] == evicted
    fed = [row.chunk_row.sequence.numbers.values[0, 0] for row in rows[1:]]
    assert fed == (tokens[:3] if own_actions == "fed" else [rows[0].chunk_row.sequence.numbers.values[0, 0]] * 3)


def test_a_window_is_encoded_anew_once_something_has_to_be_evicted(make_slot):
    rows, tokens = play(make_slot(8, refresh_every=1), 3)
    assert [row.refreshed is None for row in rows] == [True, True, False]
    refreshed = rows[2].refreshed
    assert (refreshed.position, refreshed.clear_cache, refreshed.sequence.tokens[-1]) == (0, True, tokens[1])
    assert len(refreshed.sequence) == 3  # the newest timestep, with its action
    assert (rows[2].chunk_row.position, rows[2].chunk_row.clear_cache, rows[2].num_evicted) == (3, False, 0)
    assert len(rows[2].chunk_row.sequence) == 2
