import os
import stat
import subprocess
import sys

import pytest

from gato.cli.compiled import keep_compiled_programs

FOLDER = "JAX_COMPILATION_CACHE_DIR"


@pytest.fixture
def no_folder(monkeypatch, tmp_path):
    """As for a user who has set nothing; the session's own folder is put back."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(FOLDER)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_MAX_SIZE", "-1")
    return tmp_path


def test_compiled_programs_are_kept_where_only_the_user_can_write(no_folder):
    keep_compiled_programs()
    folder = os.environ[FOLDER]
    assert folder.startswith(str(no_folder / "gato" / "compiled"))
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700


def test_a_folder_that_others_can_write_to_is_refused(no_folder):
    keep_compiled_programs()
    os.chmod(os.environ.pop(FOLDER), 0o777)
    with pytest.raises(PermissionError, match="others than you can write to it: chmod 700"):
        keep_compiled_programs()
    assert FOLDER not in os.environ


def test_a_folder_of_ones_own_choice_is_left_alone(no_folder, monkeypatch):
    monkeypatch.setenv(FOLDER, "elsewhere")
    keep_compiled_programs()
    assert os.environ[FOLDER] == "elsewhere"


def test_a_second_command_compiles_nothing_anew(tmp_path):
    program = (
        "from gato.cli.compiled import keep_compiled_programs; keep_compiled_programs(); import jax; "
        "assert jax.config.values['jax_compilation_cache_max_size'] == 2 << 30; "
        "jax.config.update('jax_persistent_cache_min_compile_time_secs', 0); "
        "jax.jit(lambda x: x * 2 + 1)(3.0)"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
    del environment["JAX_COMPILATION_CACHE_DIR"]

    def programs():
        return {path.name for path in tmp_path.rglob("*-cache")}

    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    first = programs()
    assert first
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    assert programs() == first
