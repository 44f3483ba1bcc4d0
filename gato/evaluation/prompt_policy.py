"""Which prompt stands before an episode of an evaluation."""

from collections.abc import Sequence

from gato.config import PromptConfig
from gato.evaluation.plan import Demonstrations
from gato.seeds import Stream, stream
from gato.tokenizer.demonstration import join_demonstrations
from gato.tokenizer.sequence import TokenSequence


def build_prompt(
    episodes: Sequence[TokenSequence], shown: Demonstrations, prompt: PromptConfig, max_tokens: int
) -> TokenSequence:
    """Builds the prompt of an episode out of encoded demonstrations.

    Args:
        episodes: `prompt.demonstrations` of them, whole, or as many first timesteps as exceed `max_tokens` where the
            part is "first".
        shown: what they are; the same prompt comes out whenever it is asked for.
        prompt: which part of them is shown.
        max_tokens: limit of this prompt, at most `prompt.max_tokens`.

    Raises:
        ValueError: no timestep fits.
    """
    rng = stream(Stream.PROMPT, *shown.seeds)
    return join_demonstrations(episodes, prompt.part, max_tokens, rng=rng)
