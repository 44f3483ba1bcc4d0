"""Gato: embedding, Transformer and tied head in one module, and its parameters as plain dicts for hot calls.

A jitted function takes the dict of parameters and rebuilds the module inside, which costs time at tracing only:

    @jax.jit
    def hidden(params, batch):
        return rebuild(config.model, config.tokenizer, params)(batch)
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from gato.batch import Batch
from gato.config import ModelConfig, TokenizerConfig
from gato.model.cache import Cache, Chunk
from gato.model.embedding import Embedding, logits_of
from gato.model.transformer import Transformer

jax.tree_util.register_dataclass(Batch, data_fields=[field.name for field in dataclasses.fields(Batch)], meta_fields=[])

Parameters = dict[str, Any]  # nested dicts of arrays, keyed by attribute names


class Gato(nnx.Module):
    """The network of "A Generalist Agent" (Reed et al., 2022), section 2.2 and appendix C."""

    def __init__(self, config: ModelConfig, tokenizer: TokenizerConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.embedding = Embedding(config, tokenizer, rngs=rngs)
        self.transformer = Transformer(config, rngs=rngs)

    def __call__(
        self, batch: Batch, *, key: jax.Array | None = None, rows: jax.sharding.Sharding | None = None
    ) -> jax.Array:
        """Returns hidden_BLD after the final norm; the hidden vector at l predicts the token at l + 1.

        Args:
            batch: rows padded on the right; padding influences nothing before it.
            key: training: draws patch positions, stochastic depth and dropout. None: evaluation, deterministic.
            rows: the devices that hold the rows; None = one, or wherever the compiler puts them.
        """
        patch_key, block_key = (None, None) if key is None else jax.random.split(key)
        x_BLD = self.embedding(batch, key=patch_key)
        return self.transformer(x_BLD, block_key, visible_from_BL=batch.visible_from, rows=rows)

    def logits(self, hidden_XD: jax.Array, rows: slice = slice(None)) -> jax.Array:
        """Returns float32 scores of the next token, for hidden vectors of any leading shape.

        Args:
            hidden_XD: what the model returned, (..., D).
            rows: ids to score; a slice with constant bounds spares the rest of the table.
        """
        return logits_of(hidden_XD, self.embedding.tokens[rows])

    def action_queries(self, hidden_XD: jax.Array, num_values: int, values_XJ: jax.Array | None = None) -> jax.Array:
        """Returns what the table's rows are multiplied with to score the first numbers of an action, (..., A, D).

        Args:
            hidden_XD: of the tokens that predict an action of one token, (..., D).
            num_values: A.
            values_XJ: the numbers themselves, (..., J); needed where each is predicted given those before it.
        """
        places_A = jnp.arange(num_values)
        previous_XAC = None
        if self.tokenizer.action_tokens == "decoded":
            assert values_XJ is not None
            is_before_AJ = jnp.arange(values_XJ.shape[-1])[None] < places_A[:, None]
            is_before_XAJ = is_before_AJ.reshape(*[1] * (values_XJ.ndim - 1), *is_before_AJ.shape)
            known_XAJ = jnp.where(is_before_XAJ, values_XJ[..., None, :], self.tokenizer.padding_id)
            previous_XAC = self.embedding.groups.joined_codes(known_XAJ)
        features_X1D = self.embedding.action_head.features(hidden_XD)[..., None, :]
        return self.embedding.action_head.queries(features_X1D, places_A, previous_XAC)

    def init_cache(self, batch_size: int, num_slots: int) -> Cache:
        """Makes an empty cache for `extend`."""
        return Cache.empty(self.config, batch_size, num_slots)

    def extend(self, chunk: Chunk, cache: Cache, query_indices_BA: jax.Array | None = None) -> tuple[jax.Array, Cache]:
        """Returns hidden_BCD of the chunk, and the cache with the chunk written to it.

        Evaluation only: patches take their mean positions. A jitted caller should donate the cache, which is then
        updated in place. Hidden vectors at padding are finite and mean nothing.

        Args:
            chunk: the next tokens.
            cache: what came before.
            query_indices_BA: int32, indices in the chunk of the queried tokens of each row: returns their hidden_BAD,
                which spares most of the last layer.
        """
        return self.transformer.extend(self.embedding(chunk), chunk, cache, query_indices_BA)


def parameters(model: Gato) -> Parameters:
    """Returns the parameters as nested plain dicts of arrays; those of the blocks have a leading layer axis."""
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


def init_parameters(config: ModelConfig, tokenizer: TokenizerConfig, key: jax.Array) -> Parameters:
    """Returns fresh parameters; may be jitted, with the two configs static."""
    return parameters(Gato(config, tokenizer, rngs=nnx.Rngs(params=key)))


def rebuild(config: ModelConfig, tokenizer: TokenizerConfig, params: Parameters) -> Gato:
    """Rebuilds the module that holds the given parameters.

    Raises:
        ValueError: names, shapes or dtypes are not those of the config.
    """
    graphdef, state = _abstract(config, tokenizer)
    expected = _described(nnx.to_pure_dict(state))
    given = _described(params)
    if given != expected:
        wrong = sorted(name for name in expected.keys() | given.keys() if expected.get(name) != given.get(name))
        name = wrong[0]
        raise ValueError(
            f"parameter {name!r} is {given.get(name, 'absent')}, expected {expected.get(name, 'none of this name')} "
            f"({len(wrong)} of {len(expected)} differ): use the config that the parameters were made with"
        )
    state = jax.tree.unflatten(jax.tree.structure(state), jax.tree.leaves(params))
    return nnx.merge(graphdef, state)


def unembedding(params: Parameters, config: ModelConfig, token_ids: slice) -> jax.Array:
    """Returns the rows of the tied head that score some ids, in the compute dtype."""
    return jnp.asarray(params["embedding"]["tokens"][token_ids], jnp.dtype(config.compute_dtype))


def split_blocks(params: Parameters) -> tuple[Parameters, Parameters]:
    """Returns the blocks' parameters, stacked over layers, and all others: the inverse of `join_blocks`."""
    others = {name: part for name, part in params["transformer"].items() if name != "blocks"}
    return params["transformer"]["blocks"], {**params, "transformer": others}


def join_blocks(blocks: Parameters, others: Parameters) -> Parameters:
    """Returns all parameters, out of those of the blocks, stacked over layers, and the others."""
    return {**others, "transformer": {**others["transformer"], "blocks": blocks}}


def matrix_mask(params: Parameters) -> Parameters:
    """Returns True at matrices and tables, False at norm gains and biases, whatever axes stacking has added."""
    return jax.tree.map_with_path(lambda path, _: path[-1].key not in ("scale", "bias"), params)


def muon_mask(params: Parameters) -> Parameters:
    """Returns True at the matrices of linear layers, but for the patch stem's: what Muon moves."""

    def is_matrix(path: tuple[Any, ...], leaf: jax.Array) -> bool:
        names = [entry.key for entry in path]
        num_stacked = "blocks" in names  # the layer axis
        return names[-1] == "kernel" and names[:2] != ["embedding", "stem"] and leaf.ndim - num_stacked == 2

    return jax.tree.map_with_path(is_matrix, params)


@functools.lru_cache
def _abstract(config: ModelConfig, tokenizer: TokenizerConfig) -> tuple[nnx.GraphDef, nnx.State]:
    return nnx.split(nnx.eval_shape(lambda: Gato(config, tokenizer, rngs=nnx.Rngs(0))))


def _described(params: Parameters) -> dict[str, str]:
    leaves = jax.tree.leaves_with_path(params)
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): f"{leaf.dtype}{list(leaf.shape)}"
        for path, leaf in leaves
    }
