"""Dialogues of .jsonl files."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gato.data.sources.dialogue import DialogueSource

turn = st.tuples(st.sampled_from(["user", "agent"]), st.text(st.characters(exclude_categories=["Cs"]), max_size=20))


def write(path, dialogues):
    lines = [
        json.dumps({"turns": [{"speaker": speaker, "text": text} for speaker, text in turns]}) for turns in dialogues
    ]
    path.write_text("\n".join(lines), encoding="utf-8")


@given(st.lists(st.lists(turn, min_size=1, max_size=4), min_size=1, max_size=4))
def test_dialogues_come_back_turn_by_turn(tmp_path_factory, dialogues):
    path = tmp_path_factory.mktemp("talk") / "talk.jsonl"
    write(path, dialogues)
    source = DialogueSource(path, "talk")
    assert source.name == "talk"
    assert [list(source[i].turns) for i in range(len(source))] == dialogues
    assert source[0].image is None


def test_a_folder_is_read_file_by_file_in_a_fixed_order(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("b.jsonl", "deep/a.jsonl", "a.jsonl"):
        write(tmp_path / name, [[("user", name)], [("agent", name)]])
    source = DialogueSource(str(tmp_path), "talk")
    assert [source[i].turns[0][1] for i in range(6)] == [
        name for name in ("a.jsonl", "b.jsonl", "deep/a.jsonl") for _ in range(2)
    ]


def test_a_path_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^talk: .*gone does not exist, expected a \.jsonl file or a folder"):
        DialogueSource(tmp_path / "gone", "talk")


def test_a_folder_without_dialogues_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^talk: .* holds no dialogue, expected \.jsonl lines with the field 'turns'"):
        DialogueSource(tmp_path, "talk")


@pytest.mark.parametrize(
    "line, match",
    [
        ({"turns": []}, ": the dialogue has no turns"),
        ({"turns": [{"speaker": "bot", "text": "a"}]}, ": the speaker of turn 0 is 'bot', expected 'user' or 'agent'"),
        ({"turns": [{"speaker": "user", "text": "a"}, "b"]}, ": turn 1 is 'b', expected"),
        ({"turns": [{"speaker": "user"}]}, ": turn 0 is {'speaker': 'user'}, expected"),
        ({"turns": [{"text": "a"}]}, ": turn 0 is {'text': 'a'}, expected"),
        ({"turns": [{"speaker": "user", "text": 3}]}, ": turn 0 is .*3}, expected"),
        ({"turns": "hello"}, ": field 'turns' is str, expected list"),
        ({"text": "hello"}, r" lacks the field 'turns', found \['text'\]"),
    ],
    ids=["no-turns", "speaker", "no-object", "no-text", "no-speaker", "number", "no-list", "no-field"],
)
def test_a_line_that_is_no_dialogue_is_refused_by_line(tmp_path, line, match):
    good = {"turns": [{"speaker": "user", "text": "a"}]}
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, [good, line])))
    with pytest.raises(ValueError, match=rf"^talk: .*a\.jsonl:2{match}"):
        DialogueSource(tmp_path, "talk")


ASKED = [("user", "hi"), ("agent", "hello"), ("user", "bye")]


@pytest.mark.parametrize(
    "line, expected",
    [
        ({"turns": [["user", "hi"], ["assistant", "hello"], ["user", "bye"]]}, ASKED),
        ({"turns": ["hi", "hello", "bye"]}, ASKED),
        ({"turns": [["agent", "hello"], ["agent", "anyone?"]]}, [("agent", "hello"), ("agent", "anyone?")]),
        ({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}, ASKED[:2]),
        ({"instruction": "hi", "response": "hello"}, ASKED[:2]),
        ({"instruction": "hi", "input": "", "output": "hello"}, ASKED[:2]),
        ({"instruction": "Add.", "input": "1, 2", "output": "3"}, [("user", "Add.\n\n1, 2"), ("agent", "3")]),
        (
            {"instruction": "Who?", "context": "It was Ann.", "response": "Ann"},
            [("user", "Who?\n\nIt was Ann."), ("agent", "Ann")],
        ),
    ],
    ids=["pairs", "texts", "one-speaker", "messages", "instruction", "empty-input", "input", "context"],
)
def test_common_layouts_become_turns(tmp_path, line, expected):
    (tmp_path / "a.jsonl").write_text(json.dumps(line))
    assert list(DialogueSource(tmp_path, "talk")[0].turns) == expected


def test_further_names_of_speakers_are_told_and_never_guessed(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"turns": [["user", "hi"], ["system", "hello"]]}))
    source = DialogueSource(tmp_path, "talk", speakers={"system": "agent"})
    assert source[0].turns == (("user", "hi"), ("agent", "hello"))
    with pytest.raises(ValueError, match=r'turn 1 is \'system\', .* option speakers, such as {"system": "agent"}'):
        DialogueSource(tmp_path, "talk")
    with pytest.raises(ValueError, match=r"option speakers maps to \['robot'\], expected 'user' or 'agent'"):
        DialogueSource(tmp_path, "talk", speakers={"system": "robot"})


@pytest.mark.parametrize(
    "line, match",
    [
        ({"turns": ["hi", ["agent", "hello"]]}, r"turn 1 is \['agent', 'hello'\], expected .*, all turns alike"),
        ({"turns": [["user", "hi", "there"]]}, r"turn 0 is .*'there'\], expected"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, r"message 0 is .*, expected {\"role\""),
        ({"messages": "hi"}, "field 'messages' is str, expected list"),
        ({"instruction": "hi"}, r"expected {\"instruction\": \"...\", \"response\": \"...\"} of texts"),
        ({"instruction": 3, "response": "hi"}, "of texts"),
    ],
    ids=["mixed", "triple", "parts", "no-list", "no-answer", "number"],
)
def test_lines_near_a_layout_are_refused_by_line(tmp_path, line, match):
    (tmp_path / "a.jsonl").write_text("\n" + json.dumps(line))
    with pytest.raises(ValueError, match=rf"^talk: .*a\.jsonl:2: .*{match}|a\.jsonl:2 holds .*{match}"):
        DialogueSource(tmp_path, "talk")
