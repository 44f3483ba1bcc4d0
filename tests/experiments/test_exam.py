"""The exam: the same questions every time, answers judged by the rule that each question carries."""

import json

import jax
import numpy as np
import pytest

from gato.config import ModelConfig, PolicyConfig, TokenizerConfig
from gato.envs import get_task
from gato.envs.talk import exam, talks
from gato.experiments import exam as sitting
from gato.experiments.exam import right_by_kind, sit_exam, write_exam
from gato.inference.agent import Agent
from gato.model.gato import init_parameters
from gato.tokenizer.text import TextTokenizer

TASKS = [get_task(name) for name in ("cartpole", "lunar-lander", "babyai-go-to-local")]


@pytest.fixture(scope="module")
def make_speaker():
    """An untrained network."""
    spoken = talks(np.random.default_rng(0), 200, TASKS)
    text = TextTokenizer.train([words for talk in spoken for _, words in talk], 600)
    tokenizer = TokenizerConfig(text_vocab_size=text.vocab_size, num_bins=32, num_discrete=16)
    model = ModelConfig(width=32, num_layers=1, num_heads=2, head_dim=16, mlp_width=64, patch_stem="tiles")
    params = jax.jit(init_parameters, static_argnums=(0, 1))(model, tokenizer, jax.random.key(0))

    def make(context_length=320):
        policy = PolicyConfig(context_length=context_length)
        return Agent(model=model, tokenizer=tokenizer, policy=policy, params=params, text=text)

    return make


class Knowing:
    """Gives an accepted answer to all questions but those of one kind."""

    def __init__(self, agent):
        questions = exam(np.random.default_rng(3), 60, TASKS)
        self.answer_to = {question.turns: question for question in questions}

    def replies(self, dialogues, *, max_tokens):
        assert max_tokens >= 24
        found = [self.answer_to[turns] for turns in dialogues]
        return ["Blue cheese." if question.kind == "task" else question.accepted[0] for question in found]


def test_shares_are_of_the_questions_that_were_answered_rightly(make_speaker, monkeypatch, tmp_path):
    monkeypatch.setattr(sitting, "Generator", Knowing)
    answered = sit_exam(make_speaker(), TASKS, num_questions=60, seed=3)
    shares = right_by_kind(answered)
    number = {kind: sum(one.question.kind == kind for one in answered) for kind in shares if kind != "all"}
    assert sum(number.values()) == 60
    assert {kind: share.value for kind, share in shares.items() if kind != "all"} == {
        kind: 0.0 if kind == "task" else 1.0 for kind in number
    }
    assert shares["all"].value == pytest.approx(1 - number["task"] / 60)
    write_exam(tmp_path / "exam.jsonl", answered)
    lines = [json.loads(line) for line in (tmp_path / "exam.jsonl").read_text().splitlines()]
    assert [line["right"] for line in lines] == [line["kind"] != "task" for line in lines]
    assert all(line["turns"][-1][0] == "user" for line in lines)


def test_a_network_that_knows_nothing_is_right_about_nothing(make_speaker):
    shares = right_by_kind(sit_exam(make_speaker(), TASKS, num_questions=8, seed=0))
    assert shares["all"].value == 0.0


def test_what_cannot_be_asked_is_refused(make_speaker):
    with pytest.raises(ValueError, match="0 questions are asked for"):
        sit_exam(make_speaker(), TASKS, num_questions=0, seed=0)
    with pytest.raises(ValueError, match=r"of the context of 40 to the answer, .* raise policy\.context_length"):
        sit_exam(make_speaker(context_length=40), TASKS, num_questions=20, seed=0)
