"""Tokens of several numbers, and the loss of actions of one token, against the plain forms of both."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gato.model.gato import rebuild
from gato.model.groups import GroupStem, wave_codes
from gato.model.loss import loss

NUM_VALUES = 4
WIDTH = 32


@pytest.fixture(scope="module", params=["grouped", "decoded"])
def layout(request, tokenizer):
    return dataclasses.replace(tokenizer, values_per_token=NUM_VALUES, action_tokens=request.param)


@pytest.fixture(scope="module")
def grouped_batch(tokenizer, random_batch):
    """Three rows: of bins, of discrete values of two sizes, and of text, with actions of 3, 2 and 4 numbers."""
    rng = np.random.default_rng(5)
    batch = random_batch(num_rows=3, length=16)
    bins, discrete = tokenizer.continuous_ids, tokenizer.discrete_ids
    ranges = np.zeros((3, NUM_VALUES, 2), np.int32)
    ranges[0, :3] = bins.start, bins.stop
    ranges[1, 0], ranges[1, 1] = (discrete.start, discrete.start + 3), (discrete.start, discrete.start + 8)
    ranges[2] = 0, tokenizer.text_vocab_size
    values = np.full((3, 16, NUM_VALUES), tokenizer.padding_id, np.int32)
    for row in range(3):
        for place in range(NUM_VALUES):
            if ranges[row, place, 1]:
                values[row, :, place] = rng.integers(*ranges[row, place], size=16)
    seen = rng.integers(tokenizer.padding_id + 1, size=(3, 16, NUM_VALUES)).astype(np.int32)
    mask = rng.random((3, 16)) < 0.4
    return dataclasses.replace(
        batch,
        values=seen,
        action_values=np.where(mask[..., None], values, tokenizer.padding_id),
        action_mask=mask,
        action_ranges=ranges,
    )


def plain_numbers(model, hidden, batch):
    """Of each number of each action that carries loss: its row, its loss among its legal ids, and whether it leads."""
    found = []
    for row, place in np.argwhere(batch.action_mask):
        values = jnp.asarray(batch.action_values[row, place])
        queries = model.action_queries(hidden[row, place], NUM_VALUES, values)
        for index, (low, high) in enumerate(batch.action_ranges[row].tolist()):
            if high:
                scores = model.logits(queries[index], slice(low, high))
                own = int(batch.action_values[row, place, index]) - low
                nll = jax.nn.logsumexp(scores) - scores[own]
                found.append((row, nll, scores.argmax() == own, bool(batch.changed_mask[row, place])))
    return found


def plain(model, hidden, batch, with_text):
    """The weighed mean over numbers and, where asked for, the tokens that carry loss."""
    weighed = [(batch.row_weights[row], nll) for row, nll, *_ in plain_numbers(model, hidden, batch)]
    if with_text:
        log_probs = jax.nn.log_softmax(model.logits(hidden[:, :-1]), axis=-1)
        for row, place in np.argwhere(batch.loss_mask[:, 1:]):
            weighed.append((batch.row_weights[row], -log_probs[row, place, batch.tokens[row, place + 1]]))
    return sum(weight * nll for weight, nll in weighed) / sum(weight for weight, _ in weighed)


@pytest.mark.parametrize("with_text", [False, True])
def test_loss_and_gradients_of_numbers_equal_the_plain_ones(layout, model_config, init, grouped_batch, with_text):
    config = model_config(loss_chunk=8, code_width=6, group_width=16)
    params = init(config, layout, jax.random.key(0))
    batch = grouped_batch
    if not with_text:
        batch = dataclasses.replace(batch, loss_mask=np.zeros_like(batch.loss_mask))
    hidden = jax.random.normal(jax.random.key(1), (3, 16, WIDTH))

    def chunked(params, hidden):
        return loss(rebuild(config, layout, params), hidden, batch, 2)[0]

    def expected(params, hidden):
        return plain(rebuild(config, layout, params), hidden, batch, with_text)

    value, gradients = jax.jit(jax.value_and_grad(chunked, argnums=(0, 1)))(params, hidden)
    reference, expected_gradients = jax.jit(jax.value_and_grad(expected, argnums=(0, 1)))(params, hidden)
    np.testing.assert_allclose(value, reference, rtol=1e-5)
    for actual, wanted in zip(jax.tree.leaves(gradients), jax.tree.leaves(expected_gradients), strict=True):
        np.testing.assert_allclose(actual, wanted, atol=2e-6)
    assert jnp.abs(gradients[0]["embedding"]["action_head"]["places"]).max() > 1e-3


def test_sums_count_each_number(layout, model_config, init, grouped_batch):
    config = model_config(code_width=6, group_width=16)
    model = rebuild(config, layout, init(config, layout, jax.random.key(0)))
    hidden = jax.random.normal(jax.random.key(1), (3, 16, WIDTH))
    numbers_only = dataclasses.replace(grouped_batch, loss_mask=np.zeros_like(grouped_batch.loss_mask))
    _, sums = loss(model, hidden, numbers_only, 2)
    numbers = plain_numbers(model, hidden, grouped_batch)
    for source in range(2):
        own = [number for number in numbers if grouped_batch.source_ids[number[0]] == source]
        np.testing.assert_allclose(sums.loss_sum[source, 1], sum(float(number[1]) for number in own), rtol=1e-5)
        changed = [number for number in own if number[3]]
        counts = len(own), sum(bool(number[2]) for number in own), len(changed), sum(bool(n[2]) for n in changed)
        found = sums.count, sums.correct, sums.changed_count, sums.changed_correct
        assert tuple(int(total[source, 1]) for total in found) == counts


def test_row_groups_change_nothing(layout, model_config, init, grouped_batch):
    config = model_config(loss_chunk=8, code_width=6, group_width=16)
    model = rebuild(config, layout, init(config, layout, jax.random.key(0)))
    hidden = jax.random.normal(jax.random.key(1), (3, 16, WIDTH))
    whole, apart = (loss(model, hidden, grouped_batch, 2, num_row_groups=groups) for groups in (1, 3))
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(apart), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_only_decoded_numbers_depend_on_those_before_them(layout, model_config, init, tokenizer):
    config = model_config(code_width=6, group_width=16)
    model = rebuild(config, layout, init(config, layout, jax.random.key(0)))
    hidden = jax.random.normal(jax.random.key(2), (WIDTH,))
    bins = tokenizer.continuous_ids
    one, other = (
        jnp.array([bins.start + 1, bins.start + changed, bins.start + 2, bins.start + 3]) for changed in (4, 9)
    )
    before, after = (model.action_queries(hidden, NUM_VALUES, values) for values in (one, other))
    same = np.asarray(jnp.isclose(before, after).all(axis=-1))
    assert same.tolist() == ([True] * 4 if layout.action_tokens == "grouped" else [True, True, False, False])


def test_a_token_is_embedded_by_its_own_numbers_wherever_it_stands(layout, model_config, build):
    stem = build(GroupStem, model_config(code_width=6, group_width=16), layout)
    values = np.random.default_rng(0).integers(layout.padding_id + 1, size=(2, 9, NUM_VALUES)).astype(np.int32)
    values[0, 3] = layout.padding_id
    x = np.asarray(stem(values))
    order = np.random.default_rng(1).permutation(9)
    np.testing.assert_allclose(np.asarray(stem(values[:, order])), x[:, order], atol=1e-6)
    assert (x[0, 3] == 0).all()


def test_one_number_and_many_make_vectors_of_one_size(layout, model_config, build):
    stem = build(GroupStem, model_config(width=64, code_width=16, group_width=128), layout)
    values = np.random.default_rng(0).integers(layout.padding_id, size=(1, 400, NUM_VALUES)).astype(np.int32)
    alone = values.copy()
    alone[..., 1:] = layout.padding_id
    sizes = [float(np.sqrt(np.square(stem(numbers)).mean())) for numbers in (values, alone)]
    np.testing.assert_allclose(sizes, 1, atol=0.35)


def test_codes_of_neighbouring_bins_are_alike_and_all_differ():
    codes = np.asarray(wave_codes(1024, 16))
    distances = np.linalg.norm(codes[:, None] - codes[None], axis=-1)
    near, far = np.diagonal(distances, 1), distances[np.abs(np.subtract.outer(range(1024), range(1024))) > 100]
    assert near.max() < far.min()
    assert near.min() > 1e-3
    np.testing.assert_allclose(np.sqrt(np.square(codes).mean()), 1, atol=0.15)
