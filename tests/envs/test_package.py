"""How the package is imported: lazily, and under one name."""

import subprocess
import sys
from pathlib import Path

import pytest

from gato.envs.simulator import import_simulator


def run_python(code: str) -> subprocess.CompletedProcess:
    root = Path(__file__).parents[2]
    return subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)


def test_import_needs_no_simulator():
    simulators = "{'minigrid', 'pygame', 'Box2D', 'mujoco', 'metaworld', 'gymnasium_robotics', 'dm_control', 'ale_py'}"
    code = f"import sys, gato.envs.scenes; gato.envs.all_tasks(); print({simulators} & set(sys.modules))"
    assert run_python(code).stdout == "set()\n"


def test_plain_envs_is_refused():
    result = run_python("import envs")
    assert "this package is imported as 'gato.envs', not 'envs'" in result.stderr


@pytest.mark.parametrize("name", ["lunar-lander", "babyai-go-to-local-pixels", "cartpole"])
def test_simulators_load_where_warnings_are_errors(name: str):
    result = run_python(
        f"import warnings, gato.envs; warnings.simplefilter('error'); gato.envs.get_task('{name}').make()"
    )
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


def test_missing_simulator_names_the_extra_to_install():
    with pytest.raises(ImportError, match=r"no_such_simulator .*pip install 'gato-jax\[minigrid\]'"):
        import_simulator("no_such_simulator", "minigrid")
