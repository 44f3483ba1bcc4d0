"""Held-out measures of a tiny network whose probabilities are known: all equal."""

import dataclasses
import json
import math

import jax
import numpy as np
import pytest

from gato.config import DataConfig, ModelConfig, PolicyConfig, RunConfig, SourceConfig, TokenizerConfig
from gato.data.collate import make_batch
from gato.data.encoded import SequenceCache
from gato.data.episode import Dialogue, ImageText
from gato.data.mixture import open_rows
from gato.data.sources.images import write_images
from gato.data.sources.minari_writer import write_minari
from gato.envs import get_task
from gato.evaluation.actors import RandomActor
from gato.evaluation.rollout import rollout
from gato.experiments.held_out import HeldOut, measure_held_out, moved_sources
from gato.experiments.prompt_ablation import row_nll
from gato.inference.agent import Agent
from gato.model.gato import init_parameters
from gato.tokenizer.text import TextTokenizer

TEXTS = [f"the number {number} and naïve words" for number in range(30)]


@pytest.fixture(scope="module")
def text() -> TextTokenizer:
    return TextTokenizer.train(TEXTS, 300)


@pytest.fixture(scope="module")
def config(tmp_path_factory, text) -> RunConfig:
    folder = tmp_path_factory.mktemp("data")
    task = get_task("cartpole")
    env = task.make()
    episodes = [done.episode for done in rollout(task.make, RandomActor(env.action_space), range(6))]
    write_minari(folder / "cartpole", episodes, env.observation_space, env.action_space, dataset_id="gato/cartpole-v0")
    lines = "".join(json.dumps({"text": words}) + "\n" for words in TEXTS)
    (folder / "text.jsonl").write_text(lines)
    (folder / "all.jsonl").write_text(lines)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (16, 16, 3)).astype(np.uint8) for _ in range(8)]
    write_images(folder / "captions.zip", (ImageText(image=image, text="a cat") for image in images))
    asked = (("user", "what?"), ("agent", "a cat"))
    write_images(folder / "questions.zip", (Dialogue(image=image, turns=asked) for image in images))
    kinds = {"cartpole": "minari", "text": "text", "captions": "captions", "questions": "questions"}
    endings = {"minari": "", "text": ".jsonl", "captions": ".zip", "questions": ".zip"}
    sources = [
        SourceConfig(name=name, kind=kind, path=str(folder / f"{name}{endings[kind]}"), held_out=0.25)
        for name, kind in kinds.items()
    ]
    sources.append(SourceConfig(name="all", kind="text", path=str(folder / "all.jsonl"), held_out=0))
    return RunConfig(
        tokenizer=TokenizerConfig(text_vocab_size=text.vocab_size, num_bins=64, num_discrete=64),
        model=ModelConfig(width=16, num_layers=1, num_heads=1, head_dim=16, mlp_width=32, patch_stem="tiles"),
        data=DataConfig(sources=tuple(sources), batch_size=4, context_length=48, max_patches=8),
        policy=PolicyConfig(context_length=48),
    )


def agent_of(config: RunConfig, text: TextTokenizer, *, uniform: bool) -> Agent:
    initial = jax.jit(init_parameters, static_argnums=(0, 1))
    params = initial(config.model, config.tokenizer, jax.random.key(0))
    if uniform:  # hidden vectors of zero score all ids alike
        params["transformer"]["final_norm"]["scale"] = 0 * params["transformer"]["final_norm"]["scale"]
    return Agent(model=config.model, tokenizer=config.tokenizer, policy=config.policy, params=params, text=text)


@pytest.fixture(scope="module")
def agent(config, text) -> Agent:
    return agent_of(config, text, uniform=False)


@pytest.fixture(scope="module")
def found(agent, config) -> HeldOut:
    return measure_held_out(agent, config, num_rows=8, num_texts=2)


def test_a_uniform_network_loses_the_logarithm_of_its_vocabulary_on_every_target(config, text):
    found = measure_held_out(agent_of(config, text, uniform=True), config, num_rows=6, num_texts=0)
    nats = math.log(config.tokenizer.vocab_size)
    kinds = {source: set(scores) for source, scores in found.scores.items()}
    assert kinds == {"cartpole": {"action"}, "text": {"text"}, "captions": {"text"}, "questions": {"text"}}
    for scores in found.scores.values():
        for score in scores.values():
            assert score.loss_nats == pytest.approx(nats, rel=1e-5)
            assert score.rows == 8  # whole batches of 4
    assert found.scores["cartpole"]["action"].bits_per_byte is None
    # Rows of captions hold whole ones: every one has the pieces of " a cat" and an end mark, and spells 6 bytes.
    tokens = len(text.encode(" a cat")) + 1
    assert found.scores["captions"]["text"].bits_per_byte == pytest.approx(nats / math.log(2) * tokens / 6, rel=1e-5)
    assert found.left_out == {"all": "it keeps no records from training"}


@pytest.mark.slow
def test_the_same_comes_back(agent, config, found):
    assert measure_held_out(agent, config, num_rows=8, num_texts=2) == found


def test_the_loss_is_that_of_the_rows_each_by_itself(agent, config, text, found):
    rows = open_rows(config.data, 1, config.tokenizer, text, SequenceCache(1 << 20), config.seed, True)
    batch = make_batch([rows[index] for index in range(8)], config.data, config.tokenizer)
    score = found.scores["text"]["text"]
    assert score.targets == batch.loss_mask.sum()
    assert score.loss_nats == pytest.approx(row_nll(agent)(batch).sum() / score.targets, rel=1e-5)
    held_out = {text.decode(rows[index].sequence.tokens) for index in range(8)}
    assert held_out < set(TEXTS)  # rows of these short texts are whole ones


def test_pictures_are_described_and_asked_about(found):
    assert {source: (score.kind, score.num_trials) for source, score in found.language.items()} == {
        "captions": ("caption", 2),
        "questions": ("answer", 2),
    }
    assert found.language["captions"].accuracy.value == 0  # the network knows nothing


@pytest.mark.slow
def test_pictures_that_do_not_fit_the_context_are_told(agent, config):
    cramped = dataclasses.replace(agent, policy=PolicyConfig(context_length=2))
    found = measure_held_out(cramped, config, num_rows=1, num_texts=2)
    assert not found.language
    assert "context_length is 2" in found.left_out["texts of captions"]
    assert "captions" in found.scores


def test_a_source_that_has_moved_is_named_with_the_way_out(agent, config, tmp_path):
    old = config.data.sources[1].path
    lost = dataclasses.replace(config, data=moved_sources(config.data, [f"text={tmp_path / 'lost.jsonl'}"]))
    message = r"source 'text' of the run is not at .*lost\.jsonl: .*--source-paths text=PATH"
    with pytest.raises(FileNotFoundError, match=message):
        measure_held_out(agent, lost, num_rows=1, num_texts=0)
    found = dataclasses.replace(lost, data=moved_sources(lost.data, [f"text={old}"]))
    assert found == config


@pytest.mark.parametrize(
    "place, message",
    [
        ("text", "'text' has no '='"),
        ("text=", "has no '=' with a path"),
        ("books=a", r"the run has no source 'books', it has \['cartpole'"),
    ],
)
def test_a_place_of_no_source_is_refused(config, place, message):
    with pytest.raises(ValueError, match=message):
        moved_sources(config.data, [place])


def test_numbers_out_of_range_are_refused(agent, config):
    with pytest.raises(ValueError, match="0 rows and 1 texts are asked for"):
        measure_held_out(agent, config, num_rows=0, num_texts=1)
