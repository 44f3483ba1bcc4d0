"""`gato evaluate` on a network of random weights: what its scores depend on, and what not."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from gato.checkpoint import save_checkpoint
from gato.cli.main import run
from gato.config import (
    DataConfig,
    EvaluationConfig,
    ModelConfig,
    PolicyConfig,
    PromptConfig,
    RunConfig,
    SourceConfig,
    TokenizerConfig,
)
from gato.data.collate import Row, make_batch
from gato.envs import get_task
from gato.evaluation.journal import Journal
from gato.experiments.prompt_ablation import row_nll
from gato.experiments.session import EvaluationSession
from gato.inference import batch_policy
from gato.inference.agent import Agent
from gato.inference.step import act
from gato.model.gato import init_parameters, rebuild
from gato.tokenizer.sequence import TokenSequence

CONFIG = RunConfig(
    name="random",
    tokenizer=TokenizerConfig(text_vocab_size=260, num_bins=64, num_discrete=64),
    model=ModelConfig(
        width=32, num_layers=1, num_heads=2, head_dim=16, mlp_width=64, patch_stem="tiles", unit_rms_inputs=True
    ),
    data=DataConfig(sources=(SourceConfig(name="cartpole", kind="minari", path="nowhere"),)),
    policy=PolicyConfig(context_length=96, prompt=PromptConfig(max_tokens=40)),
)


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


def scores(folder: Path) -> dict:
    return json.loads((folder / "scores.json").read_text())


def evaluate(checkpoint: Path, out: Path, *options: str) -> None:
    # One width for all, since every other one is compiled anew.
    run(["evaluate", str(checkpoint), "--out", str(out), "--num-envs", "3", "--videos", "0", *options])


MIXED = ["--tasks", "cartpole", "dark-room", "--episodes", "4"]


def returns(agent: Agent, names: list[str], width: int, *, deterministic: bool) -> dict:
    tasks = [get_task(name) for name in names]
    session = EvaluationSession(agent, tasks, agent.policy.prompt, deterministic=deterministic)
    specs = session.ordered(session.plan(EvaluationConfig(episodes=5, seed=3)).specs)
    played = session.play(specs, width)
    return {spec.key: (done.episode.episode_return, len(done.episode)) for spec, done in played}


@pytest.mark.parametrize("deterministic", [True, False])
def test_returns_of_mixed_tasks_do_not_depend_on_the_width_or_on_company(agent, deterministic):
    names = ["cartpole", "dark-room"]  # of different observations and actions
    widths = [returns(agent, names, width, deterministic=deterministic) for width in (1, 3, 8)]
    assert widths[0] == widths[1] == widths[2]
    assert len({length for _, length in widths[0].values()}) > 3  # so slots change task at different times


def test_deterministic_rows_are_rounded_alike_at_any_width(agent, monkeypatch):
    """To the bit: what the first row caches of its first episode, whatever else the batch holds."""
    session = EvaluationSession(agent, [get_task("cartpole")], agent.policy.prompt, deterministic=True)
    specs = session.plan(EvaluationConfig(episodes=60, seed=3)).specs
    cached = {}
    for num_envs in (1, 30, 1_000):
        steps = cached[num_envs] = []

        def noted(*inputs, steps=steps):
            tokens, cache = act(*inputs)
            steps.append([np.array(layer[0]) for layer in (*cache.keys, *cache.values)])
            return tokens, cache

        monkeypatch.setattr(batch_policy, "act", noted)
        next(session.play(specs, session.width(num_envs)))
    num_steps = min(map(len, cached.values()))
    assert num_steps > 5
    for step in range(num_steps):
        for narrow, *others in zip(*(steps[step] for steps in cached.values()), strict=True):
            for other in others:
                np.testing.assert_array_equal(narrow, other)


def test_deterministic_play_differs_from_sampled_play(agent):
    names = ["cartpole", "dark-room"]
    assert returns(agent, names, 3, deterministic=True) != returns(agent, names, 3, deterministic=False)


def test_a_stopped_evaluation_goes_on_and_ends_with_the_same_file(checkpoint, tmp_path, monkeypatch, capsys):
    evaluate(checkpoint, tmp_path / "whole", *MIXED)
    append = Journal.append
    kept = []

    def stop(journal: Journal, result) -> None:
        if len(kept) == 3:
            raise KeyboardInterrupt
        append(journal, result)
        kept.append(result.key)

    monkeypatch.setattr(Journal, "append", stop)
    with pytest.raises(SystemExit) as stopped:
        evaluate(checkpoint, tmp_path / "stopped", *MIXED)
    assert stopped.value.code == 130
    assert not (tmp_path / "stopped" / "scores.json").exists()
    with (tmp_path / "stopped" / "episodes.jsonl").open("a") as file:
        file.write('{"task": "dark-room", "pro')  # as a crash would leave it

    played = []
    monkeypatch.setattr(Journal, "append", lambda journal, result: (append(journal, result), played.append(result.key)))
    evaluate(checkpoint, tmp_path / "stopped", *MIXED, "--num-envs", "2")
    assert len(played) == 5
    assert not set(played) & set(kept)
    for name in ("scores.json", "scores.md"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    evaluate(checkpoint, tmp_path / "stopped", *MIXED)  # nothing is left to play
    assert len(played) == 5
    assert (tmp_path / "stopped" / "scores.json").read_bytes() == (tmp_path / "whole" / "scores.json").read_bytes()


def test_another_evaluation_is_refused_unless_told_to_begin_anew(checkpoint, tmp_path, capsys):
    evaluate(checkpoint, tmp_path, "--tasks", "dark-room", "--episodes", "3")
    before = (tmp_path / "scores.json").read_bytes()
    with pytest.raises(SystemExit) as stopped:
        evaluate(checkpoint, tmp_path, "--tasks", "dark-room", "--episodes", "4", "--prompt-part", "end")
    assert stopped.value.code == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "episodes is 3 there, 4 now" in told
    assert '"part": "end"' in told
    assert (tmp_path / "scores.json").read_bytes() == before
    evaluate(checkpoint, tmp_path, "--tasks", "dark-room", "--episodes", "4", "--prompt-part", "end", "--overwrite")
    assert scores(tmp_path)["records"][0]["episodes"] == 4


def test_the_file_states_checkpoint_and_prompt(checkpoint, tmp_path):
    prompt = [
        "--prompt-part",
        "uniform",
        "--prompt-tokens",
        "30",
        "--prompt-demonstrations",
        "2",
        "--prompt-terminal",
        "True",
    ]
    evaluate(checkpoint, tmp_path, "--tasks", "dark-room", "--episodes", "3", *prompt)
    measured = scores(tmp_path)["measured"]
    assert (measured["checkpoint"]["run"], measured["checkpoint"]["step"]) == ("random", 7)
    assert len(measured["checkpoint"]["sha256"]) == 64
    assert measured["prompt"] == {
        "kind": "right",
        "part": "uniform",
        "max_tokens": 30,
        "terminal_observation": True,
        "pinned": True,
        "demonstrations": 2,
    }
    assert not measured["policy"]["deterministic"]
    assert measured["episodes"] == 3


def test_wrong_prompts_come_from_tasks_of_the_same_spaces_and_others_are_listed(checkpoint, tmp_path, capsys):
    evaluate(checkpoint, tmp_path, "--tasks", "cartpole", "dark-room", "--prompt", "wrong", "--episodes", "3")
    found = scores(tmp_path)
    assert [record["task"] for record in found["records"]] == ["dark-room"]  # another of its variants
    assert set(found["measured"]["left_out"]) == {"cartpole"}
    assert "Not played: cartpole: no other task" in capsys.readouterr().out
    assert "Not played: cartpole" in (tmp_path / "scores.md").read_text()


def test_a_task_that_does_not_fit_the_context_is_left_out_with_the_reason(checkpoint, tmp_path, capsys):
    evaluate(checkpoint, tmp_path, "--tasks", "frozen-lake", "dark-room", "--episodes", "3")
    assert "68 tokens" in scores(tmp_path)["measured"]["left_out"]["frozen-lake"]
    capsys.readouterr()
    with pytest.raises(SystemExit):
        evaluate(checkpoint, tmp_path / "alone", "--tasks", "frozen-lake", "--episodes", "1")
    assert "no task can be played as asked" in capsys.readouterr().err


def test_environments_in_processes_change_nothing(checkpoint, tmp_path):
    for workers in ("0", "2"):
        evaluate(checkpoint, tmp_path / workers, *MIXED, "--env-workers", workers)
    assert (tmp_path / "0" / "scores.json").read_bytes() == (tmp_path / "2" / "scores.json").read_bytes()


def test_a_study_tells_scores_following_chance_and_likelihood(checkpoint, tmp_path, capsys):
    evaluate(checkpoint, tmp_path, "--tasks", "dark-room", "--study", "--episodes", "9")
    records = {(r["task"], r["variants"], r["prompt"]): r for r in scores(tmp_path)["records"]}
    groups = [("dark-room", "trained"), ("dark-room", "held-out")]
    assert list(records) == [(*group, prompt) for group in groups for prompt in ("right", "wrong", "none")]
    for (_, _, prompt), record in records.items():
        assert record["episodes"] == 9
        assert record["first_actions_nll"] > 0
        assert (record["followed"] is None) == (record["followed_by_chance"] is None) == (prompt == "none")
    for group in groups:
        # The episodes are the same, what stands before them is not.
        assert len({records[*group, prompt]["first_actions_nll"] for prompt in ("right", "wrong", "none")}) == 3
        assert records[*group, "right"]["followed"] == records[*group, "right"]["success"]
    out = capsys.readouterr().out
    assert "context effect" in out
    assert "| dark-room, held-out |" in (tmp_path / "scores.md").read_text()


def test_a_study_of_a_task_without_hidden_variants_is_refused(checkpoint, tmp_path, capsys):
    with pytest.raises(SystemExit):
        evaluate(checkpoint, tmp_path, "--tasks", "cartpole", "--study")
    assert "'cartpole' is no context task" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        evaluate(checkpoint, tmp_path, "--study")
    assert "--suite context" in capsys.readouterr().err


def test_row_nll_is_minus_the_log_probability_of_the_targets(agent):
    rng = np.random.default_rng(0)
    length = 12

    def row() -> Row:
        count = int(rng.integers(6, length + 1))
        empty = np.zeros(0, np.int32)
        return Row(
            source_id=0,
            sequence=TokenSequence(
                tokens=rng.integers(260, 380, count).astype(np.int32),
                local_positions=np.full(count, CONFIG.tokenizer.action_position, np.int32),
                loss_mask=rng.random(count) < 0.5,
                changed_mask=np.zeros(count, bool),
                patches=np.zeros((0, 16, 16, 3), np.uint8),
                patch_indices=empty,
                patch_intervals=np.zeros((0, 4), np.int32),
                starts=np.array([0, count]),
            ),
        )

    batch = make_batch([row() for _ in range(5)], DataConfig(context_length=length, max_patches=1), CONFIG.tokenizer)

    @jax.jit
    def log_probabilities_of(params, batch):
        model = rebuild(CONFIG.model, CONFIG.tokenizer, params)
        return jax.nn.log_softmax(model.logits(model(batch)), axis=-1)

    log_probabilities = np.asarray(log_probabilities_of(agent.params, jax.device_put(batch)))
    expected = [
        -sum(
            float(log_probabilities[b, place - 1, batch.tokens[b, place]])
            for place in np.flatnonzero(batch.loss_mask[b])
        )
        for b in range(5)
    ]
    np.testing.assert_allclose(row_nll(agent)(batch), expected, rtol=1e-4)


def test_a_sliding_prompt_is_stated_and_matters_once_it_has_left(checkpoint, tmp_path):
    for name, pinned in (("pinned", "--prompt-pinned"), ("sliding", "--no-prompt-pinned")):
        evaluate(checkpoint, tmp_path / name, "--tasks", "cartpole", "--episodes", "3", pinned)
    pinned, sliding = scores(tmp_path / "pinned"), scores(tmp_path / "sliding")
    assert (pinned["measured"]["prompt"]["pinned"], sliding["measured"]["prompt"]["pinned"]) == (True, False)
    assert pinned["records"] != sliding["records"]
