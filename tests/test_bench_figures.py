"""`make bench` ends with the figures of all parts, in one form."""

import importlib
import os
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ["bench.py", "loader_speed.py", "layout_speed.py"]
# In place of an interpreter: appends a figure named after the part to the file that is given last, or fails if told to.
STUB = """#!/bin/sh
for last; do :; done
echo "measuring $1"
case "$1" in *"$FAILING"*) exit 3;; esac
echo "$(basename "$1") 1.000 0.500 2.000" >>"$last"
"""


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("figures")


def make_bench(folder: Path, failing: str, *variables: str) -> subprocess.CompletedProcess[str]:
    """Runs `make bench` with a stub for every part."""
    stub = folder / "python"
    stub.write_text(STUB)
    stub.chmod(0o755)
    for stamp in ("full", "bench"):
        (folder / stamp).touch()
    places = [f"BIN={folder}", f"FULL={folder / 'full'}", f"BENCH={folder / 'bench'}", f"BENCH_VENV={folder}"]
    outer = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")  # of the `make test` that may run this
    return subprocess.run(
        ["make", "--no-print-directory", *places, *variables, "bench"],
        cwd=ROOT,
        env={**{name: value for name, value in os.environ.items() if name not in outer}, "FAILING": failing},
        capture_output=True,
        text=True,
    )


def test_a_figure_is_the_median_of_the_turns_between_its_ends(figures: ModuleType) -> None:
    figure = figures.Figure.from_ratios("act/tiles stem", [3.0, 1.0, 1.5, 1.25])
    assert figure.line == "act/tiles-stem 1.375 1.000 3.000"


def test_figures_are_printed_and_appended_in_the_same_form(
    figures: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "figures.txt"
    figures.report([figures.Figure("a", 1.0, 0.5, 2.0)], path)
    figures.report([figures.Figure("b", 3.0, 3.0, 3.0)], path)
    figures.report([figures.Figure("c", 1.0, 1.0, 1.0)], None)
    lines = ["a 1.000 0.500 2.000", "b 3.000 3.000 3.000"]
    assert path.read_text().splitlines() == lines
    printed = [line for line in capsys.readouterr().out.splitlines() if line]
    assert printed == [*lines, "c 1.000 1.000 1.000"]


def test_all_parts_end_together(tmp_path: Path) -> None:
    (tmp_path / "figures.txt").write_text("left_over 1 1 1\n")
    done = make_bench(tmp_path, "nothing", "OLDER=../older")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-5:] == [
        "",
        *(f"{part} 1.000 0.500 2.000" for part in [*PARTS, "step_against_base.py"]),
    ]


def test_a_part_that_fails_is_named_and_stops_no_other(tmp_path: Path) -> None:
    done = make_bench(tmp_path, "loader_speed.py")
    assert done.returncode != 0
    assert done.stdout.splitlines()[-3:] == ["", "bench.py 1.000 0.500 2.000", "layout_speed.py 1.000 0.500 2.000"]
    assert "failed: loader_speed.py" in done.stderr
