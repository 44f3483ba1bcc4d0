import io
import re

import pytest
from rich.console import Console

from gato.training.progress import ProgressDisplay

INTERVAL = {
    "loss": 0.43123,
    "loss_text": 1.9,
    "loss_action": 0.25,
    "loss/pendulum": 0.3,
    "learning_rate": 1e-4,
    "skipped": 0,
    "tokens_per_second": 182_345.2,
    "mfu": 0.391,
}
HELD_OUT = {"held_out/loss": 0.5, "held_out/loss_text": 2.0, "held_out/loss_action": 0.3, "held_out/loss/pendulum": 0.4}


def lines_of(write, *, terminal: bool = False, width: int = 100, first_step: int = 0) -> list[str]:
    """All that was written, without the terminal's control sequences."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=width, color_system=None, legacy_windows=False)
    display = ProgressDisplay(console, first_step=first_step, num_steps=200)
    write(display)
    display.close()
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]|\r", "", output.getvalue()).splitlines()


def screen(write, **options) -> dict[str, str]:
    """The rows of the last screen by their names; the first row, which has none, as ""."""
    lines = [line.rstrip() for line in lines_of(write, terminal=True, **options)]
    last = max(index for index, line in enumerate(lines) if "/200" in line)
    names = ("loss", "speed", "held out", "saved", "skipped")
    rows = {name: line[len(name) :].strip() for line in lines[last + 1 :] for name in names if line.startswith(name)}
    return {"": lines[last], **rows}


def test_a_plain_line_has_the_losses_by_modality_the_speed_and_the_time_left():
    def write(display):
        display.advance(50)
        display.write(50, INTERVAL)

    (line,) = lines_of(write)
    assert line == "step 50/200  loss 0.4312  loss_text 1.9000  loss_action 0.2500  182,345 tokens/s  MFU 39.1%  – left"


def test_a_plain_line_of_an_evaluation_leaves_single_sources_to_the_files():
    (line,) = lines_of(lambda display: display.write(50, HELD_OUT))
    assert line == "step 50/200  held_out/loss 0.5000  held_out/loss_text 2.0000  held_out/loss_action 0.3000"


def test_a_plain_log_has_no_line_of_saves():
    assert lines_of(lambda display: display.saved(50)) == []


def test_the_screen_says_that_the_first_step_is_compiled():
    assert screen(lambda display: None)[""].endswith("compiling the first step")


def test_the_screen_shows_all_at_once():
    def write(display):
        display.advance(100)
        display.write(100, INTERVAL)
        display.write(100, HELD_OUT)
        display.saved(90)

    shown = screen(write)
    assert "100/200" in shown[""]
    assert "50%" in shown[""]
    assert shown["loss"] == "0.4312   text 1.9000   action 0.2500"
    assert shown["speed"] == "182,345 tokens/s   MFU 39.1%"
    assert shown["held out"] == "0.5000   text 2.0000   action 0.3000   step 100"
    assert shown["saved"] == "step 90, just now"
    assert "skipped" not in shown


def test_the_screen_tells_skipped_steps_and_where_a_run_was_resumed():
    def write(display):
        display.advance(100)
        display.write(100, {**INTERVAL, "skipped": 3})

    shown = screen(write, first_step=80)
    assert shown["skipped"].startswith("3 steps")
    assert shown["saved"] == "step 80, resumed from"


def test_unknown_utilisation_is_not_shown():
    def write(display):
        display.advance(100)
        display.write(100, {name: value for name, value in INTERVAL.items() if name != "mfu"})

    assert screen(write)["speed"] == "182,345 tokens/s"


@pytest.mark.parametrize("width", [60, 80, 140])
def test_no_line_of_the_screen_is_wider_than_the_terminal_or_a_hundred_columns(width):
    def write(display):
        display.advance(100)
        display.write(100, INTERVAL)
        display.write(100, {f"score_of_a_long_name_{number}": 0.5 for number in range(9)})

    lines = lines_of(write, terminal=True, width=width)
    assert max(map(len, lines)) <= min(width, 100)


def test_messages_stay_above_the_screen():
    lines = lines_of(lambda display: display.message("[red]a record was skipped[/]"), terminal=True)
    assert any("[red]a record was skipped[/]" in line for line in lines), "markup is not read"


def test_the_time_left_follows_the_speed_so_far(monkeypatch):
    clock = iter([100.0, 160.0])  # the first step is started, then a line is written
    monkeypatch.setattr("time.monotonic", lambda: next(clock))

    def write(display):
        display.advance(20)
        display.write(50, INTERVAL)

    (line,) = lines_of(write)
    assert line.endswith("0:05:00 left"), "30 steps in a minute, 150 to go"
