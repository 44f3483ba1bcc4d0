"""Gives the tests of this folder the runs that are scripts beside them."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


def beside(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """The module toy_run.py beside this file."""
    return beside("toy_run")


@pytest.fixture(scope="session")
def script() -> ModuleType:
    """The module parallel_run.py beside this file."""
    return beside("parallel_run")
