"""The audit of short timesteps: what tokens of several numbers hold and what is predicted where."""

import dataclasses

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Text

from gato.audit.advice import advise
from gato.audit.example import row_text
from gato.audit.mixture import audit_mixture
from gato.audit.sample import AuditLimits
from gato.config import DataConfig, PromptConfig, SourceConfig
from gato.data.encoded import SequenceCache, encoding_of
from gato.data.episode import Episode
from gato.data.opened import open_encoded
from gato.data.prepared import write_prepared
from gato.data.sources.minari_writer import write_minari
from gato.data.sources.opening import open_source
from gato.reports.audit_page import audit_page
from gato.reports.audit_plots import CELL, row_pixels
from gato.reports.audit_tables import control_table
from gato.reports.page import page_html
from gato.reports.style import DARK

LIMITS = AuditLimits(rows=16)
SPACE = Dict(
    a=Box(-np.inf, np.inf, (5,), np.float32),
    b=MultiDiscrete([4, 4]),
    mission=Text(20),
    n=Discrete(9),
)
ACTIONS = Box(-1, 1, (3,), np.float32)
LENGTH = 12


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grouped")
    rng = np.random.default_rng(0)
    episodes = []
    for number in range(10):
        a = rng.normal(size=(LENGTH + 1, 5)).astype(np.float32)
        a[:, 0] = np.arange(LENGTH + 1)
        observations = {
            "a": a,
            "b": rng.integers(0, 4, (LENGTH + 1, 2)),
            "mission": ["go to the ball"] * (LENGTH + 1),
            "n": np.full(LENGTH + 1, number % 9),
        }
        episodes.append(
            Episode(
                observations=observations,
                actions=rng.uniform(-1, 1, (LENGTH, 3)).astype(np.float32),
                rewards=np.ones(LENGTH),
                terminated=True,
                truncated=False,
                action_mask=np.arange(LENGTH) % 2 == 0,
            )
        )
    write_minari(folder / "numbers", episodes, SPACE, ACTIONS, dataset_id="test/numbers-v0")
    return SourceConfig(
        name="numbers",
        kind="minari",
        path=str(folder / "numbers"),
        prompt=PromptConfig(probability=0.0, terminal_observation=False),
    )


@pytest.fixture
def audited(source, config, text):
    """Audits the source in a layout; a seven-number run of two leaves makes two tokens of at most four."""

    def audit(prompt=None, *, data=None, **layout):
        tokenizer = dataclasses.replace(
            config, **{"values_per_token": 4, "action_tokens": "grouped", "separator": "mark", **layout}
        )
        own = source if prompt is None else dataclasses.replace(source, prompt=prompt)
        settings = {"context_length": 120, "max_patches": 0, "text_observation_loss": False, **(data or {})}
        return audit_mixture(DataConfig(sources=(own,), **settings), tokenizer, text, open_source, limits=LIMITS)

    return audit


def test_tokens_and_the_numbers_in_them_are_counted(audited, text):
    audit = audited().sources[0]
    assert audit.failure == ""
    pieces = len(text.encode("go to the ball"))
    assert audit.control.tokens == {"text": pieces, "grouped observations": 3.0, "grouped actions": 1.0}
    assert audit.control.numbers == {"grouped observations": 8.0, "grouped actions": 3.0}
    assert "grouped observations 3 of 8 numbers, grouped actions 1 of 3 numbers" in str(
        control_table(audit, audit.control)
    )
    per_timestep = pieces + 4
    assert audit.control.window_timesteps.median == min(120 // per_timestep, LENGTH)
    assert audited(separator="token").sources[0].control.tokens["separators"] == 1


@pytest.mark.parametrize("own_actions", ["fed", "hidden"])
@pytest.mark.parametrize("action_tokens", ["grouped", "decoded"])
def test_every_number_of_an_action_that_is_taught_is_a_target_where_it_is_predicted(
    audited, own_actions, action_tokens
):
    audit = audited(own_actions=own_actions, action_tokens=action_tokens).sources[0]
    rows = audit.rows
    timesteps = rows.timesteps
    assert timesteps > 5
    assert rows.targets == {"grouped actions": pytest.approx(3 * timesteps / 2, abs=1.5)}
    assert rows.loss_weight == rows.targets  # every target weighs 1
    assert rows.tokens.get("grouped actions", 0.0) == (timesteps if own_actions == "fed" else 0.0)
    assert audit.loss_shares == {"grouped actions": 1.0}
    examples = rows.examples
    assert examples.action_mask.any()


def test_row_weights_weigh_each_number(audited):
    rows = audited(data={"row_loss_exponent": 1.0}).sources[0].rows
    assert rows.loss_weight == {"grouped actions": pytest.approx(1.0)}


def test_the_scalar_layout_gives_the_same_targets_by_its_own_kind(audited):
    scalar = audited(values_per_token=1, action_tokens="sequential", separator="token", data={"context_length": 600})
    grouped = audited(data={"context_length": 600})
    assert (
        scalar.sources[0].rows.targets["continuous actions"] == grouped.sources[0].rows.targets["grouped actions"] > 0
    )
    assert scalar.sources[0].rows.timesteps == grouped.sources[0].rows.timesteps == LENGTH
    assert scalar.sources[0].control.numbers == {}


def test_hidden_and_dropped_own_actions_take_no_token_of_a_window(audited):
    fed, dropped, hidden = (
        audited(own_actions=name, own_action_dropout=0.5).sources[0] for name in ("fed", "dropped", "hidden")
    )
    assert "grouped actions" not in hidden.control.tokens
    assert dropped.control.tokens["grouped actions"] == pytest.approx(0.5, abs=0.2)
    assert sum(fed.rows.tokens.values()) / fed.rows.timesteps == sum(fed.control.tokens.values())
    # What rows can show of the records, which epochs are counted by.
    assert fed.rows.num_tokens - hidden.rows.num_tokens == fed.rows.num_records * LENGTH
    assert hidden.rows.num_tokens < dropped.rows.num_tokens < fed.rows.num_tokens


@pytest.mark.parametrize("separator", ["mark", "token"])
@pytest.mark.parametrize("own_actions", ["fed", "hidden"])
def test_an_example_tells_what_each_token_holds_and_which_action_it_predicts(audited, separator, own_actions, text):
    example = audited(separator=separator, own_actions=own_actions).sources[0].example
    size = len(text.encode("go to the ball")) + 3 + (separator == "token") + (own_actions == "fed")
    count = len(example.kinds) // size
    assert example.timesteps.tolist() == np.repeat(np.arange(count), size).tolist()
    fields = list(example.fields[:size])
    assert fields[0] == "observation/a[0..3]"
    assert fields[1] == "observation/a[4], observation/b[0..1]"
    assert set(fields[2:-1]) >= {"observation/mission"}
    assert "observation/n" in fields
    assert len(example.values[0].split(" ")) == 4
    assert all(number in "0123" for number in example.values[1].split(" ")[1:])
    last = size - 1 - (own_actions == "fed")  # the token that the action is predicted from
    assert [index for index, told in enumerate(example.predicted[:size]) if told] == [last]
    name, _, values = example.predicted[last].partition(": ")
    assert (name, len(values.split(" "))) == ("action[0..2]", 3)
    assert example.is_marked[:size].tolist() == [separator == "mark" and index == last for index in range(size)]
    if own_actions == "fed":
        assert (fields[-1], example.values[size - 1]) == (name, values)
    first, second = (float(example.values[place].split(" ")[0]) for place in (0, size))
    assert second - first == pytest.approx(1, rel=0.2)  # the first number counts the timesteps
    # Every second action is taught.
    assert np.diff(np.flatnonzero(example.action_mask)).tolist() == [2 * size] * (example.action_mask.sum() - 1)


def test_pieces_that_share_tokens_are_told_in_order(audited, text):
    pieces = text.encode("go to the ball")
    audit = audited(own_actions="hidden", pieces_per_token=3).sources[0]
    num_tokens = -(-len(pieces) // 3)
    assert audit.control.tokens["grouped observations"] == 3 + num_tokens
    example = audit.example
    held = [place for place in range(3 + num_tokens) if example.fields[place] == "observation/mission"]
    assert held == list(range(2, 2 + num_tokens))
    told = [piece for place in held for piece in example.values[place].split(" ")]
    assert "".join(told).replace(" ", "") == "gototheball"


def test_a_row_in_words_has_a_line_for_every_predicted_action(audited):
    example = audited(own_actions="hidden").sources[0].example
    lines = row_text(example).splitlines()
    predicted = [line for line in lines if line.lstrip().startswith("->")]
    assert len(predicted) == example.timesteps[-1] + 1
    assert sum(" * " in line for line in predicted) == example.action_mask.sum()
    assert not any("*" in line for line in lines if line not in predicted)
    before = [lines[index - 1] for index, line in enumerate(lines) if line in predicted]
    assert all(line.endswith(" |") for line in before)
    assert lines[0].split()[2].startswith("observation/a[0..3]")


def test_packed_windows_are_told_apart(audited, config):
    audit = audited(own_actions="hidden", data={"pack_windows": True, "context_length": 200}).sources[0]
    example = audit.example
    assert audit.rows.parts > 1
    assert audit.rows.fill > 0.9
    text_of_row = row_text(example)
    assert len(example.parts) > 1
    assert text_of_row.count("sees nothing of what stands above") == len(example.parts) - 1
    # The first number counts an episode's timesteps; the row's timesteps go on.
    assert np.diff(example.timesteps).max() == 1
    assert example.timesteps[-1] + 1 > LENGTH
    told = str(control_table(audit, audit.control))
    assert f"timesteps in {audit.rows.parts:.3g} parts that do not see each other" in told
    assert "targets, each number of an action for itself: grouped actions" in told


def test_a_demonstration_in_front_of_hidden_actions_shows_its_own(audited, text):
    prompt = PromptConfig(probability=1.0, max_tokens=40, terminal_observation=False)
    example = audited(prompt, own_actions="hidden").sources[0].example
    per_timestep = len(text.encode("go to the ball")) + 4
    shown = 40 // per_timestep
    is_action = np.array([field.startswith("action") for field in example.fields])
    assert is_action.sum() == shown
    assert is_action[: shown * per_timestep].sum() == shown
    assert np.bincount(example.timesteps).tolist()[:shown] == [per_timestep] * shown
    assert set(np.bincount(example.timesteps).tolist()[shown:]) == {per_timestep - 1}


def test_the_page_underlines_what_predicts_an_action_and_says_so(audited):
    mixture = audited(own_actions="hidden")
    example = mixture.sources[0].example
    pixels = row_pixels(example, DARK)
    height, width = CELL
    color = [int(DARK.text[i : i + 2], 16) for i in (1, 3, 5)]
    for i in range(min(len(example.kinds), 64)):
        cell = pixels[:height, i * width : (i + 1) * width]
        assert (cell[height - 4, width // 2] == color).all() == example.action_mask[i]
    html = page_html(audit_page(mixture, advise(mixture), title="x"))
    assert "what is learned is predicted from underlined tokens" in html
    assert "-&gt; the action that the token above predicts" in html
    assert "100%</" in html  # of the loss falls on actions


def test_advice_speaks_of_the_layout(audited):
    def told(**options):
        return " ".join(one.text for one in advise(audited(**options)))

    short = {"data": {"context_length": 30}}
    assert "raise values_per_token" in told(**short)
    scalar = {"values_per_token": 1, "action_tokens": "sequential", "separator": "token"}
    assert "let numbers share tokens (values_per_token)" in told(**scalar, **short)
    assert "or set pack_windows" in told(data={"context_length": 1000})
    assert "pack_windows" not in told(data={"context_length": 1000, "pack_windows": True})


def test_scaled_numbers_are_decoded_by_their_scale(audited, source, config, text):
    tokenizer = dataclasses.replace(config, values_per_token=4, action_tokens="grouped", separator="mark")
    data = DataConfig(sources=(dataclasses.replace(source, scaling="range"),), context_length=60, max_patches=0)
    example = audit_mixture(data, tokenizer, text, open_source, limits=LIMITS).sources[0].example
    firsts = [
        value.split(" ")[0]
        for field, value in zip(example.fields, example.values, strict=True)
        if field.endswith("a[0..3]")
    ]
    steps = np.diff([float(value) for value in firsts])
    np.testing.assert_allclose(steps, 1, atol=0.03)


def test_a_prepared_source_weighs_what_the_source_itself_weighs(audited, source, text, tmp_path):
    fresh = audited(own_actions="hidden")
    cache = SequenceCache(1 << 20)
    encoded, facts = open_encoded(source, fresh.data, fresh.tokenizer, text, cache, with_returns=False)
    encoding = encoding_of(fresh.data, fresh.tokenizer, text, terminal_observation=False)
    write_prepared(tmp_path / "prepared", encoded, facts, encoding)
    prepared = dataclasses.replace(source, kind="prepared", path=str(tmp_path / "prepared"))
    data = dataclasses.replace(fresh.data, sources=(prepared,))
    (audit,) = audit_mixture(data, fresh.tokenizer, text, open_source, limits=LIMITS).sources
    (own,) = fresh.sources
    assert audit.failure == ""
    assert (audit.rows.tokens, audit.rows.targets) == (own.rows.tokens, own.rows.targets)
    assert (audit.rows.num_tokens, audit.rows.timesteps) == (own.rows.num_tokens, own.rows.timesteps)
