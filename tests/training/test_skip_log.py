"""The log of skipped records: each once, on the console and in the run, across a resume and by several processes."""

import io
import json

import jax
import pytest
from rich.console import Console

from gato.run_files import SKIPPED_FILE
from gato.training.skip_log import SkipLog


class Batches:
    """A mixture that meets one more bad record with every batch."""

    source_names = ("arm",)

    def __init__(self):
        self.met = 0

    def __next__(self):
        self.met += 1
        return self.met

    def skipped(self):
        return {"arm": {index: f"arm: episode {index} is [torn]" for index in range(self.met // 2)}}

    def get_state(self):
        return {"met": self.met}

    def set_state(self, state):
        self.met = state["met"]


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_each_record_is_told_once_and_a_resumed_run_goes_on(tmp_path):
    output = io.StringIO()
    log = SkipLog(Batches(), tmp_path, Console(file=output), resume=False)
    assert [next(log) for _ in range(4)] == [1, 2, 3, 4]
    assert output.getvalue().splitlines() == ["skipped arm: episode 0 is [torn]", "skipped arm: episode 1 is [torn]"]
    resumed = SkipLog(Batches(), tmp_path, Console(file=output), resume=True)
    resumed.set_state(log.get_state())
    next(resumed)
    next(resumed)
    assert [(line["source"], line["record"]) for line in lines(tmp_path / SKIPPED_FILE)] == [
        ("arm", 0),
        ("arm", 1),
        ("arm", 2),
    ]
    assert len(output.getvalue().splitlines()) == 3


def test_a_new_run_begins_a_new_file(tmp_path):
    (tmp_path / SKIPPED_FILE).write_text('{"source": "arm", "record": 0, "reason": "old"}\n')
    log = SkipLog(Batches(), tmp_path, Console(file=io.StringIO()), resume=False)
    assert not (tmp_path / SKIPPED_FILE).exists()
    next(log)
    next(log)
    assert lines(tmp_path / SKIPPED_FILE)[0]["reason"] == "arm: episode 0 is [torn]"


class Number(int):
    """A record's number that counts how often it is looked up."""

    looked_up = 0

    def __hash__(self):
        type(self).looked_up += 1
        return super().__hash__()


def test_a_batch_costs_no_work_for_records_that_were_told_before(tmp_path):
    records = {Number(index): f"record {index}" for index in range(100)}
    met = {Number(index): f"record {index}" for index in range(100, 103)}

    class Growing(Batches):
        def skipped(self):
            return {"arm": records}

    output = io.StringIO()
    log = SkipLog(Growing(), tmp_path, Console(file=output), resume=False)
    next(log)
    records |= met
    Number.looked_up = 0
    for _ in range(50):
        next(log)
    assert Number.looked_up < 20
    assert output.getvalue().splitlines() == [f"skipped record {index}" for index in range(103)]


@pytest.fixture
def as_process(monkeypatch):
    """Makes what follows one process of so many."""

    def become(index, count):
        monkeypatch.setattr(jax, "process_index", lambda: index)
        monkeypatch.setattr(jax, "process_count", lambda: count)

    return become


def meeting(run, *, resume):
    """A log that has met records 0 and 1."""
    log = SkipLog(Batches(), run, Console(file=io.StringIO()), resume=resume)
    for _ in range(4):
        next(log)


def listed(run):
    return {
        path.name: [(line["record"], line["reason"][:3]) for line in lines(path)] for path in run.glob("skipped*.jsonl")
    }


def test_each_of_several_processes_has_a_file_of_its_own(as_process, tmp_path):
    for index in range(3):
        as_process(index, 3)
        meeting(tmp_path, resume=False)
    both = [(0, "arm"), (1, "arm")]
    assert listed(tmp_path) == {"skipped.jsonl": both, "skipped.1.jsonl": both, "skipped.2.jsonl": both}


def test_a_resumed_run_knows_what_any_process_listed_and_mends_only_its_own_files(as_process, tmp_path):
    told, torn = '{"source": "arm", "record": %d, "reason": "old"}\n', '{"source": "ar'
    for number, name in enumerate(("skipped.jsonl", "skipped.1.jsonl", "skipped.2.jsonl")):
        (tmp_path / name).write_text(told % number + torn)
    as_process(0, 2)  # the files of three processes are shared out among two
    meeting(tmp_path, resume=True)
    assert (tmp_path / "skipped.1.jsonl").read_text() == told % 1 + torn
    as_process(1, 2)
    meeting(tmp_path, resume=True)
    assert listed(tmp_path) == {
        "skipped.jsonl": [(0, "old")],
        "skipped.1.jsonl": [(1, "old")],
        "skipped.2.jsonl": [(2, "old")],
    }


def test_a_new_run_of_fewer_processes_leaves_no_old_file_and_no_other_file_is_touched(as_process, tmp_path):
    for name in ("skipped.jsonl", "skipped.1.jsonl", "skipped.2.jsonl", "skipped-mine.jsonl"):
        (tmp_path / name).write_text('{"source": "arm", "record": 0, "reason": "old"}\n')
    for index in (1, 0):  # whichever starts first
        as_process(index, 2)
        meeting(tmp_path, resume=False)
    new = [(0, "arm"), (1, "arm")]
    assert listed(tmp_path) == {"skipped.jsonl": new, "skipped.1.jsonl": new, "skipped-mine.jsonl": [(0, "old")]}
