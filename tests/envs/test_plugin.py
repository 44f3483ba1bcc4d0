"""The page on adding an environment works as written, from another package."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "adding_an_environment.md"


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """The page's module, with the metadata that its pyproject.toml would install."""
    folder = tmp_path_factory.mktemp("warm_rooms")
    page = PAGE.read_text()
    (module,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (entry_points,) = re.findall(r'entry-points."gato_families"\]\n(\w+) = "(\w+)"', page)
    (folder / "warm_rooms.py").write_text(module)
    metadata = folder / "warm_rooms-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: warm-rooms\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text("[gato_families]\n{} = {}\n".format(*entry_points))
    return folder


def gato(package: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from gato.cli.main import run; run()", *arguments],
        cwd=package,
        env={**os.environ, "PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_family_of_another_package_is_measured_listed_and_recorded(package: Path):
    commands = re.findall(r"^gato (.*?)(?:\s+#.*)?$", PAGE.read_text(), re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        gato(package, *command.split())
    scores = json.loads((package / "warm_rooms.json").read_text())["warm-room"]
    assert scores["random"]["mean"] < scores["expert"]["mean"]
    assert scores["expert"]["success"] == 1.0
    listed = json.loads(gato(package, "tasks", "warm-room", "--json"))
    assert listed[0]["scores"]["expert"]["mean"] == scores["expert"]["mean"]
    metadata = json.loads((package / "demonstrations" / "warm-room" / "data" / "metadata.json").read_text())
    assert metadata["total_episodes"] == 20
