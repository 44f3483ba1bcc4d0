"""Checkpoints of earlier versions are read for ever, and say what they said when they were saved."""

import functools
import io
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from gymnasium import spaces
from rich.console import Console

from gato.batch import Batch
from gato.checkpoint import load_checkpoint as load_run
from gato.checkpoint import restore_like
from gato.inference.agent import Agent
from gato.inference.generate import Generator
from gato.inference.policy import Policy
from gato.model.gato import rebuild
from gato.release import identity, load_checkpoint, load_config
from gato.tokenizer.text import TextTokenizer
from gato.training.loop import train
from gato.training.optimizer import make_optimizer
from gato.training.step import init_state, model_loss

FIXTURES = Path(__file__).parent / "fixtures"
EXPECTED = json.loads((FIXTURES / "expected.json").read_text())
OBSERVATIONS = spaces.Box(-np.inf, np.inf, (1,), np.float32)
ACTIONS = spaces.Box(-1, 1, (1,), np.float32)

stored = pytest.mark.parametrize("folder", [FIXTURES / "run_v1", FIXTURES / "release_v1"], ids=lambda path: path.name)


def row_of(tokens, config):
    """A batch of one document."""
    shape = (1, len(tokens))
    return Batch(
        tokens=np.array([tokens], np.int32),
        local_positions=np.full(shape, config.no_position, np.int32),
        loss_mask=np.ones(shape, bool),
        changed_mask=np.zeros(shape, bool),
        row_weights=np.ones(1, np.float32),
        source_ids=np.ones(1, np.int32),
        lengths=np.array([len(tokens)], np.int32),
        patches=np.zeros((1, 0, config.patch_size, config.patch_size, 3), np.uint8),
        patch_indices=np.zeros((1, 0), np.int32),
        patch_intervals=np.zeros((1, 0, 4), np.int32),
    )


@functools.partial(jax.jit, static_argnums=(0, 1))
def last_logits(model, tokenizer, params, batch):
    gato = rebuild(model, tokenizer, params)
    return gato.logits(gato(batch)[0, -1])


@stored
def test_the_network_says_what_it_said(folder):
    agent = Agent.load(folder)
    logits = last_logits(agent.model, agent.tokenizer, agent.params, row_of(EXPECTED["tokens"], agent.tokenizer))
    np.testing.assert_allclose(logits, EXPECTED["logits"], atol=1e-4)


@stored
def test_the_agent_does_what_it_did(folder):
    policy = Policy.load(folder, OBSERVATIONS, ACTIONS, source="crane")
    actions = [float(policy.act(np.array([seen], np.float32))[0]) for seen in EXPECTED["observations"]]
    np.testing.assert_allclose(actions, EXPECTED["actions"], atol=1e-6)
    # It was taught to answer the least reading, 99, with the largest action, 0.5, and 101 with 0.25.
    readings = np.array(EXPECTED["observations"])
    np.testing.assert_allclose(actions, 0.5 - 0.25 * (readings - 99) / 2, atol=0.01)


@stored
def test_the_agent_writes_what_it_wrote(folder):
    text = Generator.load(folder).continue_document(EXPECTED["beginning"], max_tokens=8)
    assert text == EXPECTED["continuation"]


@stored
def test_config_and_identity_are_those_of_the_day(folder):
    config = load_config(folder)
    assert (config.name, config.seed, config.model.width) == ("fixture", 11, 16)
    assert [source.name for source in config.data.sources] == ["crane", "books"]
    assert config.data.sources[0].fields[0].high == (101.0,)
    assert identity(folder) == {"step": 1500, "sha256": EXPECTED["identity"][folder.name]}


def test_run_and_release_hold_the_same_parameters():
    run, release = (load_checkpoint(FIXTURES / name) for name in ("run_v1", "release_v1"))
    jax.tree.map(np.testing.assert_array_equal, run.params, release.params)
    assert run.tokenizer_model == release.tokenizer_model
    assert run.step == release.step == 1500


def test_the_state_of_training_fits_todays():
    checkpoint = load_run(FIXTURES / "run_v1", train_state=True)
    template = jax.eval_shape(
        lambda params: init_state(params, make_optimizer(checkpoint.config.optimizer)), checkpoint.params
    )
    state = restore_like(
        {"state": template.opt_state}, {"state": checkpoint.train_state["state"]["opt_state"]}, "state"
    )
    assert checkpoint.data_state == {"index": 1500}
    assert max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(state)) > 0


class Document:
    """The same sentence for ever, told as two sources, as the stored run knows two."""

    source_names = ("crane", "books")

    def __init__(self, tokens, config):
        self.index = 0
        self._batch = row_of(tokens, config)

    def __next__(self):
        self.index += 1
        return self._batch

    def get_state(self):
        return {"index": self.index}

    def set_state(self, state):
        self.index = state["index"]


@pytest.mark.slow
def test_the_stored_run_goes_on(tmp_path):
    """Resumed at its step, with its optimizer and its position in the data, it learns a new sentence."""
    shutil.copytree(FIXTURES / "run_v1", tmp_path / "run")
    checkpoint = load_checkpoint(tmp_path / "run")
    config = checkpoint.config.override(["training.num_steps=1520", "training.log_every=10"])
    tokens = TextTokenizer.from_bytes(checkpoint.tokenizer_model).encode("the door is on the red box")
    document = Document(tokens, config.tokenizer)
    loss = model_loss(config.model, config.tokenizer, 2)
    before, _ = loss(checkpoint.params, next(document), None)
    result = train(
        config,
        run_folder=tmp_path / "run",
        params=checkpoint.params,
        loss_function=loss,
        batches=document,
        key=jax.random.key(0),
        tokenizer_model=checkpoint.tokenizer_model,
        resume=True,
        console=Console(file=io.StringIO()),
    )
    after, _ = loss(result.state.params, next(document), None)
    assert (int(result.state.step), document.index) == (1520, 1521)
    assert float(after) < 0.8 * float(before)
