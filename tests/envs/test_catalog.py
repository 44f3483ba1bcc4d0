"""How tasks are found: by name, by view, by pattern, by family."""

import dataclasses
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from gato.envs import PAPER_DOMAINS, QUICK, Score, Scores, all_tasks, find_task, get_task, select_tasks
from gato.envs.names import kebab_case
from gato.envs.reference import measured_noise, reference_scores, write_reference_scores


def test_every_name_is_found_and_unique():
    names = [task.name for task in all_tasks()]
    assert len(set(names)) == len(names)
    assert [get_task(name).name for name in names] == names


def test_a_view_is_chosen_by_name():
    symbols, pixels = get_task("babyai-go-to-local"), get_task("babyai-go-to-local-pixels")
    assert symbols.make().observation_space["image"].shape == (7, 7, 3)
    assert pixels.make().observation_space["image"].shape == (56, 56, 3)
    assert ("symbols" in symbols.tags, "pixels" in symbols.tags) == (True, False)
    assert ("symbols" in pixels.tags, "pixels" in pixels.tags) == (False, True)
    assert pixels.scores == symbols.scores
    with pytest.raises(ValueError, match="has no view 'sounds', it has"):
        symbols.seen_as("sounds")


def test_a_name_that_is_no_task_is_found_to_be_none():
    assert find_task("babyai-go-to-local-pixels") is get_task("babyai-go-to-local-pixels")
    assert find_task("cart-pole") is None


def test_the_nearest_name_is_told():
    assert get_task("cartpole").name == "cartpole"
    with pytest.raises(ValueError, match=r"'cart-pole', did you mean 'cartpole'\?"):
        get_task("cart-pole")
    with pytest.raises(ValueError, match="list all with `gato tasks`"):
        get_task("xyzzy")


def test_patterns_and_families_select():
    assert [task.name for task in select_tasks(["acrobot", "cartp*"])] == ["cartpole", "acrobot"]
    assert {task.family for task in select_tasks(families=["toy_text"])} == {"toy_text"}
    assert select_tasks(["*"]) == list(all_tasks())
    assert [task.name for task in select_tasks(["cartpole", "cartp*"], ["classic_control"])].count("cartpole") == 1
    with pytest.raises(ValueError, match=r"no task matches 'zzz\*'"):
        select_tasks(["zzz*"])
    with pytest.raises(ValueError, match="no family is named 'classic', known are classic_control, toy_text"):
        select_tasks(families=["classic"])


def test_the_quick_selection_has_an_expert_each_and_all_families_that_have_any():
    quick = select_tasks(QUICK)
    assert 35 <= len(quick) <= 45
    assert all(task.make_expert and task.expert_solves and "held-out" not in task.tags for task in quick)
    assert {task.family for task in quick} == {task.family for task in all_tasks() if task.make_expert}


def test_tasks_with_an_expert_are_many():
    assert sum(task.make_expert is not None for task in all_tasks()) >= 220


@pytest.mark.parametrize(
    "name, expected",
    [
        ("GoToRedBallGrey-v0", "go-to-red-ball-grey"),
        ("KeyCorridorS3R1-v0", "key-corridor-s3-r1"),
        ("Empty-Random-5x5-v0", "empty-random-5x5"),
        ("UpNDown-v5", "up-n-down"),
        ("balance_sparse", "balance-sparse"),
        ("HalfCheetah-v5", "half-cheetah"),
    ],
)
def test_names_in_kebab_case(name: str, expected: str):
    assert kebab_case(name) == expected


def test_reference_file_round_trips_and_leaves_the_literature_out(tmp_path):
    path = tmp_path / "scores.json"
    chance = Score(mean=1.5, std=2.0, episodes=16, date="2026-01-01", source="a test")
    scores = {
        "b": Scores(random=chance, human=dataclasses.replace(chance, mean=9.0)),
        "a": Scores(random=chance, expert=chance),
    }
    write_reference_scores(scores, path)
    assert list(json.loads(path.read_text())) == ["a", "b"]
    assert reference_scores(path) == {"a": scores["a"], "b": Scores(random=chance)}
    assert chance.standard_error == 0.5


def test_every_score_belongs_to_a_task():
    assert set(reference_scores()) <= {task.name for task in all_tasks()}


def test_the_pages_count_the_tasks_as_they_are():
    root = Path(__file__).parents[2]
    counts = Counter(task.family for task in all_tasks())
    experts = Counter(task.family for task in all_tasks() if task.make_expert)
    rows = re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \|", (root / "docs" / "environments.md").read_text(), re.MULTILINE)
    assert {family: (int(tasks), int(solved)) for family, tasks, solved in rows} == {
        family: (counts[family], experts[family]) for family in counts
    }
    told = re.search(r"(\d+) tasks, (\d+) of them with an expert", (root / "README.md").read_text())
    assert told
    assert (int(told[1]), int(told[2])) == (counts.total(), experts.total())


def test_the_domains_of_the_paper_are_all_there_and_name_families_of_ours():
    assert sum(domain.num_tasks for domain in PAPER_DOMAINS) == 596  # the paper's own sum
    families = {task.family for task in all_tasks()}
    for domain in PAPER_DOMAINS:
        named = re.findall(r"family ([a-z_]+)", domain.remark)
        assert set(named) <= families
        if domain.standing == "runs":
            assert named, f"{domain.name} runs, but its remark names no family"


def test_what_an_expert_makes_up_for_reaches_its_task_and_the_views_of_it():
    for name, fields in measured_noise().items():
        task = get_task(name)
        assert task.make_expert is not None
        assert {field: getattr(task, field) for field in fields} == fields
        assert 0 <= task.training_noise[0] <= task.noise_share <= task.training_noise[1] <= 1
        assert 0 < task.noise_strength <= 1
    assert get_task("lunar-lander").noise_share < get_task("pendulum").noise_share == 0.5
    views = [task for task in all_tasks() if task.views and task.noise_share < 0.5]
    assert views
    for task in views:
        assert {task.seen_as(view).noise_share for view in task.views} == {task.noise_share}
