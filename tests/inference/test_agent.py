"""Whose scaling an agent's policies follow: by the name of a source, never by a guess."""

import dataclasses

import numpy as np
import pytest
from gymnasium import spaces

from gato.checkpoint import save_checkpoint
from gato.config import DataConfig, FieldScale, RunConfig, SourceConfig
from gato.inference.agent import NO_SOURCE, Agent
from gato.inference.batch_policy import BatchPolicy
from gato.inference.policy import Policy

OBSERVATIONS = spaces.Box(-np.inf, np.inf, (1,), np.float32)
ACTIONS = spaces.Box(-1, 1, (1,), np.float32)
FIELDS = (
    FieldScale(path="observation", low=(99.0,), high=(101.0,)),
    FieldScale(path="action", low=(0.25,), high=(0.5,)),
)


@pytest.fixture(scope="module")
def agent(make_agent):
    return dataclasses.replace(make_agent(), fields={"crane": FIELDS, "prose": ()})


def shown(policy):
    """The tokens of an observation of 101 and an action of 0.25."""
    demonstration = policy.encode_demonstration(np.full((1, 1), 101, np.float32), np.full((1, 1), 0.25, np.float32))
    return [int(token) for token in demonstration.tokens]


def test_numbers_are_scaled_as_those_of_the_source_that_is_named(agent):
    first = agent.tokenizer.continuous_ids.start
    observed, separator, acted = shown(Policy(agent, OBSERVATIONS, ACTIONS, source="crane"))
    assert (observed - first, acted - first) == (agent.tokenizer.num_bins - 1, 0)
    assert shown(BatchPolicy(agent, OBSERVATIONS, ACTIONS, source="crane")) == [observed, separator, acted]


def test_actions_stay_within_the_span_that_was_seen(agent):
    policy = Policy(agent, OBSERVATIONS, ACTIONS, source="crane")
    for _ in range(4):
        action, _ = policy.predict(np.array([100], np.float32))
        assert 0.25 <= action[0] <= 0.5


def test_sources_without_scales_and_none_at_all_follow_the_papers_rule(agent):
    plain = shown(Policy(dataclasses.replace(agent, fields={}), OBSERVATIONS, ACTIONS))
    for source in ("prose", NO_SOURCE):
        assert shown(Policy(agent, OBSERVATIONS, ACTIONS, source=source)) == plain
    assert shown(Policy(dataclasses.replace(agent, fields={"prose": ()}), OBSERVATIONS, ACTIONS)) == plain


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, r"scales the numbers of its sources \['crane'\]: name .* source='crane', or source='' for none"),
        ("crame", "'crame' is no source that the agent was trained on: did you mean 'crane'"),
        ("xyz", r"'xyz' is no source .*: those are \['crane', 'prose'\]"),
    ],
)
def test_a_source_must_be_named_and_known(agent, source, message):
    for make in (Policy, BatchPolicy):
        with pytest.raises(ValueError, match=message):
            make(agent, OBSERVATIONS, ACTIONS, source=source)


def test_a_source_of_another_environment_is_refused(agent):
    with pytest.raises(ValueError, match="observation has 2 elements, but its scale has 1"):
        Policy(agent, spaces.Box(-1, 1, (2,)), ACTIONS, source="crane")


def test_a_checkpoint_holds_its_scales(agent, tmp_path):
    sources = (
        SourceConfig(name="crane", kind="minari", path="a", scaling="quantiles", fields=FIELDS),
        SourceConfig(name="prose", kind="text", path="b"),
    )
    config = RunConfig(
        tokenizer=agent.tokenizer, model=agent.model, policy=agent.policy, data=DataConfig(sources=sources)
    )
    save_checkpoint(
        tmp_path,
        step=1,
        params=agent.params,
        train_state={"step": np.zeros(1)},
        data_state={},
        config=config,
        tokenizer_model=agent.text.to_bytes(),
    )
    assert Agent.load(tmp_path).fields == {"crane": FIELDS, "prose": ()}
    loaded = Policy.load(tmp_path, OBSERVATIONS, ACTIONS, source="crane")
    assert shown(loaded) == shown(Policy(agent, OBSERVATIONS, ACTIONS, source="crane"))
