"""How the package is imported: lazily, and under one name."""

import subprocess
import sys
from pathlib import Path

import pytest

from gato.envs import all_tasks
from gato.envs.reference import reference_scores
from gato.envs.simulator import import_simulator


def run_python(code: str) -> subprocess.CompletedProcess:
    root = Path(__file__).parents[2]
    return subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)


def test_import_needs_no_simulator():
    code = "import sys, gato.envs, gato.envs.scenes; print({'minigrid', 'pygame', 'Box2D'} & set(sys.modules))"
    assert run_python(code).stdout == "set()\n"


def test_plain_envs_is_refused():
    result = run_python("import envs")
    assert "this package is imported as 'gato.envs', not 'envs'" in result.stderr


@pytest.mark.parametrize("name", ["lunar-lander", "go-to-local-pixels", "cartpole"])
def test_simulators_load_where_warnings_are_errors(name: str):
    result = run_python(
        f"import warnings, gato.envs; warnings.simplefilter('error'); gato.envs.get_task('{name}').make()"
    )
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


def test_missing_simulator_names_the_extra_to_install():
    with pytest.raises(ImportError, match=r"no_such_simulator .*pip install 'gato-jax\[babyai\]'"):
        import_simulator("no_such_simulator", "babyai")


def test_scores_are_recorded_for_exactly_the_tasks_with_an_expert():
    assert set(reference_scores()) == {task.name for task in all_tasks() if task.make_expert}
