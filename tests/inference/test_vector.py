import numpy as np
import pytest
from gymnasium import spaces

from gato.inference.vector import entry, is_batched, stack

SPACES = [
    spaces.Discrete(3),
    spaces.Box(-1, 1, (2, 3)),
    spaces.MultiBinary(4),
    spaces.Text(5),
    spaces.Tuple((spaces.Text(5), spaces.Discrete(2))),
    spaces.Dict(a=spaces.Tuple((spaces.Box(0, 1, (1,)), spaces.Text(3))), b=spaces.Discrete(4)),
]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: type(space).__name__)
def test_entries_of_a_batch_are_its_members(space):
    members = [space.sample() for _ in range(3)]
    batched = stack(members)
    for index, member in enumerate(members):
        np.testing.assert_equal(entry(batched, index), member)
        assert not is_batched(space, member)
    assert is_batched(space, batched)
