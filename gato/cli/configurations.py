"""Finds the run that a command line names: a shipped one, a Python file or a saved config.json."""

import difflib
import importlib
import importlib.util
import json
import pkgutil
from pathlib import Path

import gato.configs
from gato.config import RunConfig


def shipped_configs() -> list[str]:
    """Names of the runs in `gato.configs`, as the command line spells them."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(gato.configs.__path__))


def load_config(name: str) -> RunConfig:
    """The config of a shipped run ("gato-79m"), of a .py file with `get_config()`, or of a .json file.

    A .py file is run as code: name only files that you trust.

    Raises:
        FileNotFoundError: neither a file nor the name of a shipped run.
    """
    path = Path(name)
    if path.suffix == ".json":
        return RunConfig.load(path)
    if path.suffix == ".py":
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None or not path.is_file():
            raise FileNotFoundError(f"config file {name!r} does not exist")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        key = name.replace("_", "-").replace(".", "-")
        if key not in shipped_configs():
            near = difflib.get_close_matches(key, shipped_configs(), n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise FileNotFoundError(
                f"no config {name!r}: {hint}give a .py or .json file, or one of {', '.join(shipped_configs())}"
            )
        module = importlib.import_module(f"gato.configs.{key.replace('-', '_')}")
    config = module.get_config()
    if not isinstance(config, RunConfig):
        raise TypeError(f"get_config() of {name!r} returned {type(config).__name__}, expected RunConfig")
    return config


def load_sources(path: Path) -> list[dict]:
    """The plain source entries of a JSON file; relative paths in it are meant from its folder."""
    entries = json.loads(path.read_text())
    if not isinstance(entries, list):
        raise TypeError(f"{path} holds {type(entries).__name__}, expected a list of sources")
    return [{**entry, "path": str(path.parent / entry["path"])} if "path" in entry else entry for entry in entries]
