"""Optional simulators: imported when a task is made, so that `gato.envs` itself needs none of them."""

import contextlib
import importlib
import io
import warnings
from types import ModuleType


def import_simulator(module: str, extra: str) -> ModuleType:
    """Imports `module` without its greeting on standard output and without its warnings, which are not ours to mend.

    (Box2D's extension crashes the process where the warnings of its own import are errors.)

    Raises:
        ImportError: it is not installed; names the extra of this package that brings it.
    """
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{module} could not be imported ({error}): pip install 'gato-jax[{extra}]'") from error
