"""The log of skipped records: each once, on the console and in the run's file, across a resume."""

import io
import json

from rich.console import Console

from gato.cli.skip_log import SKIPPED_FILE, SkipLog


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
