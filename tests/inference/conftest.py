"""Small agents with random weights, sharpened so that a wrong position or a missing token changes what they do."""

import jax
import pytest

from gato.config import ModelConfig, PolicyConfig, PromptConfig, TokenizerConfig
from gato.inference.agent import Agent
from gato.model.gato import init_parameters
from gato.tokenizer.text import TextTokenizer

TEXTS = ["go to the red ball", "pick up the grey key", "open the door on your left", "put the box next to the door"]


@pytest.fixture(scope="session")
def text():
    return TextTokenizer.train(TEXTS, 280)


@pytest.fixture(scope="session")
def make_agent(text):
    def make(num_layers=1, *, dtype="float32", layout=None, **policy):
        """The layout holds settings of the tokenizer."""
        tokenizer = TokenizerConfig(text_vocab_size=text.vocab_size, num_bins=32, num_discrete=16, **(layout or {}))
        model = ModelConfig(
            width=32,
            num_layers=num_layers,
            num_heads=2,
            head_dim=16,
            mlp_width=64,
            patch_stem="tiles",
            patch_channels=8,
            unit_rms_inputs=True,
            compute_dtype=dtype,
            code_width=8,
            group_width=32,
        )
        params = jax.jit(init_parameters, static_argnums=(0, 1))(model, tokenizer, jax.random.key(num_layers))
        attention = params["transformer"]["blocks"]["attention"]
        attention["qkv"]["kernel"] = 2 * attention["qkv"]["kernel"]
        attention["out"]["kernel"] = 3 * attention["out"]["kernel"]
        params["transformer"]["final_norm"]["scale"] = 3 * params["transformer"]["final_norm"]["scale"]
        settings = PolicyConfig(**{"context_length": 60, "prompt": PromptConfig(max_tokens=24), **policy})
        return Agent(model=model, tokenizer=tokenizer, policy=settings, params=params, text=text)

    return make
