"""Budgets: no source is shown more than it may be, and what it leaves goes to the others by weight."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato.config import DataConfig, PromptConfig, SourceConfig
from gato.data.budgets import row_shares, share_out
from gato.data.rows import TextRows

INFINITE = float("inf")


@pytest.mark.parametrize(
    "weights, limits, expected",
    [
        ([1, 3], [INFINITE, INFINITE], [0.25, 0.75]),
        ([1, 3], [INFINITE, 0.5], [0.5, 0.5]),
        # The first cut gives the second source more than it may have, which is then cut as well.
        ([2, 1, 1], [0.2, 0.3, INFINITE], [0.2, 0.3, 0.5]),
        ([1, 0, 1], [INFINITE, INFINITE, 0.1], [0.9, 0.0, 0.1]),
    ],
)
def test_shares_by_hand(weights, limits, expected):
    np.testing.assert_allclose(share_out(np.array(weights, float), np.array(limits)), expected)


@given(
    sources=st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 1)), min_size=1, max_size=8),
    last=st.floats(0.01, 100),
)
def test_shares_keep_limits_and_the_ratios_of_what_is_not_cut(sources, last):
    weights = np.array([weight for weight, _ in sources] + [last])
    limits = np.array([limit for _, limit in sources] + [INFINITE])
    shares = share_out(weights, limits)
    assert shares.sum() == pytest.approx(1)
    assert (shares <= limits + 1e-12).all()
    rates = shares / weights
    uncut = shares < limits - 1e-12
    np.testing.assert_allclose(rates[uncut], rates[uncut].max(initial=0))
    assert (rates[~uncut] <= rates[uncut].max() + 1e-12).all()  # a cut source is never shown more often than another


def test_budgets_that_do_not_last_for_the_run_are_refused():
    with pytest.raises(ValueError, match=r"used up after 70.0% of the run's rows: raise max_epochs or max_tokens"):
        share_out(np.array([1.0, 1.0]), np.array([0.3, 0.4]))


@pytest.fixture
def text_rows(make_tokens, make_encoded):
    """Two sources of ten records, of twenty tokens each; a row holds ten."""

    def make(**settings):
        sources = tuple(
            SourceConfig(name=name, kind="text", path="", held_out=0, **(settings if name == "a" else {}))
            for name in "ab"
        )
        data = DataConfig(sources=sources, context_length=10)
        records = [make_tokens([20])] * 10
        rows = [TextRows(make_encoded(records, name), data, i, seed=0, held_out=False) for i, name in enumerate("ab")]
        return rows, data

    return make


def test_an_epoch_is_all_tokens_once(text_rows):
    rows, data = text_rows(max_epochs=2)  # 2 x 200 tokens are 40 rows of 10
    assert row_shares(rows, data, 1000) == pytest.approx([0.04, 0.96])
    assert row_shares(rows, data, 80) == pytest.approx([0.5, 0.5])
    assert row_shares(rows, data, None) == pytest.approx([0.5, 0.5])


def test_a_budget_counts_tokens(text_rows):
    rows, data = text_rows(max_tokens=1000, max_epochs=100)
    assert row_shares(rows, data, 1000) == pytest.approx([0.1, 0.9])


def test_a_budget_below_one_row_is_refused(text_rows):
    rows, data = text_rows(max_tokens=9)
    with pytest.raises(ValueError, match="source 'a': its budget is less than one row"):
        row_shares(rows, data, 1000)


@pytest.mark.parametrize("setting", [{"max_epochs": 0.0}, {"max_tokens": -1}])
def test_budgets_are_positive(setting):
    with pytest.raises(ValueError, match=f"source 'a': {next(iter(setting))} is .*, must be positive"):
        SourceConfig(name="a", kind="text", path="", prompt=PromptConfig(), **setting)
