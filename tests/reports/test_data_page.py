"""Every source of docs/data.md is one that the program knows, options included."""

import json
import re
from pathlib import Path

import pytest

from gato.config import RunConfig
from gato.data.sources.formats import FORMATS
from gato.data.sources.opening import open_source

PAGE = Path(__file__).parents[2] / "docs" / "data.md"
ENTRIES = [
    json.loads(line)
    for block in re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for line in block.splitlines()
]


def test_every_kind_is_shown():
    assert {entry["kind"] for entry in ENTRIES} == {each.kind for each in FORMATS} - {"prepared"}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_shown_sources_are_known_with_their_options(entry, tmp_path):
    """Opened where there is nothing: options are checked before files are."""
    options = {key: value for key, value in entry.get("options", {}).items() if key not in ("hub", "subset", "split")}
    nowhere = {**entry, "options": options, "path": str(tmp_path / entry["path"])}
    (source,) = RunConfig().with_sources([nowhere]).data.sources
    with pytest.raises(FileNotFoundError, match=entry["name"]):
        open_source(source)


def test_unknown_options_are_refused_with_those_that_there_are():
    (source,) = RunConfig().with_sources([{**ENTRIES[0], "options": {"shuffle": True}}]).data.sources
    with pytest.raises(ValueError, match=r"kind 'minari' has no options \['shuffle'\], it has \['hub'\]"):
        open_source(source)
