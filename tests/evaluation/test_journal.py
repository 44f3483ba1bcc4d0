import json

import pytest

from gato.evaluation.journal import EpisodeResult, Journal

SETTINGS = {"checkpoint": {"step": 3}, "seed": 5, "tasks": ["a", "b"], "pair": (1, 2)}


def result(episode: int, **changes) -> EpisodeResult:
    fields = {
        "task": "a",
        "prompt": "right",
        "variants": "all",
        "variant": 0,
        "seed": 5 + episode,
        "episode_return": 0.1 + 0.2,
        "length": 7,
        "success": True,
    }
    return EpisodeResult(episode=episode, **{**fields, **changes})


def test_results_come_back_exactly(tmp_path):
    path = tmp_path / "episodes.jsonl"
    with Journal(path, SETTINGS) as journal:
        journal.append(result(0))
        journal.append(result(1, prompt="none", success=None, followed=False))
    with Journal(path, SETTINGS) as journal:
        assert journal.results == {
            one.key: one for one in (result(0), result(1, prompt="none", success=None, followed=False))
        }
        journal.append(result(2))
    assert len(path.read_text().splitlines()) == 4


def test_a_torn_line_is_dropped_wherever_the_crash_cut_it(tmp_path):
    path = tmp_path / "episodes.jsonl"
    with Journal(path, SETTINGS) as journal:
        journal.append(result(0))
        whole = path.read_bytes()
        journal.append(result(1))
    full = path.read_bytes()
    for length in range(len(whole), len(full)):
        path.write_bytes(full[:length])
        with Journal(path, SETTINGS) as journal:
            assert list(journal.results) == [result(0).key]
            journal.append(result(1))
        assert path.read_bytes() == full


def test_a_torn_first_line_begins_anew(tmp_path):
    path = tmp_path / "episodes.jsonl"
    path.write_text('{"checkpoint": {"st')
    with Journal(path, SETTINGS) as journal:
        assert journal.results == {}
    assert json.loads(path.read_text())["seed"] == 5


def test_results_are_in_the_file_before_it_is_closed(tmp_path):
    with Journal(tmp_path / "episodes.jsonl", SETTINGS) as journal:
        journal.append(result(0))
        assert len((tmp_path / "episodes.jsonl").read_text().splitlines()) == 2


def test_other_settings_are_refused_and_named(tmp_path):
    path = tmp_path / "episodes.jsonl"
    Journal(path, SETTINGS).__exit__()
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r'checkpoint is {"step": 3} there, {"step": 4} now; seed is 5 there, 6 now'):
        Journal(path, {**SETTINGS, "checkpoint": {"step": 4}, "seed": 6})
    with pytest.raises(ValueError, match=r"deterministic is null there, true now. Give another --out, or --overwrite"):
        Journal(path, {**SETTINGS, "deterministic": True})
    with pytest.raises(ValueError, match="seed is 5 there, null now"):
        Journal(path, {name: value for name, value in SETTINGS.items() if name != "seed"})
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "line, message",
    [
        ("{", r"episodes\.jsonl:2 is not JSON .*: evaluate again with --overwrite"),
        ("3", r"episodes\.jsonl:2 is no JSON object"),
        ('{"task": "a"}', r"episodes\.jsonl:2 has \['task'\], expected"),
    ],
)
def test_a_damaged_line_in_the_middle_is_an_error(line, message, tmp_path):
    path = tmp_path / "episodes.jsonl"
    Journal(path, SETTINGS).__exit__()
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match=message):
        Journal(path, SETTINGS)
