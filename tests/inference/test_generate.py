import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gato.inference.chunks import ChunkRow, assemble
from gato.inference.generate import Generator
from gato.inference.kv_cache_window import KVCacheWindow
from gato.inference.sampling import Sampling, draw_keys, gumbel_noise
from gato.model.gato import rebuild
from gato.tokenizer.language import caption_prompt, dialogue_prompt, document_prompt

DRAWN = Sampling(temperature=1.0)
PICTURES = [np.random.default_rng(i).integers(0, 256, (16, 16 + 16 * (i % 2), 3), np.uint8) for i in range(3)]


@pytest.fixture
def agent(make_agent):
    """Speaks in learned pieces rather than bytes, and ends some texts soon."""
    agent = make_agent(2)
    tokens = agent.params["embedding"]["tokens"]
    rows = np.ones((len(tokens), 1), np.float32)
    rows[:259] = 0.1
    rows[agent.text.end_id] = 5
    embedding = {**agent.params["embedding"], "tokens": tokens * rows}
    return dataclasses.replace(agent, params={**agent.params, "embedding": embedding})


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def next_scores(model_config, tokenizer_config, vocab_size, params, chunk, last):
    model = rebuild(model_config, tokenizer_config, params)
    hidden, _ = model.extend(chunk, model.init_cache(1, 60))
    return model.logits(hidden[0, last], slice(0, vocab_size))


def uncached_texts(agent, prompts, max_tokens, temperature=0.0, seed=0):
    """The same texts by one pass a token, each over all that stands there so far."""
    vocab_size, texts = agent.text.vocab_size, []
    for index, prompt in enumerate(prompts):
        keys = draw_keys(jnp.array([seed], jnp.uint32), jnp.array([index]), max_tokens)
        noise = np.asarray(gumbel_noise(keys, vocab_size))[:, 0] * (temperature > 0)
        counts = prompt.local_positions[-1] != agent.tokenizer.no_position
        whole = prompt
        while (count := len(whole) - len(prompt)) < max_tokens:
            window = KVCacheWindow(60)
            window.begin_timestep(len(whole))
            row = ChunkRow(sequence=whole, position=0, window=window)
            chunk = assemble([row], agent.tokenizer, size=60, num_patches=4)
            scores = next_scores(agent.model, agent.tokenizer, vocab_size, agent.params, chunk, len(whole) - 1)
            scores = np.array(scores) / (temperature or 1) + noise[count]
            scores[agent.text.start_id] = -np.inf
            if (token := scores.argmax()) == agent.text.end_id:
                break
            whole = dataclasses.replace(
                whole,
                tokens=np.append(whole.tokens, token),
                local_positions=np.append(whole.local_positions, whole.local_positions[-1] + counts),
            )
        texts.append(agent.text.decode(whole.tokens[len(prompt) :]))
    return texts


@pytest.fixture
def prompts(agent):
    """Two documents, a dialogue, three pictures to describe and two questions."""
    text, config = agent.text, agent.tokenizer
    return [
        *(document_prompt(words, text, config) for words in ("go to", "pick up the")),
        dialogue_prompt([("user", "go left")], text, config),
        *(caption_prompt(picture, config) for picture in PICTURES),
        *(dialogue_prompt([("user", "red?")], text, config, image=picture) for picture in PICTURES[:2]),
    ]


def test_texts_are_those_of_uncached_passes(agent, prompts):
    texts = Generator(agent).generate(prompts, max_tokens=8, sampling=DRAWN, seed=4)
    assert texts == uncached_texts(agent, prompts, max_tokens=8, temperature=1.0, seed=4)
    assert len(set(texts)) == len(prompts)
    assert "" in texts or min(map(len, texts)) <= 4, "no text has ended by itself"


def test_each_method_takes_the_most_likely_text_after_its_own_prefix(agent, prompts):
    generator, expected = Generator(agent), uncached_texts(agent, prompts, max_tokens=8)
    texts = [
        generator.continue_document("go to", max_tokens=8),
        generator.continue_document("pick up the", max_tokens=8),
        generator.reply([("user", "go left")], max_tokens=8),
        *generator.captions(PICTURES, max_tokens=8),
        *generator.answers([(picture, "red?") for picture in PICTURES[:2]], max_tokens=8),
    ]
    assert texts == expected


def test_texts_depend_on_their_index_and_seed_but_not_on_the_batch(agent):
    documents = [document_prompt(text, agent.text, agent.tokenizer) for text in ("go", "pick up the", "open", "go")]
    together = Generator(agent).generate(documents, max_tokens=8, sampling=DRAWN, seed=3)
    assert Generator(agent, batch_size=1).generate(documents, max_tokens=8, sampling=DRAWN, seed=3) == together
    assert together[0] != together[3]
    assert Generator(agent).generate(documents, max_tokens=8, sampling=DRAWN, seed=4) != together


def test_texts_of_the_likeliest_token_alone_are_the_greedy_ones(agent, prompts):
    generator, expected = Generator(agent), uncached_texts(agent, prompts[:3], max_tokens=8)
    likeliest = Sampling(temperature=9.0, top_k=1)
    assert generator.generate(prompts[:3], max_tokens=8, sampling=likeliest, seed=1) == expected


def test_what_does_not_fit_is_refused_with_the_sizes(agent):
    generator = Generator(agent)
    prompts = [document_prompt(text, agent.text, agent.tokenizer) for text in ("a", "go to the red ball" * 4)]
    with pytest.raises(ValueError, match=r"prompt 1 has \d+ tokens and may be followed by 50 tokens, .*length is 60"):
        generator.generate(prompts, max_tokens=50)
    small = dataclasses.replace(agent.tokenizer, local_position_size=8)
    with pytest.raises(ValueError, match=r"ends at local position 0 .* local_position_size is 8"):
        Generator(dataclasses.replace(agent, tokenizer=small)).captions(PICTURES[:1], max_tokens=8)
    with pytest.raises(ValueError, match="max_tokens is 0"):
        generator.generate([], max_tokens=0)
    with pytest.raises(ValueError, match="no text tokenizer"):
        Generator(dataclasses.replace(agent, text=None))
    with pytest.raises(ValueError, match="batch_size is 0"):
        Generator(agent, batch_size=0)
    assert generator.generate([], max_tokens=3) == []
