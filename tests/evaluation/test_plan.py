from collections import Counter

import gymnasium as gym
import pytest

from gato.config import TokenizerConfig
from gato.envs import Task
from gato.evaluation.evaluation_task import EvaluationTask
from gato.evaluation.plan import EpisodeSpec, plan_ablation, plan_scores
from gato.tokenizer.spaces import TimestepTokenizer


def task(
    name: str, num_values: int = 2, *, num_variants: int = 1, num_held_out: int = 0, has_expert: bool = True
) -> EvaluationTask:
    """A task that nobody plays; `num_values` decides its spaces."""
    space = gym.spaces.Discrete(num_values)
    variants = [{"number": number} for number in range(num_variants + num_held_out)]
    return EvaluationTask(
        task=Task(
            name=name,
            family="test",
            description="Stands in for a task.",
            make=gym.Env,
            make_expert=(lambda env, rng: None) if has_expert else None,
            max_episode_steps=1,
            success=lambda episode_return, info: True,
            success_source="this test",
            variants=tuple(variants[:num_variants]),
            held_out_variants=tuple(variants[num_variants:]),
        ),
        make_env=gym.Env,
        observation_space=space,
        action_space=gym.spaces.Discrete(2),
        timesteps=TimestepTokenizer(space, gym.spaces.Discrete(2), TokenizerConfig(text_vocab_size=260)),
        num_tokens=3,
    )


LONE = task("lone", 2)
TWIN = task("twin", 3)
OTHER_TWIN = task("other-twin", 3, num_variants=2)
ROOM = task("room", 4, num_variants=3, num_held_out=2)


def seeds_of(specs: list[EpisodeSpec]) -> list[int]:
    return [seed for spec in specs if spec.shown is not None for seed in spec.shown.seeds]


def test_episodes_take_turns_with_variants_and_are_shown_their_own():
    plan = plan_scores([ROOM], "right", episodes=7, seed=100)
    assert [spec.seed for spec in plan.specs] == list(range(100, 107))
    assert [spec.variant for spec in plan.specs] == [0, 1, 2, 0, 1, 2, 0]
    assert [spec.shown.variant for spec in plan.specs] == [spec.variant for spec in plan.specs]
    assert {spec.variants for spec in plan.specs} == {"all"}


def test_nothing_is_shown_without_a_prompt():
    assert all(spec.shown is None for spec in plan_scores([ROOM, LONE], "none", episodes=3, seed=0).specs)


def test_demonstrations_repeat_only_after_ten_turns():
    specs = plan_scores([LONE], "right", episodes=25, seed=0).specs
    assert specs[0].shown == specs[10].shown == specs[20].shown
    assert len({spec.shown for spec in specs}) == 10


def test_no_seed_demonstrates_two_variants_or_stands_in_two_prompts():
    specs = plan_scores([ROOM], "right", episodes=30, seed=0, demonstrations=3).specs
    counts = Counter(seeds_of(list(specs)))
    assert len(counts) == 90
    assert set(counts.values()) == {1}


def test_a_wrong_prompt_is_of_another_task_with_the_same_spaces():
    plan = plan_scores([LONE, TWIN, OTHER_TWIN], "wrong", episodes=4, seed=0)
    by_task = {name: [spec.shown for spec in plan.specs if spec.task == name] for name in ("twin", "other-twin")}
    assert {one.task for one in by_task["twin"]} == {"other-twin"}
    assert [one.variant for one in by_task["twin"]] == [0, 1, 0, 1]
    assert {one.task for one in by_task["other-twin"]} == {"twin"}
    assert list(plan.left_out) == ["lone"]
    assert "no variants" in plan.left_out["lone"]


def test_without_such_a_task_a_wrong_prompt_is_of_another_variant():
    plan = plan_scores([ROOM], "wrong", episodes=60, seed=0)
    pairs = {(spec.variant, spec.shown.variant) for spec in plan.specs}
    assert pairs == {(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)}


def test_tasks_without_an_expert_cannot_show_but_can_be_played():
    mute = task("mute", has_expert=False)
    assert list(plan_scores([mute], "right", episodes=1, seed=0).left_out) == ["mute"]
    assert len(plan_scores([mute], "none", episodes=1, seed=0).specs) == 1


def test_an_ablation_plays_the_same_episodes_under_all_prompts():
    plan = plan_ablation([ROOM], episodes=8, seed=7)
    groups: dict[tuple[str, str], list[EpisodeSpec]] = {}
    for spec in plan.specs:
        groups.setdefault((spec.variants, spec.prompt), []).append(spec)
    assert list(groups) == [(v, p) for v in ("trained", "held-out") for p in ("right", "wrong", "none")]
    for variants, choices in (("trained", {0, 1, 2}), ("held-out", {3, 4})):
        right, wrong, none = (groups[variants, prompt] for prompt in ("right", "wrong", "none"))
        for one, other, bare in zip(right, wrong, none, strict=True):
            assert one.seed == other.seed == bare.seed
            assert one.variant == other.variant == bare.variant == one.shown.variant
            assert other.shown.variant in choices - {other.variant}
            assert bare.shown is None
        assert {spec.variant for spec in right} == choices


def test_an_ablation_goes_without_held_out_variants_where_there_are_none():
    plan = plan_ablation([task("mode", num_variants=4)], episodes=2, seed=0)
    assert {spec.variants for spec in plan.specs} == {"trained"}


def test_a_lone_held_out_variant_takes_its_wrong_prompts_from_the_trained_ones():
    plan = plan_ablation([task("few", num_variants=2, num_held_out=1)], episodes=20, seed=0)
    wrong = [spec.shown.variant for spec in plan.specs if spec.variants == "held-out" and spec.prompt == "wrong"]
    assert set(wrong) == {0, 1}


@pytest.mark.parametrize("lone", [LONE, task("mute", num_variants=3, has_expert=False)])
def test_what_cannot_be_shown_wrong_is_left_out_of_an_ablation(lone):
    plan = plan_ablation([lone], episodes=2, seed=0)
    assert not plan.specs
    assert list(plan.left_out) == [lone.name]
