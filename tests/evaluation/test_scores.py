import dataclasses
import json

import numpy as np
import pytest

from gato.evaluation.scores import (
    BaselineScores,
    ScoreRecord,
    aggregate,
    baselines_section,
    context_effect,
    following_rate,
    groups_of,
    labels_of,
    normalized_score,
    read_baselines,
    read_scores,
    write_scores,
)


def record(**changes) -> ScoreRecord:
    fields = {"task": "cartpole", "family": "classic", "seed": 0, "random_mean": 20.0, "expert_mean": 500.0}
    return ScoreRecord.from_returns(**{"returns": [260.0, 500.0], **fields, **changes})


def test_normalised_score_is_zero_at_random_one_at_the_expert_and_half_way_between():
    assert normalized_score(20, 20, 500) == 0
    assert normalized_score(500, 20, 500) == 1
    assert normalized_score(260, 20, 500) == 0.5
    assert normalized_score(-610, -1300, 80) == 0.5
    assert normalized_score(740, 20, 500) == 1.5  # better than the expert is not cut off


def test_an_expert_no_better_than_random_gives_no_score():
    assert normalized_score(3, 5, 5) is None
    assert normalized_score(3, 5, 4) is None


def test_record_of_hand_worked_returns():
    scored = record()
    assert (scored.return_mean, scored.return_std, scored.normalized, scored.episodes) == (380, 120, 0.75, 2)
    assert (scored.ci_low, scored.ci_high) == (0.5, 1.0)  # of two values the bootstrap reaches both
    np.testing.assert_allclose(scored.normalized_returns, [0.5, 1.0])


def test_record_without_a_normalised_score():
    scored = record(expert_mean=20.0)
    assert scored.normalized is scored.ci_low is scored.ci_high is scored.normalized_returns is None


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"prompt": "good"}, "prompt is 'good', expected one of"),
        ({"variants": "some"}, "variants is 'some'"),
        ({"episodes": 3}, "2 returns for 3 episodes"),
        ({"normalized": 0.9}, "normalized is 0.9, but its returns and references give 0.75"),
        ({"normalized": None}, "normalized is None"),
        ({"returns": (np.inf, 1.0)}, "not finite"),
        ({"success": 1.2}, "success is 1.2"),
    ],
)
def test_a_record_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(ValueError, match=f"'cartpole': .*{message}|'cartpole': {message}"):
        dataclasses.replace(record(), **changes)


def test_aggregate_means_over_tasks_and_lists_those_left_out():
    records = [
        record(),
        record(task="lander", returns=[20.0, 20.0]),
        record(task="lost", expert_mean=0.0),
    ]
    together = aggregate(records)
    assert together is not None
    assert together.mean.value == together.median.value == pytest.approx((0.75 + 0) / 2)
    assert together.iqm.value == pytest.approx((0 + 0.5) / 2)  # of 0, 0, 0.5, 1
    assert together.optimality_gap.value == pytest.approx(1 - 0.75 / 2)
    assert [share.value for share in together.shares] == [0.5, 0, 0]  # of 0.75 and 0, at .5, .8 and 1
    assert together.tasks == ("cartpole", "lander")
    assert together.left_out == ("lost",)
    assert aggregate([records[2]]) is None


def test_one_task_cannot_weigh_twice():
    with pytest.raises(ValueError, match="several records of cartpole: aggregate each group"):
        aggregate([record(prompt="right"), record(prompt="wrong"), record(task="lander")])


def test_groups_are_all_tasks_and_each_of_several_families():
    one, two, other = record(), record(task="acrobot"), record(task="lander", family="box2d")
    assert groups_of([one, two]) == {"all tasks": [one, two]}
    assert groups_of([one, other, two]) == {
        "all tasks": [one, other, two],
        "classic": [one, two],
        "box2d": [other],
    }


def test_groups_keep_kinds_of_prompts_and_variants_apart():
    right, wrong = record(prompt="right"), record(prompt="wrong", variants="held-out")
    assert groups_of([right, wrong]) == {
        "all tasks, right prompt": [right],
        "all tasks, wrong prompt, held-out variants": [wrong],
    }
    assert labels_of([right, wrong, record(task="lander")]) == [
        "cartpole, right prompt",
        "cartpole, wrong prompt, held-out variants",
        "lander",
    ]


def test_scores_survive_the_file(tmp_path):
    rates = {"success": 0.5, "followed": 0.25, "followed_by_chance": 0.125, "first_actions_nll": 3.5}
    records = [record(prompt="right", variants="held-out", **rates), record(expert_mean=1.0)]
    write_scores(tmp_path / "scores.json", records)
    assert read_scores(tmp_path / "scores.json") == records
    write_scores(tmp_path / "told.json", records, {"prompt": {"kind": "right"}})
    assert read_scores(tmp_path / "told.json") == records
    assert json.loads((tmp_path / "told.json").read_text())["measured"] == {"prompt": {"kind": "right"}}


def test_other_players_stand_in_a_section_of_their_own_and_survive_the_file(tmp_path):
    path = tmp_path / "scores.json"
    replay = BaselineScores(
        measured={"demonstrations": "theirs"}, records=(record(returns=[30.0, 40.0]),), left_out={"lander": "why not"}
    )
    sections = {"baselines": baselines_section({"replay": replay}), "language": {}}
    write_scores(path, [record()], sections=sections)
    assert read_scores(path) == [record()]
    assert read_baselines(path) == {"replay": replay}
    assert list(json.loads(path.read_text())) == ["version", "measured", "records", "baselines"]


def test_a_file_without_sections_is_what_it_always_was(tmp_path):
    write_scores(tmp_path / "a.json", [record()], {"seed": 1})
    write_scores(tmp_path / "b.json", [record()], {"seed": 1}, sections={"baselines": {}, "held_out": {}})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert list(json.loads((tmp_path / "a.json").read_text())) == ["version", "measured", "records"]
    assert read_baselines(tmp_path / "a.json") == {}
    with pytest.raises(ValueError, match=r"sections \['heldout'\] are none of a file of scores"):
        write_scores(tmp_path / "c.json", [record()], sections={"heldout": {}})


@pytest.mark.parametrize(
    "section, message",
    [
        ("[]", "baselines is list, expected an object"),
        ('{"random": []}', "baseline 'random' holds list, expected measured, left_out and records"),
        ('{"random": {"measured": {}, "left_out": {}, "records": [3]}}', "baseline 'random', record 0 has int"),
    ],
)
def test_a_broken_section_says_what_is_wrong(section, message, tmp_path):
    (tmp_path / "scores.json").write_text(f'{{"version": 2, "records": [], "baselines": {section}}}')
    with pytest.raises(ValueError, match=message):
        read_baselines(tmp_path / "scores.json")


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "is not JSON"),
        ("[]", "holds a list, expected 'version' and 'records'"),
        ('{"cartpole": 3}', r"holds \['cartpole'\], expected"),
        ('{"version": 1, "records": []}', "is of version 1, expected 2"),
        ('{"version": 2, "records": [], "more": 1}', r"holds \['more'\] beside its records"),
        ('{"version": 2, "records": {}}', "records is dict, expected a list"),
        ('{"version": 2, "records": [{"task": "x"}]}', r"record 0 has \['task'\], expected exactly the fields"),
        ('{"version": 2, "records": [3]}', "record 0 has int"),
    ],
)
def test_a_broken_scores_file_says_what_is_wrong(content, message, tmp_path):
    (tmp_path / "scores.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_scores(tmp_path / "scores.json")


def test_a_tampered_score_is_noticed(tmp_path):
    write_scores(tmp_path / "scores.json", [record()])
    content = json.loads((tmp_path / "scores.json").read_text())
    content["records"][0]["normalized"] = 1.0
    (tmp_path / "scores.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"record 0: .*normalized is 1\.0"):
        read_scores(tmp_path / "scores.json")


def after(prompt, returns, *, task="room", expert=2.0, **more) -> ScoreRecord:
    settings = {"family": "f", "seed": 0, "random_mean": 0.0, "variants": "trained", **more}
    return ScoreRecord.from_returns(returns, task=task, expert_mean=expert, prompt=prompt, **settings)


RIGHT, WRONG = after("right", [1.0, 1.0, 1.0, 0.0], followed=0.75), after("wrong", [0.0] * 4, followed=1.0)


def test_context_effect_is_the_difference_of_normalised_scores():
    effect = context_effect([RIGHT, WRONG, after("none", [2.0])])
    assert effect is not None
    assert effect.tasks == ("room",)
    assert effect.interval.value == pytest.approx(0.75 / 2)
    assert 0 < effect.interval.low < effect.interval.value < effect.interval.high <= 0.5


def test_context_effect_is_the_mean_over_the_tasks_that_were_scored_after_both():
    other = [after("right", [2.0], task="hall"), after("wrong", [1.0], task="hall"), after("right", [9.0], task="yard")]
    effect = context_effect([RIGHT, WRONG, *other])
    assert effect is not None
    assert effect.tasks == ("room", "hall")
    assert effect.interval.value == pytest.approx((0.375 + 0.5) / 2)


def test_no_effect_without_scores_after_both_demonstrations():
    assert context_effect([]) is None
    assert context_effect([RIGHT]) is None
    assert context_effect([after("right", [1.0], expert=-1.0), after("wrong", [0.0], expert=-1.0)]) is None


def test_no_effect_of_records_that_do_not_compare():
    with pytest.raises(ValueError, match="variants held-out, trained"):
        context_effect([RIGHT, after("wrong", [0.0], variants="held-out")])
    with pytest.raises(ValueError, match="two records of 'room' under the prompt 'right'"):
        context_effect([RIGHT, RIGHT, WRONG])


def test_following_has_a_wilson_interval_over_all_episodes():
    rate = following_rate([WRONG, after("none", [0.0])])
    assert rate is not None
    assert (rate.value, rate.high) == (1, 1)
    assert rate.low == pytest.approx(4 / (4 + 1.959964**2))  # all of n: n / (n + z^2)
    assert following_rate([RIGHT, WRONG]).value == pytest.approx(7 / 8)
    assert following_rate([after("none", [0.0])]) is None


def test_a_record_has_its_interval_where_it_has_a_score():
    assert RIGHT.interval.value == RIGHT.normalized
    assert (RIGHT.interval.low, RIGHT.interval.high) == (RIGHT.ci_low, RIGHT.ci_high)
    assert after("right", [1.0], expert=-1.0).interval is None
