import json
import time

import pytest

from gato.training.events import EventLog, read_events


def told(path) -> list[tuple[str, int]]:
    return [(event.kind, event.step) for event in read_events(path)]


def test_a_resumed_run_keeps_what_happened_and_a_new_one_does_not(tmp_path):
    path = tmp_path / "events.jsonl"
    log = EventLog(path, first_step=0)
    log.note("saved", 5)
    log.note("stopped", 7)
    log.close()
    EventLog(path, first_step=7).close()
    assert told(path) == [("started", 0), ("saved", 5), ("stopped", 7), ("resumed", 7)]
    EventLog(path, first_step=0).close()
    assert told(path) == [("started", 0)]


def test_times_are_the_clocks(tmp_path):
    before = time.time()
    EventLog(tmp_path / "events.jsonl", first_step=3).close()
    (event,) = read_events(tmp_path / "events.jsonl")
    assert before <= event.time_s <= time.time()


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path):
    path = tmp_path / "events.jsonl"
    EventLog(path, first_step=0).close()
    with path.open("a") as file:
        file.write('{"time_s": 1.0, "st')
    assert told(path) == [("started", 0)]
    EventLog(path, first_step=2).close()
    assert told(path) == [("started", 0), ("resumed", 2)]


@pytest.mark.parametrize("line", [{"step": 3}, {"time_s": 1.0, "step": 3, "kind": "exploded"}])
def test_a_line_that_is_no_event_is_named(tmp_path, line):
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps(line) + "\n")
    with pytest.raises(ValueError, match=r"events.jsonl:1 is no event"):
        read_events(path)
