"""Every setting of a run, as frozen dataclasses: one default, one comment and one check each.

A resolved `RunConfig` is written as JSON beside every checkpoint and is enough to rebuild the model.
Sections and appendices named in the comments are those of "A Generalist Agent" (Reed et al., 2022).
"""

import dataclasses
import difflib
import json
import math
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias, TypeVar

from gato.seeds import EVALUATION_SEED

_Config = TypeVar("_Config")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """Sizes of the shared vocabulary and the constants that turn values into tokens.

    The id ranges below are the only id arithmetic of the project: text first, then continuous bins, then
    discrete values, then the separator and padding (section 2.1).
    """

    text_vocab_size: int = 32_000  # SentencePiece pieces (section 2.1)
    num_bins: int = 1024  # equal bins over [-1, 1] for continuous values (section 2.1)
    num_discrete: int = 1024  # largest number of values of one discrete element (section 2.1)
    mu: float = 100.0  # curvature of the mu-law companding of observations (appendix B)
    mu_scale: float = 256.0  # magnitude that mu-law maps to exactly 1 (appendix B, M)
    patch_size: int = 16  # side of a square image patch, pixels (section 2.1)
    patch_position_size: int = 128  # quantised row and column positions of a patch (appendix C.3)
    local_position_size: int = 512  # largest number of observation tokens in one timestep (appendix C.3)
    text_action_tokens: int = 32  # slots of one Text action, end mark included
    paper_literal: bool = False  # discrete ids re-use the text ids [0, num_discrete), as printed in the paper
    # How a timestep becomes tokens. All but the defaults are departures that shorten it.
    values_per_token: int = 1  # most numbers that share a token: neighbouring ones of an observation, or an action's
    pieces_per_token: int = 1  # most text pieces of an observation that share one; they are no targets then
    # "mark": no token of its own, the last token of the observation carries its local position instead.
    separator: Literal["token", "mark"] = "token"
    # "parallel": a token per number, not fed in, so that one pass gives them all (appendix G). "grouped": one token,
    # whose numbers are all predicted at once. "decoded": the same, each number given those before it.
    action_tokens: Literal["sequential", "parallel", "grouped", "decoded"] = "sequential"
    # Of the episode that is played or learned; demonstrations always show theirs. "hidden": they take no token.
    own_actions: Literal["fed", "dropped", "hidden"] = "fed"
    own_action_dropout: float = 0.9  # where they are "dropped": share of actions without a token, in training only

    def __post_init__(self) -> None:
        _require(
            self.text_vocab_size >= 260,
            f"text_vocab_size is {self.text_vocab_size}, needs 260 or more: 256 byte pieces, 3 marks and a space",
        )
        for name in ("num_bins", "num_discrete", "text_action_tokens"):
            _require(getattr(self, name) >= 2, f"{name} is {getattr(self, name)}, needs 2 or more")
        _require(self.values_per_token >= 1, f"values_per_token is {self.values_per_token}, needs 1 or more")
        _require(
            1 <= self.pieces_per_token <= self.values_per_token,
            f"pieces_per_token is {self.pieces_per_token}, needs to lie between 1 and values_per_token, which is "
            f"{self.values_per_token}",
        )
        _require(
            self.values_per_token > 1 or not self.has_action_groups,
            f"action_tokens is {self.action_tokens!r}, but values_per_token is 1: raise it to the most numbers that an "
            "action has, or more",
        )
        _require(
            self.own_actions == "fed" or self.has_action_groups,
            f"own_actions is {self.own_actions!r}, but action_tokens is {self.action_tokens!r}: only an action in one "
            "token, 'grouped' or 'decoded', can be left out",
        )
        _require(
            0 <= self.own_action_dropout <= 1,
            f"own_action_dropout is {self.own_action_dropout}, must lie in [0, 1]",
        )
        _require(
            self.mu > 0 and self.mu_scale > 0, f"mu and mu_scale must be positive, are {self.mu} and {self.mu_scale}"
        )

    @property
    def has_groups(self) -> bool:
        """Returns whether a token may hold several numbers."""
        return self.values_per_token > 1

    @property
    def has_action_groups(self) -> bool:
        """Returns whether an action is one token."""
        return self.action_tokens in ("grouped", "decoded")

    @property
    def continuous_ids(self) -> range:
        return range(self.text_vocab_size, self.text_vocab_size + self.num_bins)

    @property
    def discrete_ids(self) -> range:
        start = 0 if self.paper_literal else self.continuous_ids.stop
        return range(start, start + self.num_discrete)

    @property
    def separator_id(self) -> int:
        return max(self.continuous_ids.stop, self.discrete_ids.stop)

    @property
    def padding_id(self) -> int:
        """Fills the end of a row, and stands where a patch, which has no id, takes a position."""
        return self.separator_id + 1

    @property
    def vocab_size(self) -> int:
        return self.padding_id + 1

    @property
    def action_position(self) -> int:
        """The local position shared by all action tokens (appendix C.3)."""
        return self.local_position_size

    @property
    def separator_position(self) -> int:
        return self.local_position_size + 1

    @property
    def no_position(self) -> int:
        """Local position of tokens outside any timestep (documents) and of padding: adds nothing."""
        return self.local_position_size + 2


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes and variants of the network. The defaults are the paper's 79M model (table 5)."""

    width: int = 768
    num_layers: int = 8
    num_heads: int = 24
    head_dim: int = 32
    # Joint GEGLU width: gate and value take half each (the reading that matches the published totals).
    mlp_width: int = 3072
    rotary_base: float = 10_000.0  # wavelength base of the rotary positions
    stochastic_depth: float = 0.1  # probability of skipping a sub-layer in training (appendix C.1)
    dropout: float = 0.0  # on sub-layer outputs; 0.1 when fine-tuning (appendix E)
    # Per-patch ResNet v2 block (appendix C.2), or a cheap tile-wise one.
    patch_stem: Literal["residual", "tiles"] = "residual"
    patch_channels: int = 32  # hidden channels of the patch stem; a multiple of patch_groups on the residual one
    patch_groups: int = 32  # GroupNorm groups (appendix C.2)
    pixel_offset: float = 127.5  # subtracted from uint8 pixels; 127.5 maps them to [-1, 1] (section 2.1)
    pixel_scale: float = 510.0  # then divides: 127.5 x sqrt(patch size) as in section 2.1
    unit_rms_inputs: bool = False  # departure: everything that enters the residual stream has RMS about 1
    smooth_bins: bool = False  # departure: neighbouring continuous bins start with similar embeddings
    code_width: int = 16  # numbers that stand for one value of a token that holds several
    group_width: int = 256  # hidden values of the layer that joins the codes of a token
    # Of matrix products; softmax, norms and loss stay float32.
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    attention: Literal["xla", "cudnn"] = "xla"  # cudnn needs bfloat16 and an NVIDIA GPU
    attention_block: int = 128  # queries a block on the xla path
    scan_layers: bool = False  # one compiled block under lax.scan instead of unrolled layers
    remat: Literal["none", "dots", "full"] = "none"  # what the backward pass recomputes
    loss_chunk: int = 1024  # target positions whose logits exist at a time

    def __post_init__(self) -> None:
        _require(self.head_dim % 2 == 0, f"head_dim is {self.head_dim}, must be even for rotary positions")
        _require(self.mlp_width % 2 == 0, f"mlp_width is {self.mlp_width}, must be even: gate and value share it")
        _require(0 <= self.stochastic_depth < 1, f"stochastic_depth is {self.stochastic_depth}, must lie in [0, 1)")
        _require(0 <= self.dropout < 1, f"dropout is {self.dropout}, must lie in [0, 1)")
        _require(
            self.attention != "cudnn" or self.compute_dtype == "bfloat16",
            "attention 'cudnn' needs compute_dtype 'bfloat16'",
        )


PromptPart: TypeAlias = Literal["first", "end", "uniform"]


@dataclass(frozen=True, kw_only=True)
class PromptConfig:
    """Demonstrations before an episode: in the rows of a control source (section 2.3), or when acting (section 2.4)."""

    max_tokens: int = 512  # longest prompt; cut at timestep boundaries
    demonstrations: int = 1  # different episodes shown one after another, sharing max_tokens
    # Departure: a demonstration that reaches its end also shows the last observation.
    terminal_observation: bool = False
    # In training only. Shares are probabilities in [0, 1].
    probability: float = 0.25  # share of rows that start with a demonstration
    end_share: float = 0.5  # of those, share taken from the end of the episode; the rest uniformly
    loss: bool = True  # demonstrated actions carry loss like any other
    # When acting only.
    part: PromptPart = "first"  # of a demonstration; "uniform" is a run of timesteps that starts anywhere
    pinned: bool = True  # stays at the front of the context; False lets it leave as the oldest timesteps do

    def __post_init__(self) -> None:
        for name in ("probability", "end_share"):
            value = getattr(self, name)
            _require(0 <= value <= 1, f"prompt.{name} is {value}, must lie in [0, 1]")
        for name in ("max_tokens", "demonstrations"):
            _require(getattr(self, name) >= 1, f"prompt.{name} is {getattr(self, name)}, needs 1 or more")


@dataclass(frozen=True, kw_only=True)
class FieldScale:
    """How the numbers of one continuous leaf map to [-1, 1]: linearly, and clipped beyond low and high."""

    path: str  # of the leaf, such as "observation/state" or "action"
    low: tuple[float, ...]  # of each element, row-major, in the environment's own units; maps to -1
    high: tuple[float, ...]  # maps to 1; equal to low where an element is constant

    def __post_init__(self) -> None:
        sizes = len(self.low), len(self.high)
        _require(
            sizes[0] == sizes[1] > 0, f"scale of {self.path!r}: {sizes[0]} lows and {sizes[1]} highs, needs one each"
        )
        for element, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            _require(
                math.isfinite(low) and math.isfinite(high) and low <= high,
                f"scale of {self.path!r}: element {element} spans {low} to {high}, needs finite numbers in order",
            )


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """One dataset of the mixture."""

    name: str  # unique; metrics are reported under it
    kind: str  # of the formats in `gato.data.sources.formats` or of another package; checked when it is opened
    path: str  # a file or folder that the kind reads
    options: dict[str, Any] = field(default_factory=dict)  # of the kind, JSON values; see docs/data.md
    weight: float = 1.0  # share of rows, relative to the other sources
    held_out: float = 0.02  # share of episodes or documents kept for the held-out loss
    max_epochs: float | None = None  # most times that the run shows its training records, on average; None = no limit
    max_tokens: int | None = None  # most tokens of it that the run shows; None = no limit
    min_return: float | None = None  # keep episodes of this share of the expert's return (section 3.1: 0.8); None = all
    # Which actions of episodes that hold both are learned: those executed, without the random ones; or, a departure, at
    # every timestep the one that an expert advised, which needs sequences that do not show their own actions.
    learned_actions: Literal["executed", "expert"] = "executed"
    bad_records: Literal["stop", "skip"] = "stop"  # what a record that cannot be read or encoded leads to
    prompt: PromptConfig = field(default_factory=PromptConfig)  # control sources only
    start_share: float = 0.0  # departure: share of windows that begin where episodes do, in their first few timesteps
    # Of continuous numbers: the paper's rule; departures: least to largest or 1st to 99th percentile seen.
    scaling: Literal["mu-law", "range", "quantiles"] = "mu-law"
    # Sources of one name here, and the source of that name, share the span of them all, so that a number means the same
    # in each: tasks of one body, or more episodes of one task. Empty: its own span.
    scaled_with: str = ""
    fields: tuple[FieldScale, ...] = ()  # what scaling measured; filled in once, by `gato.data.scaling.with_scales`

    def __post_init__(self) -> None:
        _require(self.name != "", f"a source of {self.path!r} has no name: it is told apart by one")
        _require(self.weight > 0, f"source {self.name!r}: weight is {self.weight}, must be positive")
        _require(0 <= self.held_out < 1, f"source {self.name!r}: held_out is {self.held_out}, must lie in [0, 1)")
        _require(
            0 <= self.start_share <= 1,
            f"source {self.name!r}: start_share is {self.start_share}, must lie in [0, 1]",
        )
        _require(
            self.min_return is None or 0 <= self.min_return <= 1,
            f"source {self.name!r}: min_return is {self.min_return}, must lie in [0, 1]",
        )
        for name in ("max_epochs", "max_tokens"):
            value = getattr(self, name)
            _require(value is None or value > 0, f"source {self.name!r}: {name} is {value}, must be positive")
        _require(
            not self.fields or self.scaling != "mu-law",
            f"source {self.name!r}: fields are given, but scaling is 'mu-law': set scaling, or leave fields out",
        )
        _require(
            not self.scaled_with or self.scaling != "mu-law",
            f"source {self.name!r}: scaled_with is {self.scaled_with!r}, but scaling is 'mu-law', which measures "
            "nothing: set scaling, or leave scaled_with out",
        )
        paths = [scale.path for scale in self.fields]
        _require(len(set(paths)) == len(paths), f"source {self.name!r}: fields must be of different paths, are {paths}")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What is read, and how sequences are laid out in rows."""

    sources: tuple[SourceConfig, ...] = ()
    weight_temperature: float = 1.0  # weights are raised to its inverse: above 1 evens them out
    batch_size: int = 512  # rows a step (section 3), of all processes together
    context_length: int = 1024  # tokens a row (section 3)
    max_patches: int = 1024  # most image patches a row; a window is cut before it needs more
    pairs_per_row: int = 5  # image-text pairs joined in one row (section 2.3)
    isolate_pairs: bool = False  # departure: joined pairs do not see each other; not with attention "cudnn"
    # Departure: what a window leaves of a row is filled with windows of other episodes, or with other documents or
    # dialogues, of the source, and none sees another; not with attention "cudnn".
    pack_windows: bool = False
    # Departure, of packed windows: "log-uniform" draws how many tokens each may take, so that a row holds several short
    # ones and many actions are predicted with little or no past, as an episode begins.
    window_lengths: Literal["full", "log-uniform"] = "full"
    text_observation_loss: bool = True  # text inside observations carries loss
    repeated_action_share: float = 1.0  # departure: share that carries loss of actions that repeat the one before
    question_loss: bool = True  # questions and the other speaker's turns carry loss, as all text does in the paper
    row_loss_exponent: float = 0.0  # departure: a row with n targets weighs n ** -exponent a target

    def __post_init__(self) -> None:
        for source in self.sources:
            group = source.scaled_with
            others = {other.scaling for other in self.sources if group and group in (other.scaled_with, other.name)}
            _require(
                len(others) <= 1,
                f"sources that share the scale {group!r} have the scalings {sorted(others)}: give them one",
            )
        names = [source.name for source in self.sources]
        _require(len(set(names)) == len(names), f"source names must be unique, are {names}")
        _require(self.weight_temperature > 0, f"weight_temperature is {self.weight_temperature}, must be positive")
        _require(
            self.window_lengths == "full" or self.pack_windows,
            f"window_lengths is {self.window_lengths!r}, but pack_windows is off, so that the rest of a row would stay "
            "empty: turn it on",
        )
        share = self.repeated_action_share
        _require(0 <= share <= 1, f"repeated_action_share is {share}, must lie in [0, 1]")

    @property
    def has_isolated_parts(self) -> bool:
        """Returns whether rows may hold parts that do not see each other."""
        return self.isolate_pairs or self.pack_windows

    @property
    def row_weights(self) -> tuple[float, ...]:
        """Shares of rows, one a source, relative to one another."""
        return tuple(source.weight ** (1 / self.weight_temperature) for source in self.sources)


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW with linear warm-up and cosine decay (appendix D), or Muon for matrices and AdamW for the rest."""

    kind: Literal["adamw", "muon"] = "adamw"  # departure: "muon" orthogonalises the momentum of matrices
    peak_lr: float = 1e-4
    warmup_from: float = 1e-7
    warmup_steps: int = 15_000
    decay_steps: int = 1_000_000  # from the end of warm-up to the final rate
    final_fraction: float = 0.1  # final rate as a share of the peak
    b1: float = 0.9
    b2: float = 0.95
    eps: float = 1e-8
    weight_decay: float = 0.1  # on matrices only
    clip_norm: float = 1.0  # global gradient norm; not stated in the paper
    muon_momentum: float = 0.95  # of matrices, Nesterov's (Jordan et al., 2024)
    muon_steps: int = 5  # of the Newton-Schulz iteration that orthogonalises (likewise)
    muon_rms: float = 0.2  # of a matrix's step as a share of the rate, about that of AdamW (Liu et al., 2025)
    # The parts that move; all else stays as it is, to the bit.
    trained: tuple[Literal["embedding", "transformer", "norms"], ...] = ("embedding", "transformer")
    last_layers: int = 0  # of the transformer only its last so many blocks, and the final norm, move; 0 = all of it
    lora_rank: int = 0  # departure: matrices of the blocks move by products of this rank, and nothing else; 0 = off
    lora_alpha: float = 16.0  # the products are scaled by alpha / rank
    lora_matrices: tuple[Literal["qkv", "out", "up", "down"], ...] = ("qkv", "out", "up", "down")  # which of a block's

    def __post_init__(self) -> None:
        _require(self.peak_lr > 0, f"peak_lr is {self.peak_lr}, must be positive")
        _require(
            0 <= self.muon_momentum < 1, f"optimizer.muon_momentum is {self.muon_momentum}, must be at least 0, below 1"
        )
        _require(self.muon_steps >= 1, f"optimizer.muon_steps is {self.muon_steps}, needs 1 or more")
        _require(self.muon_rms > 0, f"optimizer.muon_rms is {self.muon_rms}, must be positive")
        _require(
            self.kind == "adamw" or self.lora_rank == 0,
            f"optimizer.kind is {self.kind!r}, but optimizer.lora_rank is {self.lora_rank}: low-rank products are "
            "trained by AdamW, set optimizer.kind to 'adamw'",
        )
        _require(len(self.trained) > 0, "optimizer.trained is empty: name at least one part that moves")
        for name in ("last_layers", "lora_rank"):
            _require(getattr(self, name) >= 0, f"optimizer.{name} is {getattr(self, name)}, needs 0 or more")
        _require(
            self.last_layers == 0 or "transformer" in self.trained,
            f"optimizer.last_layers is {self.last_layers}, but 'transformer' is not in optimizer.trained: add it",
        )
        _require(
            self.lora_rank == 0 or (self.last_layers == 0 and set(self.trained) == {"embedding", "transformer"}),
            f"optimizer.lora_rank is {self.lora_rank}, which trains low-rank products and nothing else: leave "
            "optimizer.trained and optimizer.last_layers at their defaults",
        )
        _require(
            self.lora_alpha > 0 and len(self.lora_matrices) > 0,
            "optimizer.lora_alpha must be positive, and optimizer.lora_matrices must name a matrix",
        )
        _require(self.warmup_steps >= 0, f"warmup_steps is {self.warmup_steps}, needs 0 or more")
        _require(self.decay_steps >= 1, f"decay_steps is {self.decay_steps}, needs 1 or more")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How long to train, and what to write down when."""

    num_steps: int = 1_000_000
    log_every: int = 50  # steps between lines of metrics
    evaluate_every: int = 5_000  # steps between held-out losses; 0 = never
    checkpoint_every: int = 1_000  # steps between checkpoints; the last step is always saved
    keep_checkpoints: int = 2  # newest ones kept
    keep_every: int = 0  # steps; a checkpoint at a multiple of it is kept for good; 0 = none
    keep_best: str = ""  # metric of an evaluation, as "held_out/loss", whose best step is saved and kept; "" = none
    best_is: Literal["lowest", "highest"] = "lowest"  # which value of that metric is the best
    accumulate: int = 1  # parts that a step's batch is split into, one after another: less memory, same gradient
    max_skipped: int = 20  # skipped steps in a row before training stops
    max_norm_ratio: float | None = None  # a gradient norm so many times the running mean skips its step; None = never
    held_out_batches: int = 8  # batches of one held-out loss
    profile_steps: tuple[int, int] | None = None  # first and last step of a trace in <run>/profile/; None = none

    def __post_init__(self) -> None:
        for name in ("num_steps", "log_every", "checkpoint_every", "keep_checkpoints", "accumulate"):
            _require(getattr(self, name) >= 1, f"training.{name} is {getattr(self, name)}, needs 1 or more")
        _require(
            self.max_norm_ratio is None or self.max_norm_ratio > 1,
            f"training.max_norm_ratio is {self.max_norm_ratio}, must be above 1",
        )
        _require(
            self.profile_steps is None
            or (len(self.profile_steps) == 2 and 1 <= self.profile_steps[0] <= self.profile_steps[1]),
            f"training.profile_steps is {self.profile_steps}, expected the first and the last step, such as [20, 25]",
        )
        _require(
            not self.keep_best or self.evaluate_every > 0,
            f"training.keep_best is {self.keep_best!r}, but training.evaluate_every is 0: nothing would measure it",
        )


@dataclass(frozen=True, kw_only=True)
class ParallelConfig:
    """How the devices of all processes share the work, as a mesh; -1 stands for all that the other two leave."""

    data: int = -1  # groups of devices that each hold everything and take their share of a batch's rows
    fsdp: int = 1  # devices that split the parameters and optimizer state among them, and take a share of the rows
    tensor: int = 1  # devices that split matrices, and with them the arithmetic of a row

    def __post_init__(self) -> None:
        sizes = (self.data, self.fsdp, self.tensor)
        _require(all(size >= 1 or size == -1 for size in sizes), f"parallel sizes are {sizes}, need 1 or more, or -1")
        _require(sizes.count(-1) <= 1, f"parallel sizes are {sizes}, only one of them can be -1")


def check_truncation(top_k: int | None, top_p: float | None) -> None:
    """Checks how a draw is limited to the likeliest ids.

    Raises:
        ValueError: a limit leaves nothing to draw from.
    """
    _require(top_k is None or top_k >= 1, f"top_k is {top_k}, needs 1 or more, or None to draw from all legal ids")
    _require(top_p is None or 0 < top_p <= 1, f"top_p is {top_p}, needs to be in (0, 1], or None to draw from all")


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """How the agent acts."""

    context_length: int = 1024  # cached tokens an environment, prompt included
    prompt: PromptConfig = field(default_factory=PromptConfig)
    temperature: float = 1.0  # of action sampling; 0 takes the most likely legal action
    continuous_temperature: float | None = None  # the same for continuous action tokens; None takes `temperature`
    refresh_every: int = 0  # timesteps after which the whole window is encoded anew, which is exact; 0 = never
    top_k: int | None = None  # departure: draws from this many likeliest legal ids only; None = from all
    top_p: float | None = None  # departure: draws from the fewest likeliest legal ids of this probability; None = all

    def __post_init__(self) -> None:
        check_truncation(self.top_k, self.top_p)
        _require(self.refresh_every >= 0, f"refresh_every is {self.refresh_every}, needs 0 or more")


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """How the agent is measured."""

    episodes: int = 50  # per task (section 4)
    num_envs: int = 20  # episodes that run side by side
    seed: int = EVALUATION_SEED  # of the first episode


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """Few-shot fine-tuning of a checkpoint (section 5, appendix E); read by `gato finetune` alone.

    How often a run is judged is `training.evaluate_every`, by how many episodes `evaluation.episodes`.
    """

    task: str = ""  # the source that is few, and the task that is played; may be empty where there is one source
    episodes: tuple[int, ...] = (1, 3, 5, 10, 100, 1000)  # sizes of its subsets; 0 = all its episodes
    cascades: tuple[int, ...] = (0, 1, 2)  # draws of nested subsets; each is a number of its own
    best_episodes: int = 2000  # subsets are drawn from so many of the highest return
    judged_by: Literal["play", "held_out"] = "play"  # return in the task's environment; departure: held-out loss
    prompt: Literal["none", "right"] = "none"  # before a played episode; "right" shows an expert's, beyond the subset
    smoothing: int = 5  # consecutive evaluations that are averaged
    retest_episodes: int = 50  # departure: the best checkpoint is played anew so often, since a maximum flatters
    scratch: bool = False  # also train each subset from fresh parameters, all of which move
    scratch_lr: float | None = None  # its peak learning rate; None = the optimizer's own

    def __post_init__(self) -> None:
        for name, least in (("episodes", 0), ("cascades", 0)):
            values = getattr(self, name)
            _require(
                len(values) > 0 and min(values) >= least and len(set(values)) == len(values),
                f"finetune.{name} are {values}, expected different numbers of {least} or more",
            )
        for name in ("best_episodes", "smoothing"):
            _require(getattr(self, name) >= 1, f"finetune.{name} is {getattr(self, name)}, needs 1 or more")
        _require(self.retest_episodes >= 0, f"finetune.retest_episodes is {self.retest_episodes}, needs 0 or more")
        _require(
            self.scratch_lr is None or self.scratch_lr > 0,
            f"finetune.scratch_lr is {self.scratch_lr}, must be positive",
        )


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One run, complete."""

    name: str = "gato"
    seed: int = 0
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    parallel: ParallelConfig = field(default_factory=ParallelConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)

    def __post_init__(self) -> None:
        _require(
            self.tokenizer.pieces_per_token == 1 or not self.data.text_observation_loss,
            f"tokenizer.pieces_per_token is {self.tokenizer.pieces_per_token}, but only a piece in a token of its own "
            "can be a target: set data.text_observation_loss to false",
        )
        for source in self.data.sources:
            _require(
                source.learned_actions == "executed" or self.tokenizer.own_actions == "hidden",
                f"source {source.name!r}: learned_actions is 'expert', but tokenizer.own_actions is "
                f"{self.tokenizer.own_actions!r}, so that rows would show actions that nobody executed: set it to "
                "'hidden'",
            )

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        return _from_plain(cls, json.loads(text), "config")

    def override(self, assignments: Sequence[str]) -> Self:
        """A copy with fields replaced, each given as "section.field=value" with the value in JSON or as a bare word.

        Raises:
            ValueError, TypeError: unknown field (the nearest known one is named) or a value of the wrong type.
        """
        plain = dataclasses.asdict(self)
        for assignment in assignments:
            path, equals, value = assignment.partition("=")
            if not equals:
                raise ValueError(f"override {assignment!r} has no '=', expected section.field=value")
            *sections, name = path.split(".")
            target = plain
            for section in sections:
                if not isinstance(target.get(section), dict):
                    raise ValueError(f"override {assignment!r}: no section {section!r}, known are {sorted(target)}")
                target = target[section]
            try:
                target[name] = json.loads(value)
            except json.JSONDecodeError:
                target[name] = value
        return _from_plain(type(self), plain, "config")

    def with_sources(self, entries: list[dict[str, Any]]) -> Self:
        """A copy whose data sources are these plain objects, checked like a saved config."""
        sources = tuple(_from_plain(SourceConfig, entry, f"sources[{i}]") for i, entry in enumerate(entries))
        return dataclasses.replace(self, data=dataclasses.replace(self.data, sources=sources))

    def save(self, path: Path) -> None:
        path.write_text(self.to_json())

    @classmethod
    def load(cls, path: Path) -> Self:
        return cls.from_json(path.read_text())


# Fields of PolicyConfig in configs that were saved before it had a `prompt`: their names in that record.
_FORMER_PROMPT_FIELDS = {
    "prompt_tokens": "max_tokens",
    "prompt_part": "part",
    "terminal_observation": "terminal_observation",
}


def _from_plain(kind: type[_Config], value: Any, where: str) -> _Config:
    """Rebuilds a config dataclass from JSON values; refuses unknown keys and wrong types."""
    if not isinstance(value, dict):
        raise TypeError(f"{where} is {value!r}, expected an object with the fields of {kind.__name__}")
    if kind is RunConfig:
        value = _moved_parallel_actions(value)
    if kind is PolicyConfig and (former := value.keys() & _FORMER_PROMPT_FIELDS.keys()):
        kept = {name: item for name, item in value.items() if name not in former}
        moved = {_FORMER_PROMPT_FIELDS[name]: value[name] for name in sorted(former)}
        value = {**kept, "prompt": {**kept.get("prompt", {}), **moved}}
    hints = typing.get_type_hints(kind)
    for key in value:
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1)
            hint = f", did you mean {near[0]!r}?" if near else f", known are {sorted(hints)}"
            raise ValueError(f"{where} has no field {key!r}{hint}")
    return kind(**{key: _field_value(hints[key], item, f"{where}.{key}") for key, item in value.items()})


def _moved_parallel_actions(config: dict[str, Any]) -> dict[str, Any]:
    """Returns the JSON values of a run with the former `model.parallel_actions` as the tokenizer's `action_tokens`."""
    model = config.get("model")
    if not isinstance(model, dict) or "parallel_actions" not in model:
        return config
    kept = {name: item for name, item in model.items() if name != "parallel_actions"}
    tokenizer = config.get("tokenizer", {})
    if model["parallel_actions"] is True:
        tokenizer = {**tokenizer, "action_tokens": "parallel"}
    return {**config, "model": kept, "tokenizer": tokenizer}


def read_saved(kind: type[_Config], value: Any, where: str) -> _Config:
    """Rebuilds a record from JSON values that hold each of its fields.

    Raises:
        ValueError: fields are missing or unknown, of wrong types, or contradict each other.
    """
    names = {each.name for each in dataclasses.fields(typing.cast(Any, kind))}
    if not isinstance(value, dict) or set(value) != names:
        found = sorted(value) if isinstance(value, dict) else type(value).__name__
        raise ValueError(f"{where} has {found}, expected exactly the fields {sorted(names)}")
    try:
        return _from_plain(kind, value, where)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error


def _field_value(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _from_plain(typing.cast(type, hint), value, where)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise TypeError(f"{where} is {value!r}, expected a list")
        return tuple(_field_value(args[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise TypeError(f"{where} is {value!r}, expected an object")
        return value
    if origin is Literal:
        if value not in args:
            raise ValueError(f"{where} is {value!r}, expected one of {list(args)}")
        return value
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _field_value(args[0], value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise TypeError(f"{where} is {value!r}, expected {hint.__name__}")
    return value
