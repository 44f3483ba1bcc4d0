import os
import stat
import subprocess
import sys

import jax
import pytest

from gato.cli.compiled import keep_compiled_programs


@pytest.fixture
def no_folder(monkeypatch, tmp_path):
    """As for a user who has set nothing; the session's own folder is put back."""
    chosen = jax.config.values["jax_compilation_cache_dir"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    jax.config.update("jax_compilation_cache_dir", None)
    yield tmp_path
    jax.config.update("jax_compilation_cache_dir", chosen)


def test_compiled_programs_are_kept_where_only_the_user_can_write(no_folder):
    keep_compiled_programs()
    folder = jax.config.values["jax_compilation_cache_dir"]
    assert folder.startswith(str(no_folder / "gato" / "compiled"))
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700


def test_a_folder_that_others_can_write_to_is_refused(no_folder):
    keep_compiled_programs()
    os.chmod(jax.config.values["jax_compilation_cache_dir"], 0o777)
    jax.config.update("jax_compilation_cache_dir", None)
    with pytest.raises(PermissionError, match="others than you can write to it: chmod 700"):
        keep_compiled_programs()
    assert jax.config.values["jax_compilation_cache_dir"] is None


def test_a_folder_of_ones_own_choice_is_left_alone(no_folder):
    jax.config.update("jax_compilation_cache_dir", "elsewhere")
    keep_compiled_programs()
    assert jax.config.values["jax_compilation_cache_dir"] == "elsewhere"


def test_a_second_command_compiles_nothing_anew(tmp_path):
    program = (
        "import jax; from gato.cli.compiled import keep_compiled_programs; keep_compiled_programs(); "
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
