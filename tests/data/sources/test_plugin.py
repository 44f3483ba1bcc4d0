"""The page on adding a format works as written, from another package."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[3] / "docs" / "adding_a_format.md"


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """The page's module and sources.json, with the metadata that its pyproject.toml would install, and episodes."""
    folder = tmp_path_factory.mktemp("csv_episodes")
    page = PAGE.read_text()
    (module,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (sources,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (entry_points,) = re.findall(r'entry-points."gato_formats"\]\n(\w+) = "(\w+)"', page)
    (folder / "csv_episodes.py").write_text(module)
    (folder / "sources.json").write_text(sources)
    metadata = folder / "csv_episodes-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: csv-episodes\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text("[gato_formats]\n{} = {}\n".format(*entry_points))
    (folder / "recordings").mkdir()
    rng = np.random.default_rng(0)
    for name in ("lift-0", "lift-1", "lower-0"):
        lines = ["height,speed,force,reward", *(",".join(map(str, rng.uniform(-1, 1, 4))) for _ in range(5))]
        (folder / "recordings" / f"{name}.csv").write_text("\n".join(lines))
    return folder


def python(package: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=package,
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )


OPEN = """
import json, sys
from gato.config import RunConfig
from gato.data.sources.opening import open_source
run = RunConfig().with_sources(json.load(open("sources.json"))).override(sys.argv[1:])
source = open_source(run.data.sources[0])
print(len(source), source.groups.tolist(), source[2].observations.shape, type(source[0]).__name__)
"""


def test_a_format_of_another_package_is_opened_by_its_kind(package: Path):
    done = python(package, OPEN)
    assert done.stdout.split("\n")[0] == "3 [0, 0, 1] (5, 2) Episode", done.stderr


def test_its_options_are_checked_as_ours_are(package: Path):
    entry = json.loads((package / "sources.json").read_text())[0]
    for options, match in (
        (
            {"states": ["height"], "actions": "force"},
            r"no options \['actions'\], it has \['states', 'action', ",
        ),
        ({"action": "force"}, r"source 'lift': kind 'csv' needs the options \['states'\]"),
    ):
        done = python(package, OPEN, f"data.sources={json.dumps([{**entry, 'options': options}])}")
        assert re.search(match, done.stderr), done.stderr


def test_the_commands_of_the_page_run(package: Path):
    commands = re.findall(r"^gato (.*)$", PAGE.read_text(), re.MULTILINE)
    assert len(commands) == 1
    for command in commands:
        done = python(package, "from gato.cli.main import run; run()", *command.split())
        assert done.returncode == 0, done.stderr
    assert "kind csv" in (package / "report.html").read_text().lower()
