"""Libraries of storage formats that not everybody needs: imported when a dataset of that format is opened."""

import importlib
from types import ModuleType


def import_library(module: str, extra: str) -> ModuleType:
    """Imports `module`.

    Raises:
        ImportError: it is not installed; names the extra of this package that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{module} could not be imported ({error}): pip install 'gato-jax[{extra}]'") from error
