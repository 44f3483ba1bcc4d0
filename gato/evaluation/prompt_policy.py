"""What a prompt holds when acting: a policy of its own, chosen for each evaluation and stated with its scores."""

from collections.abc import Sequence
from dataclasses import dataclass

from gato.data.prompt import Part, join_demonstrations
from gato.evaluation.plan import Shown
from gato.evaluation.scores import Prompt
from gato.seeds import Stream, stream
from gato.tokenizer.sequence import TokenSequence


@dataclass(frozen=True, kw_only=True)
class PromptPolicy:
    """Which demonstration stands before an episode, and how much of it.

    The paper shows the first tokens of a right demonstration (section 2.4).
    """

    kind: Prompt
    part: Part  # "uniform": a run of timesteps that starts anywhere, drawn once for each demonstration
    max_tokens: int  # of the prompt; fewer where a timestep would not fit beside it
    terminal_observation: bool  # a demonstration shown to its end also shows the observation after its last action
    pinned: bool = True  # stays at the front of the context; False lets it leave as the oldest timesteps do
    demonstrations: int = 1  # different ones, one after another, sharing max_tokens

    def __post_init__(self) -> None:
        for name in ("max_tokens", "demonstrations"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} of the prompt is {getattr(self, name)}, needs 1 or more")

    def prompt(self, episodes: Sequence[TokenSequence], shown: Shown, max_tokens: int) -> TokenSequence:
        """The prompt out of encoded episodes.

        Args:
            episodes: `demonstrations` of them, whole, or as many first timesteps as exceed `max_tokens` where the
                part is "first".
            shown: what they are; the same prompt comes out whenever it is asked for.
            max_tokens: its limit, at most that of the policy.

        Raises:
            ValueError: no timestep fits.
        """
        rng = stream(Stream.PROMPT, *shown.seeds)
        return join_demonstrations(episodes, self.part, max_tokens, rng=rng)
