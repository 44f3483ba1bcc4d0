"""The audit: what is planted in data is found, measured and told, and what cannot be read stops nothing else."""

import dataclasses
import json
import re
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Text
from hypothesis import given
from hypothesis import strategies as st

from gato.audit.actions import ActionTable, audit_action, nearest
from gato.audit.advice import Advice, advise, group, name_sources
from gato.audit.control import audit_control
from gato.audit.duplicates import content_hash, count_duplicates, near_texts, near_vectors, overlap, text_sketch
from gato.audit.example import row_text
from gato.audit.fields import audit_fields, effective_bins
from gato.audit.mixture import MixtureAudit, References, SourceAudit, audit_mixture, plain
from gato.audit.rows import PADDING, TOKEN_KINDS, loss_shares, token_kinds
from gato.audit.sample import AuditContext, AuditLimits, read_records, sample_records, summarize
from gato.audit.text import audit_language
from gato.config import DataConfig, FieldScale, PromptConfig, SourceConfig, TokenizerConfig
from gato.data.encoded import SequenceCache, encoding_of
from gato.data.episode import Dialogue, Document, Episode, ImageText
from gato.data.opened import open_encoded
from gato.data.prepared import write_prepared
from gato.data.sources.minari_writer import write_minari
from gato.data.sources.opening import open_source
from gato.data.split import split_records
from gato.tokenizer.rules import action_leaf, observation_leaf

RECORDED = Path(__file__).parents[3] / "shared" / "data" / "minari"  # beside the repository, where there is one
LIMITS = AuditLimits(rows=8)
OBSERVATION_SPACE = Box(-np.inf, np.inf, (3,), np.float32)
ACTION_SPACE = Discrete(2)


class Episodes:
    """Episodes in a list, as a source."""

    name = "toy"

    def __init__(self, episodes, observation_space=OBSERVATION_SPACE, action_space=ACTION_SPACE, groups=None):
        self.observation_space, self.action_space, self._episodes = observation_space, action_space, episodes
        self.groups = np.zeros(len(episodes), np.int64) if groups is None else np.asarray(groups)

    def __len__(self):
        return len(self._episodes)

    def __getitem__(self, index):
        if isinstance(self._episodes[index], str):
            raise ValueError(f"toy: episode {index}: {self._episodes[index]}")
        return self._episodes[index]


def make_episode(seed, length=20, *, actions=None, **more):
    """The action is whether the first number is positive; the second never changes, the third hardly."""
    rng = np.random.default_rng(seed)
    observations = rng.normal(size=(length + 1, 3)).astype(np.float32)
    observations[:, 1] = 3
    observations[:, 2] = 100 + observations[:, 2] / 10
    if actions is None:
        actions = (observations[:length, 0] > 0).astype(np.int64)
    rewards = np.full(length, 0.5)
    return Episode(
        observations=observations, actions=actions, rewards=rewards, terminated=True, truncated=False, **more
    )


def data_of(*sources, **sizes):
    return DataConfig(sources=sources, **{"context_length": 50, "max_patches": 8, "batch_size": 2, **sizes})


def toy_source(**more):
    return SourceConfig(name="toy", kind="minari", path="", **{"held_out": 0.25, **more})


def control(source, config, text=None, data=None, limits=LIMITS):
    data = data or data_of(toy_source())
    context = AuditContext(data=data, source_id=0, tokenizer=config, text=text, limits=limits)
    return audit_control(source, context)


@pytest.fixture(scope="module")
def toy(config):
    return control(Episodes([make_episode(seed, 20) for seed in range(30)]), config)


def test_episodes_returns_and_windows_are_counted(toy):
    assert (toy.num_episodes, toy.num_sampled, toy.lengths.mean, toy.returns.mean) == (30, 30, 20, 10)
    assert toy.tokens == {"continuous observations": 3.0, "separators": 1.0, "discrete actions": 1.0}
    assert toy.window_timesteps.median == 10  # 50 tokens a row, 5 a timestep
    assert toy.window_share == 0.5
    assert toy.terminated_share == 1
    assert toy.problems == ()


def test_an_action_that_the_observation_decides_is_predictable_and_repeats_by_chance(toy):
    (action,) = toy.actions
    assert action.neighbour_score > 0.9
    assert action.neighbour_changed_score > 0.9
    assert action.constant_score == pytest.approx(0.5, abs=0.1)
    assert action.repeat_share == pytest.approx(0.5, abs=0.1)
    assert sum(count for _, count in action.counts) == 600
    assert [name for name, _ in action.counts] == ["0", "1"]


def test_a_constant_and_a_squeezed_field_are_told_from_a_good_one(toy):
    good, constant, squeezed = toy.fields
    assert constant.name == "observation[1]"
    assert (constant.bins_used, constant.effective_bins, constant.std) == (1, 1, 0)
    assert squeezed.effective_bins < 5
    assert min(squeezed.effective_bins_range, squeezed.effective_bins_quantiles) > 50
    assert good.effective_bins > 50
    assert squeezed.effective_bins_mu_law == squeezed.effective_bins


def test_copied_episodes_are_found_and_held_out_ones_among_them_leak(config):
    held_out = split_records(20, 0.25, held_out=True)
    episodes = [make_episode(seed) for seed in range(20)]
    trained = int(split_records(20, 0.25, held_out=False)[0])
    episodes[held_out[0]] = episodes[trained]
    close = episodes[held_out[1]]
    episodes[int(split_records(20, 0.25, held_out=False)[1])] = dataclasses.replace(
        close, observations=close.observations + np.float32(1e-4)
    )
    found = control(Episodes(episodes), config).duplicates
    assert (found.num_records, found.num_held_out, found.complete) == (20, 5, True)
    assert (found.num_exact, found.num_near) == (1, 1)
    assert (found.num_leaked_exact, found.num_leaked_near) == (1, 1)
    assert {frozenset(pair) for pair in found.pairs} >= {frozenset((trained, int(held_out[0])))}


def test_episodes_that_cannot_be_read_or_encoded_are_told_and_the_others_measured(config):
    broken = make_episode(1)
    broken.observations[3, 0] = np.nan
    audit = control(Episodes([make_episode(0), broken, "damaged", make_episode(2)]), config)
    assert audit.num_sampled == 3
    assert audit.num_problems == 2
    told = "\n".join(audit.problems)
    assert "episode 2: damaged" in told
    assert "episode 1: observation is nan at timestep 3" in told
    assert audit.fields[0].num_non_finite == 1


def test_a_source_without_a_readable_episode_is_an_error_that_says_why(config):
    with pytest.raises(ValueError, match=r"toy: none of 1 episodes can be read: toy: episode 0: damaged"):
        control(Episodes(["damaged"]), config)


def test_a_large_source_is_sampled_and_says_so(config):
    limits = AuditLimits(episodes=12, timesteps=50)
    audit = control(Episodes([make_episode(seed) for seed in range(40)]), config, limits=limits)
    assert (audit.num_episodes, audit.num_sampled, audit.duplicates.complete) == (40, 12, False)
    assert audit.duplicates.num_held_out == 3
    assert audit.actions[0].num_timesteps <= 50


def test_text_pictures_and_groups_of_one_are_measured(text, config):
    space = Dict({"mission": Text(20), "view": Box(0, 255, (8, 8, 3), np.uint8)})
    episodes = []
    for seed in range(6):
        view = np.random.default_rng(seed).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
        view[:, :4] = 7
        observations = {"mission": [f"go to ball {seed}"] * 5, "view": view}
        episodes.append(dataclasses.replace(make_episode(seed, 5), observations=observations))
    audit = control(Episodes(episodes, space, groups=[0, 0, 0, 0, 0, 1]), config, text)
    assert audit.constant_pixels == 0.5
    assert audit.tokens["patches"] == 4
    assert audit.tokens["text"] > 1
    assert (audit.num_groups, audit.num_alone) == (2, 1)
    assert audit.fields == ()


def test_continuous_actions_are_scored_by_variance_explained(config):
    def episode(seed):
        made = make_episode(seed)
        return dataclasses.replace(made, actions=np.tanh(made.observations[:20, :1]))

    audit = control(Episodes([episode(s) for s in range(20)], action_space=Box(-1, 1, (1,), np.float32)), config)
    (action,) = audit.actions
    assert action.kind == "continuous"
    assert action.neighbour_score > 0.9
    assert action.repeat_score < 0
    assert len(action.counts) == 20
    assert audit.fields[-1].name == "action"


@given(values=st.lists(st.integers(0, 1023), min_size=1, max_size=200))
def test_effective_bins_lie_between_one_and_those_used(values):
    assert 1 - 1e-9 <= effective_bins(np.array(values)) <= len(set(values)) + 1e-6


def test_effective_bins_of_an_even_use_are_the_bins_used():
    assert effective_bins(np.repeat(np.arange(8), 5)) == pytest.approx(8)


def test_bins_are_counted_under_each_scaling(config):
    """Around 100, mu-law has a bin a unit and a half; two far values leave the range coarse, but not the quantiles."""
    values = np.append(np.linspace(99, 101, 1022), [-1e5, 1e5]).astype(np.float32)[:, None]
    leaf = observation_leaf("observation", Box(-np.inf, np.inf, (1,), np.float32), config, None, None)
    (field,) = audit_fields(leaf, values, np.zeros(1, np.int64), config)
    assert field.effective_bins == field.effective_bins_mu_law < 4
    assert field.effective_bins_range < 2.1
    assert field.effective_bins_quantiles > 900
    scaled = leaf.rescaled(FieldScale(path="observation", low=(99,), high=(101,)))
    (again,) = audit_fields(scaled, values, np.zeros(1, np.int64), config)
    assert again.effective_bins > 900
    assert again.effective_bins_mu_law == field.effective_bins_mu_law


def test_a_scaled_source_is_measured_before_it_is_audited(config, tmp_path):
    episodes = [make_episode(seed) for seed in range(30)]
    write_minari(tmp_path / "toy", episodes, OBSERVATION_SPACE, ACTION_SPACE, dataset_id="test/toy-v0")
    source = dataclasses.replace(toy_source(scaling="quantiles"), path=str(tmp_path / "toy"))
    audited = audit_mixture(data_of(source), config, None, open_source, limits=LIMITS).sources[0]
    assert audited.failure == ""
    assert [scale.path for scale in audited.source.fields] == ["observation"]
    _, constant, squeezed = audited.control.fields
    assert squeezed.effective_bins == pytest.approx(squeezed.effective_bins_quantiles, rel=0.1)
    assert squeezed.effective_bins > 50 > 5 > squeezed.effective_bins_mu_law
    assert (constant.effective_bins, constant.low) == (1, 3)


def test_saturated_values_stand_in_the_outer_bins():
    config = TokenizerConfig()
    leaf = observation_leaf("observation", Box(-np.inf, np.inf, (1,), np.float64), config, None, None)
    values = np.array([[1000.0], [-1000.0], [0.0], [1.0]])
    (field,) = audit_fields(leaf, values, np.zeros(1, np.int64), config)
    assert (field.outer_share, field.low, field.high) == (0.5, -1000, 1000)
    bang = action_leaf("action", Box(-1, 1, (1,), np.float32), config, None)
    (field,) = audit_fields(bang, np.array([[1], [-1], [1]], np.float32), np.zeros(1, np.int64), config)
    assert field.outer_share == 1


def test_neighbours_are_of_other_episodes():
    features = np.repeat(np.arange(4, dtype=np.float32), 10)[:, None]
    episodes = np.repeat(np.arange(4), 10)
    queries, neighbours = nearest(features, episodes, np.random.default_rng(0))
    assert len(queries) == 40
    assert (episodes[queries][:, None] != episodes[neighbours]).all()
    assert (np.abs(features[queries] - features[neighbours][..., 0]) == 1).all()


def test_a_single_episode_has_no_neighbours():
    queries, neighbours = nearest(np.zeros((5, 1), np.float32), np.zeros(5, int), np.random.default_rng(0))
    table = ActionTable(path="action", kind="discrete", tokens=np.zeros((5, 1), int), previous=np.zeros((5, 1), int))
    action = audit_action(table, np.arange(5) > 0, queries, neighbours, 1024)
    assert action.neighbour_score is None
    assert action.repeat_share == 1


def test_a_sample_holds_held_out_records_and_is_the_same_every_time():
    held_out = split_records(1000, 0.1, held_out=True)
    drawn = sample_records(1000, held_out, 40, 3)
    assert len(set(drawn.tolist())) == 40
    assert np.isin(drawn, held_out).sum() == 10
    assert drawn.tolist() == sample_records(1000, held_out, 40, 3).tolist()
    assert sorted(sample_records(7, held_out[:0], 40, 3).tolist()) == list(range(7))


def test_reading_stops_at_a_number_of_bytes(listed):
    source = listed("texts", [Document(text="x" * 100)] * 10)
    assert len(list(read_records(source, range(10), 250, []))) == 3


@pytest.mark.parametrize("error", [ValueError, OSError])
def test_a_record_that_cannot_be_read_is_a_problem_of_the_audit(listed, error):
    class Torn(listed):
        def __getitem__(self, index):
            if index == 1:
                raise error("texts: record 1 is torn")
            return super().__getitem__(index)

    problems = []
    source = Torn("texts", [Document(text="a ball")] * 3)
    assert [index for index, _ in read_records(source, range(3), 1 << 20, problems)] == [0, 2]
    assert problems == ["texts: record 1 is torn"]


@pytest.mark.parametrize("name", ["episodes", "rows", "size_bytes"])
def test_limits_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"limit {name} is 0, needs 1 or more"):
        AuditLimits(**{name: 0})


def test_nothing_cannot_be_summarized():
    with pytest.raises(ValueError, match="no values to summarize"):
        summarize([])


def test_hashes_tell_values_dtypes_and_places_apart():
    a = np.arange(6)
    trees = [a, a.astype(np.int32), a.reshape(2, 3), {"x": a}, (a,), ["a", "b"], ["ab"], a[::-1]]
    assert len({content_hash(tree) for tree in trees}) == len(trees)
    assert content_hash({"x": a, "y": a}) == content_hash({"x": a.copy(), "y": a.copy()})


PROSE = "the quick brown fox jumps over a lazy dog near the old stone bridge while rain falls on every green roof"


def test_a_text_with_a_word_changed_is_near_and_another_is_not():
    rng = np.random.default_rng(0)
    long = " ".join(rng.choice(PROSE.split(), 400))
    changed = long.replace("fox", "cat", 1)
    other = " ".join(rng.choice(PROSE.split(), 400))
    sketches = [text_sketch(text) for text in (long, other, changed.upper())]
    assert near_texts(sketches) == [(2, 0)]
    assert overlap(sketches[0], sketches[0]) == 1


@given(text=st.text(max_size=60))
def test_a_text_overlaps_itself_whole(text):
    assert near_texts([text_sketch(text), text_sketch(text)]) == [(1, 0)]


def test_near_vectors_ignore_constant_entries_and_heed_lengths():
    prints = np.array([[0.0, 5.0], [0.001, 5.0], [1.0, 5.0], [0.0, 5.0]])
    scales = np.array([1.0, 0.0])
    assert near_vectors(prints, scales, np.array([100, 98, 100, 50])) == [(1, 0)]
    assert near_vectors(prints, np.zeros(2), np.ones(4)) == []


def test_an_equal_pair_is_not_counted_as_near_too():
    found = count_duplicates(np.arange(3), [b"a", b"a", b"b"], [(1, 0), (2, 0)], np.array([0]), complete=True)
    assert (found.num_exact, found.num_near, found.num_leaked_exact, found.num_leaked_near) == (1, 1, 1, 0)


def test_kinds_come_from_ids_and_positions():
    config = TokenizerConfig()
    continuous, discrete = config.continuous_ids.start, config.discrete_ids.start
    tokens = np.array([5, continuous, discrete, config.separator_id, discrete, continuous, 7, config.padding_id])
    positions = np.array([0, 1, 2, config.separator_position, *[config.action_position] * 3, config.no_position])
    patches = np.zeros(8, bool)
    kinds = token_kinds(tokens, positions, patches, config, control=True, discrete_first=False)
    assert [TOKEN_KINDS[kind] for kind in kinds[:-1]] == [
        "text",
        "continuous observations",
        "discrete observations",
        "separators",
        "discrete actions",
        "continuous actions",
        "text actions",
    ]
    assert kinds[-1] == PADDING


def test_ids_shared_with_text_are_told_apart_by_what_the_source_holds():
    config = TokenizerConfig(paper_literal=True)
    tokens, positions = np.array([5, 5]), np.array([0, config.action_position])
    for discrete_first, expected in ((True, "discrete"), (False, "text")):
        kinds = token_kinds(tokens, positions, np.zeros(2, bool), config, control=True, discrete_first=discrete_first)
        assert TOKEN_KINDS[kinds[1]] == f"{expected} actions"


def test_loss_shares_follow_weights_and_add_up():
    class Rows:
        def __init__(self, **loss_weight):
            self.loss_weight = loss_weight

    shares = loss_shares([Rows(text=3.0), None, Rows(a=1.0, b=2.0)], [1.0, 5.0, 3.0])
    assert shares == [{"text": 0.25}, {}, {"a": 0.25, "b": 0.5}]


def language(source, text, config, held_out=0.25, limits=LIMITS, kind="text"):
    data = data_of(SourceConfig(name="words", kind=kind, path="", held_out=held_out))
    context = AuditContext(data=data, source_id=0, tokenizer=config, text=text, limits=limits)
    return audit_language(source, context)


def test_documents_are_counted_and_repeated_ones_found(listed, text, config):
    said = "go to the red ball now please"
    words = [said, "open the door", said, "GO to the red, ball now please"]
    audit = language(listed("words", [Document(text=word) for word in words]), text, config)
    assert (audit.num_records, audit.duplicates.num_exact, audit.duplicates.num_near) == (4, 1, 1)
    assert audit.characters.high == 30
    assert audit.tokens.mean > 3
    assert audit.cut_share == 0
    assert audit.pictures is None
    assert audit.answers is None


def test_answers_are_weighed_against_always_the_same_and_against_the_question_alone(listed, text, config):
    rng = np.random.default_rng(0)

    def about(question, answer):
        image = rng.integers(0, 256, (4, 8, 3), dtype=np.uint8)
        return Dialogue(image=image, turns=(("user", question), ("agent", answer)))

    records = [about("What colour?", answer) for answer in ("red", "red", "red", "blue")]
    records += [about("How many?", "one") for _ in range(4)]
    audit = language(listed("words", records), text, config, kind="questions")
    assert audit.answers.num_distinct == 3
    assert audit.answers.common[0] == ("one", 4)
    assert audit.answers.majority_share == 0.5
    assert audit.answers.blind_share == 7 / 8
    assert audit.pictures.sizes == (("4 x 8", 8),)
    assert audit.pictures.patches.mean == 2
    assert audit.turns.mean == 2


def test_equal_pictures_are_found_and_leak(listed, text, config):
    images = np.random.default_rng(0).integers(0, 256, (8, 4, 4), dtype=np.uint8)
    held_out, trained = split_records(8, 0.25, held_out=True), split_records(8, 0.25, held_out=False)
    images[held_out[0]] = images[trained[0]]
    records = [ImageText(image=image, text=f"ball {i}") for i, image in enumerate(images)]
    audit = language(listed("words", records), text, config, kind="captions")
    assert (audit.pictures.num_equal, audit.pictures.num_leaked) == (1, 1)
    assert audit.duplicates.num_exact == 0  # their captions differ
    assert audit.answers.blind_share is None


@pytest.fixture(scope="module")
def mixture(tmp_path_factory, text, config):
    """Two sources on disk, one that is not there, one whose fields are hard to read."""
    folder = tmp_path_factory.mktemp("sources")
    episodes = [make_episode(seed, 12) for seed in range(10)]
    write_minari(folder / "toy", [*episodes, episodes[0]], OBSERVATION_SPACE, ACTION_SPACE, dataset_id="toy/toy-v0")
    lines = [{"text": f"the ball is {i} steps from the door and the key is red. " * 4} for i in range(20)]
    (folder / "text.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    prompt = PromptConfig(probability=0.5, max_tokens=20)
    sources = (
        SourceConfig(name="toy", kind="minari", path=str(folder / "toy"), weight=3.0, prompt=prompt),
        SourceConfig(name="words", kind="text", path=str(folder / "text.jsonl"), weight=1.0),
        SourceConfig(name="gone", kind="minari", path=str(folder / "gone")),
    )
    references = {"toy": References(random=0.0, expert=30.0)}
    return audit_mixture(data_of(*sources), config, text, open_source, limits=LIMITS, references=references)


def test_a_mixture_reports_every_source_and_goes_on_after_a_failure(mixture):
    toy, words, gone = mixture.sources
    assert [audit.row_share for audit in mixture.sources] == [0.6, 0.2, 0.2]
    assert toy.control.num_episodes == 11
    assert words.language.num_records == 20
    assert "holds no Minari dataset" in gone.failure
    assert gone.loss_shares == {}
    assert toy.loss_share + words.loss_share == pytest.approx(1)
    # Ten actions a full row against about fifty words, at three times the weight.
    assert toy.loss_shares["discrete actions"] == pytest.approx(3 * 10 / (3 * 10 + 50), abs=0.1)


def test_an_example_names_its_fields_and_decodes_their_values(mixture):
    example = mixture.sources[0].example
    assert len(example.values) == len(example.kinds) == 50
    assert set(example.fields) == {"observation[0]", "observation[1]", "observation[2]", "", "action"}
    constant = [value for value, name in zip(example.values, example.fields, strict=True) if name == "observation[1]"]
    assert all(abs(float(value) - 3) < 0.05 for value in constant)
    assert example.timesteps.tolist() == np.repeat(np.arange(10), 5).tolist()
    for first, name, action in zip(example.values, example.fields, example.values[4:], strict=False):
        if name == "observation[0]" and abs(float(first)) > 0.01:
            assert action == str(int(float(first) > 0))
    lines = row_text(example).splitlines()
    assert len(lines) == 50
    assert [line for line in lines if "*" in line] == [line for line in lines if "action" in line]


def test_a_text_example_is_told_in_runs(mixture):
    told = row_text(mixture.sources[1].example)
    assert "ball is" in told.replace("\\n", "\n")
    assert len(told.splitlines()) <= 3


def test_the_audit_is_json_and_leaves_rows_out(mixture):
    content = json.loads(json.dumps(plain(mixture), allow_nan=False))
    toy = content["sources"][0]
    assert toy["control"]["lengths"]["mean"] == 12
    assert "example" not in toy
    assert "examples" not in toy["rows"]
    assert plain(float("nan")) is None


def test_each_planted_fault_gives_its_advice(mixture):
    advice = advise(mixture)
    by_verb = {(one.source, one.verb): one for one in advice}
    assert advice[0].source == "gone"
    assert advice[0].verb == "repair"
    assert any("1 of 11 records compared equal" in one.text and one.verb == "drop" for one in advice)
    assert any("observation[1]" in one.text and one.verb == "drop" for one in advice)
    assert "observation[2]" in by_verb["toy", "re-scale"].text
    assert re.search(r"scaling '(quantiles|range)' of its source would use \d+, '", by_verb["toy", "re-scale"].text)
    assert any("0.20 of the way from random" in one.text for one in advice)
    assert any("only 11 episodes" in one.text for one in advice)
    assert all(one.rule for one in advice)


def test_data_without_fault_gets_no_advice_on_its_fields(config):
    source = SourceConfig(name="toy", kind="minari", path="", held_out=0.25)
    space = Box(-np.inf, np.inf, (1,), np.float32)
    episodes = [
        dataclasses.replace(made, observations=made.observations[:, :1]) for made in map(make_episode, range(40))
    ]
    audit = control(Episodes(episodes, space), config)
    measured = SourceAudit(source=source, row_share=1.0, control=audit)
    assert advise(MixtureAudit(sources=(measured,), data=data_of(source), tokenizer=config, limits=LIMITS)) == []


def test_a_mixture_without_sources_is_refused(config):
    with pytest.raises(ValueError, match="no sources"):
        audit_mixture(DataConfig(), config, None, open_source, limits=LIMITS)


def test_row_shares_follow_the_temperature_of_the_weights(mixture, text, config):
    data = dataclasses.replace(mixture.data, sources=mixture.data.sources[:2], weight_temperature=2.0)
    audit = audit_mixture(data, config, text, open_source, limits=AuditLimits(rows=1))
    assert audit.sources[0].row_share == pytest.approx(3**0.5 / (3**0.5 + 1))


def test_a_prepared_source_weighs_what_the_source_itself_weighs(mixture, text, config, tmp_path):
    source = mixture.data.sources[0]
    cache = SequenceCache(1 << 20)
    encoded, facts = open_encoded(source, mixture.data, config, text, cache, with_returns=False)
    encoding = encoding_of(mixture.data, config, text, terminal_observation=False)
    write_prepared(tmp_path / "prepared", encoded, facts, encoding)
    prepared = dataclasses.replace(source, kind="prepared", path=str(tmp_path / "prepared"))
    data = dataclasses.replace(mixture.data, sources=(prepared,))
    (audit,) = audit_mixture(data, config, text, open_source, limits=LIMITS).sources
    assert (audit.failure, audit.control) == ("", None)
    assert audit.rows.loss_weight == mixture.sources[0].rows.loss_weight


def test_twins_stand_on_one_side_of_the_split(listed, text, config):
    class Twins(listed):
        twins = tuple(f"scene {i // 2}" for i in range(40))

    images = np.repeat(np.random.default_rng(0).integers(0, 256, (20, 4, 4), dtype=np.uint8), 2, axis=0)
    records = [ImageText(image=image, text=f"ball {i}") for i, image in enumerate(images)]
    for kind, expected in ((Twins, False), (listed, True)):
        audit = language(kind("words", records), text, config, kind="captions")
        assert audit.pictures.num_equal == 20
        assert bool(audit.pictures.num_leaked) is expected


def test_text_without_a_tokenizer_is_told(mixture, config):
    alone = dataclasses.replace(mixture.data, sources=mixture.data.sources[1:2])
    audit = audit_mixture(alone, config, None, open_source, limits=LIMITS)
    assert "no text tokenizer was given" in audit.sources[0].failure


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded datasets are not here")
@pytest.mark.parametrize("name", ["classic/cartpole-expert-v0", "babyai/gotolocal-expert-v0"])
def test_recorded_data_can_be_audited(name, text, config):
    config = dataclasses.replace(config, patch_size=16)
    source = SourceConfig(name="recorded", kind="minari", path=str(RECORDED / name))
    limits = AuditLimits(episodes=10, rows=2)
    audit = audit_mixture(DataConfig(sources=(source,)), config, text, open_source, limits=limits).sources[0]
    assert audit.failure == ""
    assert audit.control.num_sampled == 10
    assert audit.loss_share == pytest.approx(1)
    assert isinstance(open_source(source).observation_space, gym.Space)


def test_discrete_numbers_that_never_change_are_counted_and_told(config):
    rng = np.random.default_rng(0)

    def episode(seed, length):
        side = seed % 2 * 2  # fixed in an episode, but not in the source
        fixed = np.tile([2, 1, side, 2 - side], (length, 1))
        observations = np.concatenate([rng.integers(0, 3, (length, 1)), fixed], axis=1)
        return dataclasses.replace(make_episode(seed, length), observations=observations)

    audit = control(Episodes([episode(seed, 20) for seed in range(20)], MultiDiscrete([3] * 5)), config)
    assert audit.constant_discrete == (2, 5)
    measured = SourceAudit(source=toy_source(), row_share=1.0, control=audit)
    advice = advise(MixtureAudit(sources=(measured,), data=data_of(toy_source()), tokenizer=config, limits=LIMITS))
    assert any("2 of 5 observed discrete numbers never change" in one.text for one in advice)


def test_epochs_count_how_often_a_run_shows_the_records(mixture, text, config):
    data = dataclasses.replace(mixture.data, sources=mixture.data.sources[1:2])
    (words,) = audit_mixture(data, config, text, open_source, limits=LIMITS, num_rows=300).sources
    # Rows of running text are full, so every one shows 50 tokens.
    assert words.rows.tokens["text"] == pytest.approx(50, rel=0.02)
    assert words.epochs == pytest.approx(300 * 50 / words.rows.num_tokens, rel=0.02)
    assert words.rows.num_tokens / words.rows.num_records == pytest.approx(words.language.tokens.mean, rel=0.1)
    assert words.epochs < 16
    assert not any("epochs" in one.rule for one in advise(dataclasses.replace(mixture, sources=(words,))))
    often = dataclasses.replace(words, epochs=17.0)
    assert any("17 times" in one.text for one in advise(dataclasses.replace(mixture, sources=(often,))))
    assert mixture.sources[0].epochs is None


def test_budgets_hold_in_the_shares_that_are_told(mixture, text, config):
    toy, words, _ = mixture.data.sources
    limited = dataclasses.replace(words, max_tokens=1000)
    data = dataclasses.replace(mixture.data, sources=(toy, limited))
    audits = audit_mixture(data, config, text, open_source, limits=LIMITS, num_rows=400).sources
    # 1,000 tokens are twenty rows of fifty: a twentieth of the run instead of the quarter that its weight asks for.
    assert audits[1].row_share == pytest.approx(0.05, rel=0.03)
    assert sum(audit.row_share for audit in audits) == pytest.approx(1)
    with pytest.raises(ValueError, match="the budgets of all sources are used up"):
        audit_mixture(
            dataclasses.replace(data, sources=(limited,)), config, text, open_source, limits=LIMITS, num_rows=400
        )


def test_advice_of_one_rule_stands_together_in_the_order_of_what_there_is_to_do():
    def one(source, verb, rule):
        return Advice(source=source, verb=verb, text=f"about {source}", rule=rule)

    advice = [one("a", "set", "x"), one("b", "drop", "y"), one("b", "set", "x"), one("c", "repair", "z")]
    assert [[each.source for each in same] for same in group(advice)] == [["c"], ["b"], ["a", "b"]]
    assert name_sources([one(str(i), "set", "x") for i in range(10)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 2 more"


def test_an_example_of_a_scaled_source_is_decoded_by_its_scale(mixture, text, config):
    toy = dataclasses.replace(mixture.data.sources[0], scaling="range")
    data = dataclasses.replace(mixture.data, sources=(toy,))
    (audit,) = audit_mixture(data, config, text, open_source, limits=LIMITS).sources
    assert audit.failure == ""
    third = [
        float(value)
        for value, name in zip(audit.example.values, audit.example.fields, strict=True)
        if name == "observation[2]"
    ]
    assert min(third) > 99  # that token lies around 100
    assert np.std(third) == pytest.approx(0.1, rel=0.5)
