import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gato.data.rows import Partners


@settings(deadline=None, max_examples=100)
@given(
    data=st.data(),
    groups=st.lists(st.integers(0, 3), min_size=1, max_size=12),
    count=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_partners_are_other_allowed_episodes_of_the_same_group(data, groups, count, seed):
    groups = np.array(groups)
    allowed = np.array(sorted(data.draw(st.sets(st.integers(0, len(groups) - 1), min_size=1))))
    episode = data.draw(st.integers(0, len(groups) - 1))
    drawn = Partners(groups, allowed).draw(episode, count, np.random.default_rng(seed)).tolist()
    candidates = {int(i) for i in allowed if groups[i] == groups[episode] and i != episode}
    assert set(drawn) <= candidates
    assert len(drawn) == len(set(drawn)) == min(count, len(candidates))


def test_every_partner_is_drawn_equally_often():
    partners = Partners(np.array([5, 1, 5, 5, 1, 5]), np.arange(6))
    rng, num_draws = np.random.default_rng(0), 1500
    found, counts = np.unique([partners.draw(2, 1, rng) for _ in range(num_draws)], return_counts=True)
    assert found.tolist() == [0, 3, 5]
    assert np.abs(counts - 500).max() < 5 * np.sqrt(num_draws * (1 / 3) * (2 / 3))


def test_an_episode_alone_in_its_group_has_no_partner():
    assert not len(Partners(np.array([0, 1, 0]), np.arange(3)).draw(1, 2, np.random.default_rng(0)))


def test_an_episode_that_may_not_be_shown_itself_has_partners():
    # Episode 0 is held out: it may be prompted by those that are allowed, and prompts none of them.
    partners = Partners(np.zeros(3, np.int64), np.array([1, 2]))
    assert sorted(partners.draw(0, 5, np.random.default_rng(0)).tolist()) == [1, 2]
    assert partners.draw(1, 5, np.random.default_rng(0)).tolist() == [2]
