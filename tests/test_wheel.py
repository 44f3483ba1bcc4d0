"""What a user gets: the wheel, installed into an empty folder and used from another one."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("gato", "envs", "configs", "checkpoints", "pyproject.toml", "README.md", "LICENSE")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input")
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]

LIST_TASKS = """
import importlib.util, json, sys
import gato.envs
print(json.dumps({
    "places": [importlib.util.find_spec(name).origin for name in sys.argv[1:]],
    "tasks": {task.name: task.scores is not None for task in gato.envs.all_tasks()},
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that the checkout keeps no traces of it; without network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    build = (*PIP, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", str(folder), str(source))
    subprocess.run(build, check=True, cwd=folder)
    return next(folder.glob("*.whl"))


def test_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = set()
    for folder, inside in (("gato", "gato"), ("envs", "gato/envs"), ("configs", "gato/configs")):
        files = [path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        expected |= {f"{inside}/{path.relative_to(ROOT / folder).as_posix()}" for path in files}
    # Beside shipped agents the folder holds whatever its owner trained; of that, nothing.
    shipped = [path for path in (ROOT / "checkpoints" / "generalist").glob("*") if path.is_file()]
    expected |= {"gato/released/__init__.py", *(f"gato/released/generalist/{path.name}" for path in shipped)}
    assert names == expected


def test_installed_wheel_lists_its_tasks_far_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    subprocess.run((*PIP, "install", "--no-deps", "--target", str(site), str(wheel)), check=True, cwd=elsewhere)
    # The folder comes before this environment's own packages, among which the checkout may be installed as editable.
    output = subprocess.run(
        (sys.executable, "-c", LIST_TASKS, *PACKAGES),
        check=True,
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(site)},
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    found = json.loads(output)
    assert [place for place in found["places"] if not Path(place).is_relative_to(site)] == []
    assert found["tasks"]["cartpole"], "the wheel lacks the measured scores"
