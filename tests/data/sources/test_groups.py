"""Group numbers of episodes."""

import numpy as np

from gato.data.sources.groups import group_ids


def test_equal_keys_share_a_number_in_the_order_in_which_they_first_come():
    found = group_ids(iter(["push", "lift", "push", "drop", "lift"]))
    assert found.tolist() == [0, 1, 0, 2, 1]
    assert found.dtype == np.int64
