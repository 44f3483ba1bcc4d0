"""Episodes of an evaluation played once more, by a network of random weights, and the page that shows them."""

import dataclasses
import json
from pathlib import Path

import gymnasium as gym
import jax
import numpy as np
import pytest

from gato.checkpoint import save_checkpoint
from gato.cli.main import run
from gato.config import EvaluationConfig, ModelConfig, PolicyConfig, PromptConfig, RunConfig, TokenizerConfig
from gato.envs import get_task
from gato.evaluation.evaluate import result_of
from gato.experiments import evaluation_report as reporting
from gato.experiments import replay as replaying
from gato.experiments.replay import replay
from gato.experiments.session import EvaluationSession
from gato.inference.agent import Agent
from gato.model.gato import init_parameters
from gato.reports.shown_episodes import best_and_worst

CONFIG = RunConfig(
    name="random",
    tokenizer=TokenizerConfig(text_vocab_size=260, num_bins=64, num_discrete=64),
    model=ModelConfig(
        width=32, num_layers=2, num_heads=2, head_dim=16, mlp_width=64, patch_stem="tiles", unit_rms_inputs=True
    ),
    policy=PolicyConfig(context_length=96, prompt=PromptConfig(max_tokens=40)),
)
LEFT = "What came before has left it."  # how a timestep tells that something is gone from the context


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    params = jax.jit(init_parameters, static_argnums=(0, 1))(CONFIG.model, CONFIG.tokenizer, jax.random.key(0))
    # Sharpened, so that what stands in the context changes what is done.
    attention = params["transformer"]["blocks"]["attention"]
    attention["out"]["kernel"] = 5 * attention["out"]["kernel"]
    params["transformer"]["final_norm"]["scale"] = 3 * params["transformer"]["final_norm"]["scale"]
    save_checkpoint(folder, step=7, params=params, train_state={"none": np.zeros(1)}, data_state={}, config=CONFIG)
    return folder


@pytest.fixture(scope="module")
def agent(checkpoint) -> Agent:
    return Agent.load(checkpoint)


def played(agent: Agent, name: str, *, pinned: bool = True, kind="right", deterministic: bool = False, episodes=4):
    """A session and the choices of its episodes."""
    prompts = dataclasses.replace(agent.policy.prompt, pinned=pinned)
    session = EvaluationSession(agent, [get_task(name)], prompts, kind=kind, deterministic=deterministic)
    plan = session.plan(EvaluationConfig(episodes=episodes, seed=3))
    results = {spec.key: result_of(spec, session.tasks[name], done) for spec, done in session.play(plan.specs, 4)}
    return session, best_and_worst(plan.specs, results, num_tasks=1)


@pytest.fixture(scope="module")
def cartpole(agent):
    return played(agent, "cartpole")


def most_likely(step: dict) -> list[bool]:
    """Of each token of the action, whether the one that was taken is the most likely one."""
    return [token["options"][0][0] == token["id"] for token in step["action"]]


def test_a_replay_is_the_scored_episode_with_video_and_all_timesteps(cartpole):
    session, choices = cartpole
    shown = replay(session, choices)
    assert [(one.spec, one.result, one.rank) for one in shown] == [(one.spec, one.result, one.rank) for one in choices]
    assert len(shown) == 2
    for one in shown:
        assert (one.replayed_return, one.replayed_length) == (
            one.result.episode_return,
            one.result.length,
        )
        assert one.video.startswith(b"GIF89a")
        steps = one.content["steps"]
        assert [step["timestep"] for step in steps] == list(range(one.result.length))
        assert float(steps[-1]["total"]) == one.result.episode_return
        assert all(step["frame"].startswith("data:image/webp") for step in steps)


# An agent that reads its window afresh at every step draws from what the page tells, whatever has left the context;
# pendulum's actions are numbers, so that a wrong place or window would not go unnoticed.
@pytest.mark.parametrize(
    ("name", "kind", "pinned"),
    [
        ("cartpole", "right", True),
        pytest.param("pendulum", "right", True, marks=pytest.mark.slow),
        pytest.param("pendulum", "right", False, marks=pytest.mark.slow),
        pytest.param("pendulum", "none", True, marks=pytest.mark.slow),
    ],
)
def test_the_probabilities_are_those_that_the_agent_acts_by(agent, name, kind, pinned):
    policy = dataclasses.replace(agent.policy, refresh_every=1, context_length=64)
    fresh = dataclasses.replace(agent, policy=policy)
    session, choices = played(fresh, name, kind=kind, pinned=pinned, deterministic=True, episodes=2)
    steps = [step for one in replay(session, choices) for step in one.content["steps"]]
    assert not any(LEFT in step["context"] for step in steps)
    full = [" timesteps 0 to " in step["context"] or " timestep 0 " in step["context"] for step in steps]
    assert min(sum(full), len(full) - sum(full)) > 3
    assert len({step["action"][0]["id"] for step in steps}) > 1 or name == "cartpole"  # which soon falls
    assert all(all(most_likely(step)) for step in steps)


@pytest.mark.slow
def test_of_a_long_episode_few_timesteps_are_shown_that_need_a_pass_of_their_own(agent):
    session, choices = played(agent, "pendulum", episodes=2)
    for one in replay(session, choices):
        contexts = [step["context"] for step in one.content["steps"]]
        assert sum(LEFT in context for context in contexts) == 16
        assert one.content["steps"][-1]["timestep"] == 199


class Undrawable(gym.Wrapper):
    def render(self):
        raise RuntimeError("no screen here")


def test_a_task_that_cannot_be_drawn_is_shown_without_a_video(cartpole, monkeypatch):
    make = replaying.make_task
    monkeypatch.setattr(replaying, "make_task", lambda name, render_mode=None: Undrawable(make(name, render_mode)))
    session, choices = cartpole
    for one in replay(session, choices):
        assert one.video is None
        assert one.problem == "No film: drawing the task failed with RuntimeError: no screen here."
        assert one.content["steps"]
        assert "frame" not in one.content["steps"][0]
        assert one.replayed_return == one.result.episode_return


def test_a_task_that_cannot_be_played_again_says_so(cartpole, monkeypatch):
    session, choices = cartpole
    monkeypatch.setattr(session, "actor", lambda specs, num_envs: None)
    for one in replay(session, choices):
        assert one.problem.startswith("This episode could not be played again: AttributeError: ")
        assert one.content is one.video is one.replayed_return is None


def evaluate(checkpoint: Path, out: Path, *options: str) -> None:
    run(["evaluate", str(checkpoint), "--out", str(out), "--tasks", "cartpole", "--num-envs", "3", *options])


def test_the_page_stands_beside_the_scores_and_changes_none(checkpoint, tmp_path):
    for number in ("0", "1"):
        evaluate(checkpoint, tmp_path / number, "--episodes", "3", "--videos", number)
    assert (tmp_path / "0" / "scores.json").read_bytes() == (tmp_path / "1" / "scores.json").read_bytes()
    without, with_videos = ((tmp_path / number / "report.html").read_text(encoding="utf-8") for number in ("0", "1"))
    assert "Evaluation of random" in without
    assert 'class="scrubber"' not in without
    assert with_videos.count('class="scrubber"') == with_videos.count("data:image/gif") == 2
    assert "went otherwise" not in with_videos
    names = {path.name for path in (tmp_path / "1" / "films").iterdir()}
    assert names == {"cartpole-best.gif", "cartpole-worst.gif"}


def test_a_page_that_cannot_be_written_costs_no_score(checkpoint, tmp_path, monkeypatch, capsys):
    def fail(path, page):
        raise OSError("the disk is full")

    monkeypatch.setattr(reporting, "write_page", fail)
    evaluate(checkpoint, tmp_path, "--episodes", "1", "--videos", "0")
    assert "report.html could not be written: OSError: the disk is full" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "scores.json").read_text())["records"]) == 1


def test_fewer_than_no_videos_are_refused(checkpoint, tmp_path, capsys):
    with pytest.raises(SystemExit):
        evaluate(checkpoint, tmp_path, "--videos", "-1")
    assert "videos is -1, expected 0 tasks or more" in " ".join(capsys.readouterr().err.split())
