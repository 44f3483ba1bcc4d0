from collections import Counter

import pytest

from gato.evaluation.plan import Cell, PlannedTask, plan_scores, plan_study

LONE = PlannedTask(name="lone", spaces="a")
TWIN = PlannedTask(name="twin", spaces="b")
OTHER_TWIN = PlannedTask(name="other-twin", spaces="b", num_variants=2)
ROOM = PlannedTask(name="room", spaces="c", num_variants=3, num_held_out=2)


def seeds_of(cells: list[Cell]) -> list[int]:
    return [seed for cell in cells if cell.shown is not None for seed in cell.shown.seeds]


def test_episodes_take_turns_with_variants_and_are_shown_their_own():
    plan = plan_scores([ROOM], "right", episodes=7, seed=100)
    assert [cell.seed for cell in plan.cells] == list(range(100, 107))
    assert [cell.variant for cell in plan.cells] == [0, 1, 2, 0, 1, 2, 0]
    assert [cell.shown.variant for cell in plan.cells] == [cell.variant for cell in plan.cells]
    assert {cell.variants for cell in plan.cells} == {"all"}


def test_nothing_is_shown_without_a_prompt():
    assert all(cell.shown is None for cell in plan_scores([ROOM, LONE], "none", episodes=3, seed=0).cells)


def test_demonstrations_repeat_only_after_ten_turns():
    cells = plan_scores([LONE], "right", episodes=25, seed=0).cells
    assert cells[0].shown == cells[10].shown == cells[20].shown
    assert len({cell.shown for cell in cells}) == 10


def test_no_seed_demonstrates_two_variants_or_stands_in_two_prompts():
    cells = plan_scores([ROOM], "right", episodes=30, seed=0, demonstrations=3).cells
    counts = Counter(seeds_of(list(cells)))
    assert len(counts) == 90
    assert set(counts.values()) == {1}


def test_a_wrong_prompt_is_of_another_task_with_the_same_spaces():
    plan = plan_scores([LONE, TWIN, OTHER_TWIN], "wrong", episodes=4, seed=0)
    by_task = {name: [cell.shown for cell in plan.cells if cell.task == name] for name in ("twin", "other-twin")}
    assert {one.task for one in by_task["twin"]} == {"other-twin"}
    assert [one.variant for one in by_task["twin"]] == [0, 1, 0, 1]
    assert {one.task for one in by_task["other-twin"]} == {"twin"}
    assert list(plan.left_out) == ["lone"]
    assert "no variants" in plan.left_out["lone"]


def test_without_such_a_task_a_wrong_prompt_is_of_another_variant():
    plan = plan_scores([ROOM], "wrong", episodes=60, seed=0)
    pairs = {(cell.variant, cell.shown.variant) for cell in plan.cells}
    assert pairs == {(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)}


def test_tasks_without_an_expert_cannot_show_but_can_be_played():
    mute = PlannedTask(name="mute", has_expert=False)
    assert list(plan_scores([mute], "right", episodes=1, seed=0).left_out) == ["mute"]
    assert len(plan_scores([mute], "none", episodes=1, seed=0).cells) == 1


def test_a_study_plays_the_same_episodes_under_all_prompts():
    plan = plan_study([ROOM], episodes=8, seed=7)
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in plan.cells:
        groups.setdefault((cell.variants, cell.prompt), []).append(cell)
    assert list(groups) == [(v, p) for v in ("trained", "held-out") for p in ("right", "wrong", "none")]
    for variants, choices in (("trained", {0, 1, 2}), ("held-out", {3, 4})):
        right, wrong, none = (groups[variants, prompt] for prompt in ("right", "wrong", "none"))
        for one, other, bare in zip(right, wrong, none, strict=True):
            assert one.seed == other.seed == bare.seed
            assert one.variant == other.variant == bare.variant == one.shown.variant
            assert other.shown.variant in choices - {other.variant}
            assert bare.shown is None
        assert {cell.variant for cell in right} == choices


def test_a_study_goes_without_held_out_variants_where_there_are_none():
    plan = plan_study([PlannedTask(name="mode", num_variants=4)], episodes=2, seed=0)
    assert {cell.variants for cell in plan.cells} == {"trained"}


def test_a_lone_held_out_variant_takes_its_wrong_prompts_from_the_trained_ones():
    plan = plan_study([PlannedTask(name="few", num_variants=2, num_held_out=1)], episodes=20, seed=0)
    wrong = [cell.shown.variant for cell in plan.cells if cell.variants == "held-out" and cell.prompt == "wrong"]
    assert set(wrong) == {0, 1}


@pytest.mark.parametrize("task", [LONE, PlannedTask(name="mute", num_variants=3, has_expert=False)])
def test_what_cannot_be_shown_wrong_is_left_out_of_a_study(task):
    plan = plan_study([task], episodes=2, seed=0)
    assert not plan.cells
    assert list(plan.left_out) == [task.name]
