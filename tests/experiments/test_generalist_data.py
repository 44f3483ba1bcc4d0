"""The generalist's mixture and the data that one command makes for it."""

import io

import pytest
from gymnasium.spaces import Box
from rich.console import Console

from gato.configs import generalist
from gato.data.sources.minari import MinariSource
from gato.envs import all_tasks, get_task
from gato.experiments import generalist_data
from gato.tokenizer.tree import leaf_spaces


def test_the_mixture_is_every_task_with_an_expert_but_the_held_out_ones():
    config = generalist.get_config()
    control = {source.name: source for source in config.data.sources if source.kind == "minari"}
    expected = {task.name for task in all_tasks() if task.make_expert and "held-out" not in task.tags}
    assert set(control) == (expected - {"car-racing"}) | set(generalist.PIXEL_TASKS)
    assert len(expected) == 265
    held_out = {task.name for task in all_tasks() if task.make_expert and "held-out" in task.tags}
    assert {get_task(name).family for name in held_out} == {"metaworld", "babyai", "minigrid"}
    assert len(held_out) == 9
    for name, source in control.items():
        # A demonstration of the context suite must show what was done, and it always stands there.
        is_context = get_task(name).family == "context"
        assert (source.learned_actions == "executed") == is_context
        assert (source.prompt.probability == 1) == is_context
    assert {source.kind for source in config.data.sources} == {"minari", "captions", "questions", "dialogue", "text"}


@pytest.mark.parametrize(
    "name", ["dark-room", "go-to-shown", "remapped-moves", "cart-position", "taxi", "sokoban-7x7-1", "babyai-go-to-obj"]
)
def test_what_holds_continuous_numbers_is_scaled_and_nothing_else(name):
    (source,) = (source for source in generalist.get_config().data.sources if source.name == name)
    with get_task(name).make() as env:
        spaces = *leaf_spaces(env.observation_space, ""), *leaf_spaces(env.action_space, "")
    holds_numbers = any(isinstance(space, Box) and space.dtype.kind == "f" for _, space in spaces)
    assert (source.scaling == "range") == holds_numbers


def test_one_command_makes_all_that_the_mixture_names(tmp_path, monkeypatch):
    chosen = [get_task("cartpole"), get_task("dark-room")]
    monkeypatch.setattr(generalist_data, "trained_tasks", lambda: chosen)
    monkeypatch.setattr(generalist_data, "PIXEL_TASKS", ("babyai-open-door-pixels",))
    monkeypatch.setattr(generalist_data, "all_tasks", lambda: tuple(chosen))
    for _ in range(2):  # the second call finds everything
        generalist_data.collect_generalist(
            tmp_path, share=0.02, num_workers=1, console=Console(file=io.StringIO(), width=200)
        )
    counts = {"cartpole": 4, "dark-room": 6, "babyai-open-door-pixels": 12}
    for name, count in counts.items():
        assert len(MinariSource(tmp_path / "demonstrations" / name, name)) == count
    assert MinariSource(tmp_path / "demonstrations" / "cartpole", "cartpole")[0].expert_actions is not None
    files = {
        source.path.rpartition("/")[2] for source in generalist.get_config().data.sources if source.kind != "minari"
    }
    assert files <= {path.name for path in tmp_path.iterdir()}


def test_every_family_of_the_mixture_has_a_number_of_episodes_and_a_weight():
    families = {task.family for task in generalist.trained_tasks()}
    assert families == set(generalist_data.EPISODES)


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_a_share_is_a_fraction(tmp_path, share):
    with pytest.raises(ValueError, match="expected a fraction of the data"):
        generalist_data.collect_generalist(tmp_path, share=share, num_workers=1, console=Console(file=io.StringIO()))
    assert not list(tmp_path.iterdir())
