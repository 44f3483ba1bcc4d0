"""Gives the tests of this folder the toy run, and spares them compiling the same step again and again."""

import importlib.util
import os
from pathlib import Path
from types import ModuleType

import jax
import pytest


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """The module toy_run.py beside this file."""
    spec = importlib.util.spec_from_file_location("toy_run", Path(__file__).with_name("toy_run.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every run jits its own step; equal ones come from a cache. Child processes share it through the environment."""
    folder = str(tmp_path_factory.mktemp("compiled"))
    settings = {
        "jax_compilation_cache_dir": folder,
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    for name, value in settings.items():
        jax.config.update(name, value)
        os.environ[name.upper()] = str(value)
