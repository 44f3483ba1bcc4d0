"""Mu-law and bins: hand-worked values, inverses, edges."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gato.tokenizer.continuous import from_bins, mu_law_decode, mu_law_encode, to_bins

MU, SCALE = 100.0, 256.0
finite = st.floats(-SCALE, SCALE)


def test_mu_law_of_one_is_worked_by_hand():
    encoded = mu_law_encode(np.array([1.0, -1.0, 0.0]), MU, SCALE)
    expected = math.log(101) / math.log(25_601)
    assert encoded == pytest.approx([expected, -expected, 0.0], abs=1e-15)


def test_mu_law_maps_the_scale_to_exactly_one():
    assert mu_law_encode(np.array([SCALE, -SCALE]), MU, SCALE).tolist() == [1.0, -1.0]
    assert mu_law_encode(np.array([2 * SCALE]), MU, SCALE) > 1


@settings(deadline=None)
@given(st.lists(finite, min_size=1))
def test_mu_law_decode_inverts_encode(values):
    array = np.array(values)
    assert mu_law_decode(mu_law_encode(array, MU, SCALE), MU, SCALE) == pytest.approx(array, rel=1e-10, abs=1e-12)


@settings(deadline=None)
@given(finite, finite)
def test_mu_law_keeps_order(a, b):
    low, high = mu_law_encode(np.array(sorted((a, b))), MU, SCALE)
    assert low <= high


def test_bins_of_the_interval_ends_and_middle():
    values = np.array([-1.0, np.nextafter(-1 + 2 / 1024, -2), -1 + 2 / 1024, 0.0, np.nextafter(1.0, 0), 1.0])
    assert to_bins(values, 1024).tolist() == [0, 0, 1, 512, 1023, 1023]


def test_values_outside_the_interval_take_the_outer_bins():
    assert to_bins(np.array([-1e300, -1.5, 1.5, 1e300, np.inf]), 1024).tolist() == [0, 0, 1023, 1023, 1023]


def test_bins_decode_to_their_centres():
    assert from_bins(np.array([0, 1, 3]), 4).tolist() == [-0.75, -0.25, 0.75]


@pytest.mark.parametrize("num_bins", [2, 3, 1000, 1024])
def test_every_bin_centre_lies_in_its_bin(num_bins):
    bins = np.arange(num_bins)
    assert (to_bins(from_bins(bins, num_bins), num_bins) == bins).all()


@settings(deadline=None)
@given(st.floats(-1, 1), st.sampled_from([2, 3, 256, 1024]))
def test_decoding_is_at_most_half_a_bin_off(value, num_bins):
    decoded = from_bins(to_bins(np.array([value]), num_bins), num_bins)[0]
    assert abs(decoded - value) <= 1 / num_bins + 1e-12


@settings(deadline=None)
@given(st.floats(-2, 2), st.floats(-2, 2))
def test_bins_keep_order(a, b):
    low, high = to_bins(np.array(sorted((a, b))), 1024)
    assert low <= high


def test_no_function_overwrites_its_input():
    values, bins = np.array([0.5, -0.25]), np.array([3, 900])
    mu_law_encode(values, MU, SCALE)
    mu_law_decode(values, MU, SCALE)
    to_bins(values, 1024)
    from_bins(bins, 1024)
    assert values.tolist() == [0.5, -0.25]
    assert bins.tolist() == [3, 900]
