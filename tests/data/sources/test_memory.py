"""Records that a program brings itself: what is checked, when, and what is asked of a sequence or an iterator."""

from functools import partial

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, Text

from gato.data.encoded import EncodedSource, SequenceCache, encode_episode, timestep_tokenizer
from gato.data.episode import Dialogue, Document, Episode, ImageText
from gato.data.sources.memory import MemoryControlSource, MemorySource

OBSERVATION_SPACE = Dict({"at": Box(-1, 1, (2,)), "goal": Text(4)})
ACTION_SPACE = Discrete(3)


def episode(number=0, *, length=3, **changes):
    rng = np.random.default_rng(number)
    observations = {"at": rng.uniform(-1, 1, (length + 1, 2)).astype(np.float32), "goal": ["red"] * (length + 1)}
    fields = {
        "observations": observations,
        "actions": rng.integers(0, 3, length),
        "rewards": rng.normal(size=length),
        "terminated": True,
        "truncated": False,
    }
    return Episode(**{**fields, **changes})


def control(episodes, **options):
    return MemoryControlSource(
        episodes, "mine", **{"observation_space": OBSERVATION_SPACE, "action_space": ACTION_SPACE, **options}
    )


class Asked:
    """A sequence that notes what it is asked for."""

    def __init__(self, records):
        self.records, self.asked = records, []

    def __len__(self):
        return len(self.records)

    def __getitem__(self, index):
        self.asked.append(index)
        return self.records[index]


def test_records_of_each_type_come_back():
    picture = np.zeros((4, 4, 3), np.uint8)
    records = [
        Document(text="a"),
        Dialogue(turns=(("user", "a"), ("agent", "b"))),
        ImageText(image=picture, text="c"),
    ]
    source = MemorySource(records, "mine")
    assert source.name == "mine"
    assert [source[index] for index in range(len(source))] == records


def test_an_iterator_is_run_once_and_kept():
    source = MemorySource((Document(text=text) for text in "abc"), "mine")
    assert [source[index].text for index in (2, 0, 1, 2)] == ["c", "a", "b", "c"]


def test_a_sequence_is_asked_only_when_a_record_is_needed():
    records = Asked([Document(text=text) for text in "abc"])
    source = MemorySource(records, "mine")
    assert len(source) == 3
    assert records.asked == []
    assert source[1].text == "b"
    assert records.asked == [1]


def test_episodes_come_back_with_their_spaces():
    episodes = [episode(0), episode(1, length=5)]
    source = control(episodes)
    assert (source.observation_space, source.action_space) == (OBSERVATION_SPACE, ACTION_SPACE)
    assert [source[0], source[1]] == episodes


def test_episodes_with_equal_options_are_one_group():
    options = [{"goal": 1, "n": 2}, {"goal": 2}, {"n": 2, "goal": 1}, None, {}]
    assert control([episode(options=each) for each in options]).groups.tolist() == [0, 1, 0, 2, 2]


def test_given_groups_leave_a_sequence_unread():
    episodes = Asked([episode(0), episode(1)])
    assert control(episodes, groups=[4, 4]).groups.tolist() == [4, 4]
    assert episodes.asked == []


def test_the_source_can_be_encoded(text, config):
    source = control([episode(0), episode(1)])
    timesteps = timestep_tokenizer(source, config, text)
    encode = partial(encode_episode, timesteps=timesteps, terminal_observation=False)
    sequence = EncodedSource(source, encode, SequenceCache(1 << 20))
    assert sequence[1].num_timesteps == 3


def test_options_that_are_no_json_are_refused():
    with pytest.raises(ValueError, match=r"^mine: episode 1: its options are no JSON .*: give groups"):
        control([episode(), episode(options={"goal": {1, 2}})])


@pytest.mark.parametrize("groups", [[0], [0, 1, 2], [0.0, 1.0], [[0], [1]]])
def test_groups_that_do_not_go_with_the_episodes_are_refused(groups):
    with pytest.raises(ValueError, match=r"^mine: groups are .*, expected one integer for each of the 2 episodes"):
        control([episode(0), episode(1)], groups=groups)


def test_no_records_are_refused():
    for records in ([], iter(())):
        with pytest.raises(ValueError, match=r"^mine: no records came, expected at least one"):
            MemorySource(records, "mine")
        with pytest.raises(ValueError, match=r"^mine: no records came, expected at least one"):
            control(records)


@pytest.mark.parametrize("records", ["text", b"text", {"a": 1}, {1, 2}])
def test_what_has_no_order_or_is_one_text_is_refused(records):
    with pytest.raises(TypeError, match=r"^mine: .* came, expected records in an order"):
        MemorySource(records, "mine")


def test_records_of_another_type_are_refused_when_taken():
    source = MemorySource([Document(text="a"), {"text": "b"}], "mine")
    assert source[0].text == "a"
    with pytest.raises(TypeError, match=r"^mine: record 1 is dict, expected Document, Dialogue or ImageText"):
        source[1]
    with pytest.raises(TypeError, match=r"^mine: record 0 is Episode, expected Document"):
        MemorySource([episode()], "mine")[0]
    with pytest.raises(TypeError, match=r"^mine: record 1 is dict"):
        MemorySource(iter([Document(text="a"), {"text": "b"}]), "mine")
    with pytest.raises(TypeError, match=r"^mine: record 0 is Document, expected Episode of gato\.data\.episode"):
        control([Document(text="a")])


@pytest.mark.parametrize("index", [-1, 2])
def test_a_record_that_does_not_exist_is_refused(index):
    with pytest.raises(IndexError, match=rf"^mine: record {index} of 2"):
        control([episode(), episode()])[index]


def test_an_episode_outside_its_spaces_is_refused_when_taken():
    wrong = episode(actions=np.array([0, 3, 1]))
    match = r"^mine: episode 1: actions is 3 at timestep 1, expected a member of Discrete\(3\): correct the data or the"
    source = control(Asked([episode(), wrong]), groups=[0, 0])
    assert source[0].terminated
    with pytest.raises(ValueError, match=match):
        source[1]
    for groups in (None, [0, 0]):
        with pytest.raises(ValueError, match=match):
            control(iter([episode(), wrong]), groups=groups)
