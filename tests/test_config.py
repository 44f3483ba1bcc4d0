import dataclasses
import json

import pytest

from gato.config import (
    DataConfig,
    FieldScale,
    ModelConfig,
    OptimizerConfig,
    PolicyConfig,
    PromptConfig,
    RunConfig,
    SourceConfig,
    TokenizerConfig,
)

MIXED = RunConfig(
    name="mixed",
    seed=5,
    tokenizer=TokenizerConfig(text_vocab_size=2000, mu=50.0),
    model=ModelConfig(attention="cudnn", compute_dtype="bfloat16", remat="dots"),
    data=DataConfig(
        sources=(
            SourceConfig(name="play", kind="minari", path="a", prompt=PromptConfig(probability=0.5, demonstrations=3)),
            SourceConfig(name="read", kind="text", path="b", weight=2.5),
            SourceConfig(
                name="lift",
                kind="minari",
                path="c",
                scaling="quantiles",
                fields=(FieldScale(path="action", low=(-0.1, 1 / 3), high=(1e-300, 2**53 + 0.0)),),
            ),
        )
    ),
)


def test_json_round_trip_keeps_every_field_and_type():
    again = RunConfig.from_json(MIXED.to_json())
    assert again == MIXED
    assert isinstance(again.data.sources, tuple)
    assert again.data.sources[0].prompt.demonstrations == 3
    assert isinstance(again.data.sources[2].fields[0], FieldScale)


def test_file_round_trip(tmp_path):
    MIXED.save(tmp_path / "config.json")
    assert RunConfig.load(tmp_path / "config.json") == MIXED


def test_absent_fields_take_their_defaults():
    assert RunConfig.from_json('{"seed": 4}') == RunConfig(seed=4)


def test_defaults_are_the_papers():
    config = RunConfig()
    tokenizer, model, optimizer, data = config.tokenizer, config.model, config.optimizer, config.data
    assert (tokenizer.text_vocab_size, tokenizer.num_bins, tokenizer.num_discrete) == (32_000, 1024, 1024)
    assert (tokenizer.mu, tokenizer.mu_scale, tokenizer.patch_size) == (100, 256, 16)
    assert (tokenizer.patch_position_size, tokenizer.local_position_size) == (128, 512)
    assert (model.width, model.num_layers, model.num_heads, model.head_dim) == (768, 8, 24, 32)
    assert model.num_heads * model.head_dim == model.width
    assert (optimizer.b1, optimizer.b2, optimizer.eps, optimizer.weight_decay) == (0.9, 0.95, 1e-8, 0.1)
    assert (optimizer.warmup_from, optimizer.peak_lr, optimizer.final_fraction) == (1e-7, 1e-4, 0.1)
    assert (optimizer.warmup_steps, optimizer.decay_steps) == (15_000, 1_000_000)
    assert (config.training.num_steps, data.batch_size, data.context_length) == (1_000_000, 512, 1024)
    assert (PromptConfig().probability, PromptConfig().end_share) == (0.25, 0.5)


def test_id_ranges_follow_each_other_without_gap_or_overlap():
    tokenizer = TokenizerConfig()
    assert tokenizer.text_vocab_size == 32_000
    assert tokenizer.continuous_ids == range(32_000, 33_024)
    assert tokenizer.discrete_ids == range(33_024, 34_048)
    assert (tokenizer.separator_id, tokenizer.padding_id, tokenizer.vocab_size) == (34_048, 34_049, 34_050)
    assert (tokenizer.action_position, tokenizer.separator_position, tokenizer.no_position) == (512, 513, 514)


def test_paper_literal_discrete_ids_reuse_text_ids():
    tokenizer = TokenizerConfig(paper_literal=True)
    assert tokenizer.discrete_ids == range(1024)
    assert (tokenizer.separator_id, tokenizer.vocab_size) == (33_024, 33_026)


@pytest.mark.parametrize(
    "plain, error, message",
    [
        ({"sede": 1}, ValueError, r"config has no field 'sede', did you mean 'seed'\?"),
        ({"model": {"widht": 8}}, ValueError, r"config.model has no field 'widht', did you mean 'width'\?"),
        ({"model": {"qqqq": 8}}, ValueError, r"config.model has no field 'qqqq', known are \["),
        ({"seed": "one"}, TypeError, "config.seed is 'one', expected int"),
        ({"seed": 1.5}, TypeError, "config.seed is 1.5, expected int"),
        ({"seed": True}, TypeError, "config.seed is True, expected int"),
        ({"tokenizer": {"paper_literal": 1}}, TypeError, "paper_literal is 1, expected bool"),
        ({"model": 3}, TypeError, "config.model is 3, expected an object with the fields of ModelConfig"),
        ({"model": {"remat": "some"}}, ValueError, r"config.model.remat is 'some', expected one of \['none', 'dots'"),
        ({"data": {"sources": {}}}, TypeError, "config.data.sources is {}, expected a list"),
        (
            {"data": {"sources": [{"name": "a", "kind": "text", "path": "p", "prompt": {"loss": "no"}}]}},
            TypeError,
            r"config.data.sources\[0\].prompt.loss is 'no', expected bool",
        ),
        ({"data": {"sources": [{"name": "a", "kind": 3, "path": "p"}]}}, TypeError, "kind is 3, expected str"),
        (
            {
                "data": {
                    "sources": [{"name": "a", "kind": "text", "path": "p", "fields": [{"path": "x", "low": [True]}]}]
                }
            },
            TypeError,
            r"config.data.sources\[0\].fields\[0\].low\[0\] is True, expected float",
        ),
    ],
)
def test_wrong_json_is_refused_with_the_place(plain, error, message):
    with pytest.raises(error, match=message):
        RunConfig.from_json(json.dumps(plain))


def test_whole_numbers_are_good_floats():
    config = RunConfig.from_json('{"optimizer": {"peak_lr": 1}}')
    assert config.optimizer.peak_lr == 1.0
    assert type(config.optimizer.peak_lr) is float


def test_overrides_replace_fields_and_keep_the_rest():
    config = MIXED.override(["seed=9", "optimizer.peak_lr=3e-4", "model.remat=full", "name=other"])
    assert (config.seed, config.optimizer.peak_lr, config.model.remat, config.name) == (9, 3e-4, "full", "other")
    assert config.data == MIXED.data


@pytest.mark.parametrize(
    "assignment, message",
    [
        ("seed", "has no '='"),
        ("modle.width=8", "no section 'modle', known are"),
        ("model.widht=8", "did you mean 'width'"),
        ("model.width=wide", "expected int"),
    ],
)
def test_wrong_overrides_are_refused(assignment, message):
    with pytest.raises((ValueError, TypeError), match=message):
        RunConfig().override([assignment])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: TokenizerConfig(text_vocab_size=10), "text_vocab_size is 10"),
        (lambda: TokenizerConfig(num_bins=1), "num_bins is 1"),
        (lambda: TokenizerConfig(mu=0), "mu and mu_scale must be positive"),
        (lambda: ModelConfig(head_dim=7), "head_dim is 7"),
        (lambda: ModelConfig(mlp_width=7), "mlp_width is 7"),
        (lambda: ModelConfig(dropout=1.0), "dropout is 1.0"),
        (lambda: ModelConfig(stochastic_depth=-0.1), "stochastic_depth is -0.1"),
        (lambda: ModelConfig(attention="cudnn"), "needs compute_dtype 'bfloat16'"),
        (lambda: PromptConfig(probability=1.5), "prompt.probability is 1.5"),
        (lambda: PromptConfig(demonstrations=0), "demonstrations is 0"),
        (lambda: PolicyConfig(top_k=0), "top_k is 0, needs 1 or more"),
        (lambda: PolicyConfig(top_p=1.5), r"top_p is 1.5, needs to be in \(0, 1\]"),
        (lambda: SourceConfig(name="a", kind="text", path="p", weight=0), "'a': weight is 0"),
        (lambda: SourceConfig(name="a", kind="text", path="p", held_out=1), "'a': held_out is 1"),
        (lambda: SourceConfig(name="", kind="text", path="p"), "a source of 'p' has no name"),
        (
            lambda: dataclasses.replace(MIXED.data.sources[2], scaling="mu-law"),
            "'lift': fields are given, but scaling is 'mu-law'",
        ),
        (
            lambda: dataclasses.replace(MIXED.data.sources[2], fields=MIXED.data.sources[2].fields * 2),
            "'lift': fields must be of different paths",
        ),
        (lambda: FieldScale(path="x", low=(0.0,), high=()), "scale of 'x': 1 lows and 0 highs"),
        (lambda: FieldScale(path="x", low=(0, 2), high=(1, 1)), "scale of 'x': element 1 spans 2 to 1"),
        (lambda: FieldScale(path="x", low=(0,), high=(float("inf"),)), "element 0 spans 0 to inf"),
        (lambda: DataConfig(sources=(MIXED.data.sources[0],) * 2), "source names must be unique"),
    ],
)
def test_impossible_values_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_configs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        OptimizerConfig().peak_lr = 1.0


def test_a_config_of_before_the_policy_had_a_prompt_is_read():
    saved = json.loads(RunConfig().to_json())
    del saved["policy"]["prompt"]
    saved["policy"] |= {"prompt_tokens": 64, "prompt_part": "end", "terminal_observation": True}
    prompt = RunConfig.from_json(json.dumps(saved)).policy.prompt
    assert prompt == PromptConfig(max_tokens=64, part="end", terminal_observation=True)


def test_former_names_of_the_prompt_change_only_what_they_name():
    run = RunConfig().override(["policy.prompt.pinned=false", "policy.prompt_tokens=64"])
    assert run.policy.prompt == PromptConfig(max_tokens=64, pinned=False)


def test_advised_actions_need_sequences_without_executed_ones():
    data = DataConfig(sources=(SourceConfig(name="arm", kind="minari", path="arm", learned_actions="expert"),))
    with pytest.raises(
        ValueError, match=r"source 'arm': learned_actions is 'expert', but tokenizer\.own_actions is 'fed'"
    ):
        RunConfig(data=data)
    hidden = TokenizerConfig(values_per_token=8, action_tokens="grouped", own_actions="hidden")
    assert RunConfig(data=data, tokenizer=hidden).data == data


def test_pieces_that_share_tokens_are_no_targets():
    shared = TokenizerConfig(values_per_token=8, pieces_per_token=8)
    with pytest.raises(ValueError, match=r"pieces_per_token is 8, .* set data\.text_observation_loss to false"):
        RunConfig(tokenizer=shared)
    RunConfig(tokenizer=shared, data=DataConfig(text_observation_loss=False))


def test_log_uniform_windows_need_packed_rows():
    with pytest.raises(ValueError, match="window_lengths is 'log-uniform', but pack_windows is off"):
        DataConfig(window_lengths="log-uniform")
