"""What the options of an evaluation mean, before anything is played."""

import dataclasses

import pytest

from gato.config import DataConfig, EvaluationConfig, PolicyConfig, PromptConfig, SourceConfig
from gato.envs import get_task
from gato.experiments.evaluation import EvaluationOptions, choose_tasks


def test_the_numbers_are_those_of_the_config_where_none_are_given():
    assert EvaluationOptions().config == EvaluationConfig()
    assert EvaluationOptions(study=True).config.episodes == EvaluationOptions(suite="context").config.episodes == 300
    assert EvaluationOptions(study=True, episodes=7).config.episodes == 7


def test_a_run_acts_as_it_does_but_for_what_is_given():
    own = PolicyConfig(temperature=0.5, prompt=PromptConfig(part="end", max_tokens=40, pinned=False, loss=False))
    assert EvaluationOptions(prompt_pinned=False).policy(own) == own
    given = EvaluationOptions(prompt_part="first", prompt_tokens=30, prompt_terminal=True, temperature=0.0).policy(own)
    assert given.temperature == 0
    assert given.prompt == dataclasses.replace(
        own.prompt, part="first", max_tokens=30, terminal_observation=True, pinned=True
    )


def test_settings_change_with_whatever_decides_an_episode_and_with_nothing_else():
    tasks, own = [get_task("cartpole")], PolicyConfig()
    plain = EvaluationOptions()

    def settings(**changes):
        options = dataclasses.replace(plain, **changes)
        return options.settings(tasks, options.policy(own))

    deciding = {
        "study": True,
        "prompt": "none",
        "prompt_part": "end",
        "prompt_tokens": 9,
        "prompt_terminal": not own.prompt.terminal_observation,
        "prompt_pinned": False,
        "prompt_demonstrations": 2,
        "episodes": 3,
        "seed": 4,
        "temperature": 0.25,
        "deterministic": True,
    }
    for name, value in deciding.items():
        assert settings(**{name: value}) != settings(), name
    assert settings(study=True, first_actions=5) != settings(study=True)
    assert list(settings()) == ["tasks", "study", "prompt", "policy", "episodes", "seed"]  # as journals on disk have it
    others = {
        "first_actions": 5,
        "num_envs": 2,
        "env_workers": 3,
        "baselines": ("random",),
        "held_out": True,
        "held_out_rows": 2,
        "held_out_texts": 2,
        "source_paths": ("a=b",),
        "videos": 0,
        "latex": True,
        "overwrite": True,
    }
    assert settings(**others) == settings()
    known = {*deciding, *others, "tasks", "family", "suite", "demonstrations", "out"}
    assert {field.name for field in dataclasses.fields(plain)} == known  # a new option belongs to one of the two


def test_without_tasks_those_of_the_sources_are_chosen():
    sources = [SourceConfig(name=name, kind="minari", path=name) for name in ("mine", "dark-room", "cartpole")]
    data = DataConfig(sources=tuple(sources))
    assert [task.name for task in choose_tasks(EvaluationOptions(), data)] == ["dark-room", "cartpole"]
    assert [task.name for task in choose_tasks(EvaluationOptions(study=True), data)] == ["dark-room"]
    with pytest.raises(ValueError, match="none of the run's sources is named like a task"):
        choose_tasks(EvaluationOptions(), DataConfig(sources=tuple(sources[:1])))


def test_fewer_than_no_videos_are_refused():
    with pytest.raises(ValueError, match="videos is -1, expected 0 tasks or more"):
        EvaluationOptions(videos=-1)


def test_sampling_limits_are_settings_only_where_they_are_used():
    plain, limited = (EvaluationOptions().settings([], policy) for policy in (PolicyConfig(), PolicyConfig(top_k=5)))
    assert "top_k" not in plain["policy"]
    assert limited["policy"] == {**plain["policy"], "top_k": 5}
