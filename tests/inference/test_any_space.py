"""Whatever the spaces are: actions are members of theirs, and what is no observation is refused with a typed error."""

import dataclasses

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gato.config import PromptConfig
from gato.inference.batch_policy import BatchPolicy
from gato.inference.vector import stack
from gato.tokenizer.spaces import TimestepTokenizer
from gato.tokenizer.tree import leaf_spaces

NUM_SLOTS, NUM_STEPS, NUM_ACTION_TOKENS = 16, 10, 8
FLOATS = (np.float16, np.float32, np.float64)
INTEGERS = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64)
LETTERS = "abz é🙂\n0"

# One slot has the longest timestep of all, and every kind of token: what the others draw then compiles nothing anew.
LARGEST = (
    spaces.Dict(camera=spaces.Box(0, 255, (64, 96, 3), np.uint8), speeds=spaces.Box(-1, 1, (16,))),
    spaces.Tuple((spaces.Text(3), spaces.Discrete(16), spaces.Box(-1, 1, (NUM_ACTION_TOKENS - 5,)))),
)

shapes = st.sampled_from([(), (1,), (2,), (2, 2), (0,), (1, 0, 2)])


@st.composite
def boxes(draw):
    """Of every dtype, with bounds that are equal, close, far apart, the dtype's own or infinite."""
    shape, dtype = draw(shapes), np.dtype(draw(st.sampled_from(FLOATS + INTEGERS)))
    if dtype.kind == "f":
        largest = float(np.finfo(dtype).max)
        bound = st.sampled_from([-np.inf, np.inf, -largest, largest, 0.0, -0.0]) | st.floats(
            -largest, largest, width=8 * dtype.itemsize
        )
    else:
        limits = np.iinfo(dtype)
        bound = st.integers(int(limits.min), int(limits.max)) | st.sampled_from([int(limits.min), int(limits.max), 0])
    pairs = [sorted([draw(bound), draw(bound)]) for _ in range(int(np.prod(shape)))]
    # Infinite bounds on the wrong side leave no member.
    if dtype.kind == "f":
        pairs = [(-np.inf if low == np.inf else low, np.inf if high == -np.inf else high) for low, high in pairs]
    low, high = (np.array([pair[side] for pair in pairs], dtype).reshape(shape) for side in (0, 1))
    return spaces.Box(low, high, shape, dtype.type)


@st.composite
def discretes(draw):
    starts = st.integers(-(2**40), 2**40)
    match draw(st.sampled_from(["one", "many", "binary"])):
        case "one":
            return spaces.Discrete(draw(st.integers(1, 16)), start=draw(starts))
        case "many":
            sizes = draw(st.lists(st.integers(1, 16), min_size=1, max_size=4))
            start = np.array([draw(starts) for _ in sizes])
            return spaces.MultiDiscrete(np.array(sizes), start=start)
    return spaces.MultiBinary(draw(st.sampled_from([1, 3, (2, 2)])))


@st.composite
def texts(draw):
    longest = draw(st.integers(1, 3))
    charset = draw(st.sets(st.sampled_from(LETTERS), min_size=1))
    return spaces.Text(longest, min_length=draw(st.integers(0, longest)), charset="".join(sorted(charset)))


def pictures():
    sizes = st.integers(16, 33)
    return st.builds(lambda *shape: spaces.Box(0, 255, shape, np.uint8), sizes, sizes, st.sampled_from([1, 3, 4]))


def nested(leaves):
    keys = st.text("abc/ é", min_size=1, max_size=3)
    return st.recursive(
        leaves,
        lambda children: (
            st.lists(children, min_size=1, max_size=3).map(spaces.Tuple)
            | st.dictionaries(keys, children, min_size=1, max_size=3).map(spaces.Dict)
        ),
        max_leaves=4,
    )


observation_spaces = nested(boxes() | discretes() | texts() | pictures())
action_spaces = nested(boxes() | discretes() | texts())


@pytest.fixture(scope="module")
def agent(make_agent):
    plain = make_agent(context_length=200, prompt=PromptConfig(max_tokens=64))
    return dataclasses.replace(plain, tokenizer=dataclasses.replace(plain.tokenizer, text_action_tokens=4))


@pytest.fixture(scope="module")
def policy(agent):
    return BatchPolicy(agent, *LARGEST, num_envs=NUM_SLOTS)


def fits(agent, action_space):
    """Whether actions of the space have from one to as many tokens as the largest."""
    if not num_tokens(action_space):
        with pytest.raises(ValueError, match="no tokens"):
            TimestepTokenizer(spaces.Discrete(2), action_space, agent.tokenizer, agent.text)
        return False
    return num_tokens(action_space) <= NUM_ACTION_TOKENS


def num_tokens(space):
    leaves = [leaf for _, leaf in leaf_spaces(space, "action")]
    return sum(4 if isinstance(leaf, spaces.Text) else int(np.prod(leaf.shape)) for leaf in leaves)


def holds_text(space):
    return any(isinstance(leaf, spaces.Text) for _, leaf in leaf_spaces(space, "action"))


def member(space, rng):
    """A member that often lies on the bounds, or is as large as its dtype allows."""
    if isinstance(space, spaces.Dict):
        return {key: member(child, rng) for key, child in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(member(child, rng) for child in space)
    if not isinstance(space, spaces.Box):
        space.seed(int(rng.integers(2**31)))
        return space.sample()
    # Gymnasium itself cannot draw from the widest integer ranges.
    if space.dtype.kind == "f":
        low, high = (
            np.clip(bound, -np.finfo(space.dtype).max, np.finfo(space.dtype).max) for bound in (space.low, space.high)
        )
        inside = np.clip(rng.normal(scale=10.0 ** rng.integers(-3, 4), size=space.shape), low, high)
    else:
        low, high = space.low, space.high
        inside = rng.integers(low, high, size=space.shape, dtype=space.dtype, endpoint=True)
    choice = rng.integers(6, size=space.shape)
    return np.where(choice == 0, low, np.where(choice == 1, high, inside)).astype(space.dtype)


def play(policy, drawn, seed):
    """Every slot acts in its own spaces, then one begins anew with what it has done as its demonstration."""
    rng = np.random.default_rng(seed)
    every = [LARGEST, *drawn]
    for index, pair in enumerate(every):
        policy.assign([index], *pair)
    histories = [[] for _ in every]

    def steps():
        for _ in range(NUM_STEPS // 2):
            observations = [member(observed, rng) for observed, _ in every]
            actions = policy.act(observations, deterministic=bool(rng.integers(4) == 0))
            for index, (observation, action) in enumerate(zip(observations, actions, strict=True)):
                assert every[index][1].contains(action), (every[index][1], action)
                histories[index].append((observation, action))

    steps()
    # Not a text: filled up to its smallest length, it may take more tokens than there are.
    numeric = [index for index, (_, acted) in enumerate(every) if not holds_text(acted)]
    if numeric:
        shown = int(rng.choice(numeric))
        columns = zip(*histories[shown], strict=True)
        episode = (stack(space, values) for space, values in zip(every[shown], columns, strict=True))
        policy.reset([shown], seeds=[seed], prompt=policy.encode_demonstration(*episode, env_index=shown))
    steps()


def run(agent, policy, num_examples):
    pairs = st.tuples(observation_spaces, action_spaces.filter(lambda space: fits(agent, space)))
    examples = 0

    @settings(
        max_examples=num_examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],  # what fails is named in the assertion, and shrinking it takes minutes
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(pairs, min_size=NUM_SLOTS - 1, max_size=NUM_SLOTS - 1), st.integers(0, 2**32 - 1))
    def body(drawn, seed):
        nonlocal examples
        examples += 1
        play(policy, drawn, seed)

    body()
    return examples * NUM_SLOTS * NUM_STEPS


def test_actions_are_members_of_random_spaces(agent, policy):
    assert run(agent, policy, 12) >= 1_500


@pytest.mark.slow
def test_a_hundred_thousand_actions_are_members_of_random_spaces(agent, policy):
    assert run(agent, policy, 640) >= 100_000


class ReachedDeviceError(Exception):
    """The observation was taken."""


def refuse_to_compute(*arguments):
    raise ReachedDeviceError


def spoil(space, value, rng):
    """The value with one of its parts replaced by something that no space has as a member."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        keys = list(space) if isinstance(space, spaces.Dict) else list(range(len(space)))
        chosen = keys[rng.integers(len(keys))]
        parts = {key: spoil(space[key], value[key], rng) if key == chosen else value[key] for key in keys}
        if rng.integers(4) == 0:
            del parts[chosen]
        return parts if isinstance(space, spaces.Dict) else tuple(parts.values())
    wrong = [None, object(), 1j, [[1], [2, 3]], {"a": 1}, np.zeros((3, 1, 3)), b"bytes"]
    if isinstance(space, spaces.Box) and space.dtype.kind == "f" and np.prod(space.shape):
        wrong += [np.full(space.shape, bad, space.dtype) for bad in (np.nan, np.inf, -np.inf)]
    if not isinstance(space, spaces.Text):
        wrong += ["text", np.full(space.shape, "1")]
    return wrong[rng.integers(len(wrong))]


def test_what_is_no_observation_is_refused_before_the_device_is_touched(policy, monkeypatch):
    monkeypatch.setattr("gato.inference.batch_policy.act", refuse_to_compute)
    refused = 0

    @settings(max_examples=400, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
    @given(observation_spaces, observation_spaces, st.integers(0, 2**32 - 1))
    def body(observed, foreign, seed):
        nonlocal refused
        rng = np.random.default_rng(seed)
        policy.assign([1], observed, spaces.Discrete(2))

        def give(value):
            policy.act([None, value, *[None] * (NUM_SLOTS - 2)])

        good = member(observed, rng)
        spoiled = spoil(observed, good, rng)
        with pytest.raises((TypeError, ValueError), match=r"^environment 1: observation"):
            give(object() if spoiled is None else spoiled)  # None lets the slot idle
        try:
            give(member(foreign, rng))
        except (TypeError, ValueError):
            refused += 1
        except ReachedDeviceError:
            policy.assign([1], observed, spaces.Discrete(2))
        with pytest.raises(ReachedDeviceError):
            give(good)

    body()
    assert refused > 200
