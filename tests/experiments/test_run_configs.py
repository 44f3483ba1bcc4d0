import json
from pathlib import Path

import pytest

from gato.config import RunConfig
from gato.experiments.run_configs import load_config, load_sources, shipped_configs


def test_every_shipped_run_loads_and_survives_json():
    assert {"gato-79m", "gato-364m", "gato-1-2b", "quickstart"} <= set(shipped_configs())
    for name in shipped_configs():
        config = load_config(name)
        assert RunConfig.from_json(config.to_json()) == config


def test_the_paper_s_spelling_of_the_largest_size_is_known():
    assert load_config("gato-1.2b").model.num_layers == 24


def test_an_unknown_run_is_refused_with_the_nearest_name():
    with pytest.raises(FileNotFoundError, match="did you mean 'gato-79m'"):
        load_config("gato-97m")


def test_a_python_file_and_a_saved_config_load_alike(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from gato.config import RunConfig\ndef get_config():\n    return RunConfig(name='mine', seed=3)\n"
    )
    from_python = load_config(str(tmp_path / "mine.py"))
    from_python.save(tmp_path / "config.json")
    assert from_python.seed == 3
    assert load_config(str(tmp_path / "config.json")) == from_python


def test_a_file_without_a_run_config_is_refused(tmp_path):
    (tmp_path / "other.py").write_text("def get_config():\n    return 5\n")
    with pytest.raises(TypeError, match="returned int, expected RunConfig"):
        load_config(str(tmp_path / "other.py"))


def test_paths_of_sources_count_from_the_folder_of_their_file(tmp_path):
    (tmp_path / "sources.json").write_text(json.dumps([{"name": "a", "kind": "text", "path": "a.txt"}]))
    config = RunConfig().with_sources(load_sources(tmp_path / "sources.json"))
    assert config.data.sources[0].path == str(tmp_path / "a.txt")


def test_a_name_on_a_hub_is_no_path_from_the_folder_of_its_file(tmp_path):
    entry = {"name": "ant", "kind": "minari", "path": "mujoco/ant/expert-v0", "options": {"hub": True}}
    (tmp_path / "sources.json").write_text(json.dumps([entry]))
    assert load_sources(tmp_path / "sources.json") == [entry]


def test_a_run_folder_stands_for_the_config_in_it(tmp_path, monkeypatch):
    RunConfig(name="mine", seed=3).save(tmp_path / "config.json")
    assert load_config(str(tmp_path)) == RunConfig(name="mine", seed=3)
    # A shipped run keeps its name, whatever folders there are.
    (tmp_path / "quickstart").mkdir()
    RunConfig(name="mine").save(tmp_path / "quickstart" / "config.json")
    monkeypatch.chdir(tmp_path)
    assert load_config("quickstart").name == "quickstart"


@pytest.mark.parametrize("load", [load_config, lambda name: load_sources(Path(name))])
def test_a_file_that_is_not_json_is_named(load, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('[{"name": ')
    with pytest.raises(ValueError, match=r"mine\.json is not JSON: Expecting value"):
        load(str(path))


@pytest.mark.parametrize("load", [load_config, lambda name: load_sources(Path(name))])
def test_a_file_that_is_not_there_is_named(load, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"other\.json is no file, expected one that holds JSON"):
        load(str(tmp_path / "other.json"))


@pytest.mark.parametrize("entry", ["books", {"name": "a", "kind": "text", "path": 3}])
def test_an_entry_that_is_no_source_is_refused_by_its_place(entry, tmp_path):
    (tmp_path / "sources.json").write_text(json.dumps([entry]))
    with pytest.raises(TypeError, match=r"sources\[0\].* expected"):
        RunConfig().with_sources(load_sources(tmp_path / "sources.json"))
