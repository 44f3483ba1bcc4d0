"""Finds the run that a command line names: a shipped one, a Python file, a saved config.json or a folder with one."""

import difflib
import importlib
import importlib.util
import json
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gato.configs
from gato.config import RunConfig
from gato.run_files import CONFIG_FILE


def shipped_configs() -> list[str]:
    """Lists the runs in `gato.configs` as the command line spells them."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(gato.configs.__path__))


def load_config(name: str) -> RunConfig:
    """Loads the config of a shipped run ("gato-79m"), a .py file with `get_config()`, a .json file, or a run folder.

    A .py file is run as code: name only files that you trust.

    Raises:
        FileNotFoundError: neither the name of a shipped run nor a file or folder that holds one.
        ValueError: a file is not JSON, or holds no config.
    """
    path = Path(name)
    if name not in shipped_configs() and (path / CONFIG_FILE).is_file():
        path /= CONFIG_FILE
    if path.suffix == ".json":
        read_json(path)  # names the file if it is not JSON
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
            hint = f"did you mean {near[0]!r}? Or " if near else ""
            raise FileNotFoundError(
                f"no config {name!r}: {hint}give a .py or .json file, a folder with {CONFIG_FILE}, or one of "
                f"{', '.join(shipped_configs())}"
            )
        module = importlib.import_module(f"gato.configs.{key.replace('-', '_')}")
    config = module.get_config()
    if not isinstance(config, RunConfig):
        raise TypeError(f"get_config() of {name!r} returned {type(config).__name__}, expected RunConfig")
    return config


def read_json(path: Path) -> Any:
    """Reads a JSON file of the user.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not JSON.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file, expected one that holds JSON: look at the name")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def load_sources(path: Path) -> list[dict[str, Any]]:
    """Reads the plain source entries of a JSON file; relative paths count from its folder, names on a hub are kept.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError, TypeError: it is not JSON, or no list.
    """
    entries = read_json(path)
    if not isinstance(entries, list):
        raise TypeError(f"{path} holds {type(entries).__name__}, expected a list of sources")
    return [_from_folder(path.parent, entry) for entry in entries]


def _from_folder(folder: Path, entry: Any) -> Any:
    """Returns the entry with its path from a folder. Other errors are reported when the entry becomes a source."""
    if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
        return entry
    options = entry.get("options")
    if isinstance(options, dict) and options.get("hub"):
        return entry  # a name on a hub, such as "mujoco/ant/expert-v0", and no path
    return {**entry, "path": str(folder / entry["path"])}


def load_run(config: str, sources: Path | None) -> RunConfig:
    """Loads a run, with the sources of a file in place of its own where that is given."""
    run = load_config(config)
    return run if sources is None else run.with_sources(load_sources(sources))


def load_settings(config: str, sources: Path | None, assignments: Sequence[str]) -> RunConfig:
    """Loads a run as a command line describes it.

    Raises:
        ValueError: it has no data sources.
    """
    settings = load_run(config, sources).override(assignments)
    if not settings.data.sources:
        raise ValueError(f"run {settings.name!r} has no data sources: give --sources FILE.json")
    return settings
