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
