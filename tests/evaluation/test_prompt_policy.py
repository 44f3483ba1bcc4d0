import numpy as np
import pytest
from gymnasium import spaces

from gato.config import TokenizerConfig
from gato.evaluation.plan import Shown
from gato.evaluation.prompt_policy import PromptPolicy
from gato.inference.prompt import cut_demonstration
from gato.tokenizer.sequence import TokenSequence
from gato.tokenizer.spaces import TimestepTokenizer

TOKENIZER = TokenizerConfig(text_vocab_size=260, num_bins=16, num_discrete=64)
STEPS = TimestepTokenizer(spaces.Discrete(64), spaces.Discrete(64), TOKENIZER)
EPISODE = STEPS.encode_episode(np.arange(40), np.arange(40))  # three tokens a timestep, the first its number


def shown(*seeds: int) -> Shown:
    return Shown(task="count", variant=0, seeds=seeds or (7,))


def policy(**changes) -> PromptPolicy:
    return PromptPolicy(
        **{"kind": "right", "part": "first", "max_tokens": 30, "terminal_observation": False, **changes}
    )


def steps(prompt: TokenSequence) -> list[int]:
    return (prompt.tokens[::3] - TOKENIZER.discrete_ids.start).tolist()


def test_parts_are_those_of_the_policy():
    assert steps(policy().prompt([EPISODE], shown(), 30)) == list(range(10))
    assert steps(policy(part="end").prompt([EPISODE], shown(), 30)) == list(range(30, 40))
    found = steps(policy(part="uniform").prompt([EPISODE], shown(), 30))
    assert found == list(range(found[0], found[0] + 10))


@pytest.mark.parametrize("part", ["first", "end"])
def test_a_prompt_is_what_a_policy_makes_of_the_demonstration_itself(part):
    ours, theirs = policy(part=part).prompt([EPISODE], shown(), 31), cut_demonstration(EPISODE, 31, part)
    np.testing.assert_array_equal(ours.tokens, theirs.tokens)


def test_a_uniform_part_depends_on_the_demonstration_alone():
    uniform = policy(part="uniform")
    starts = [steps(uniform.prompt([EPISODE], shown(seed), 30))[0] for seed in range(200)]
    assert starts == [steps(uniform.prompt([EPISODE], shown(seed), 30))[0] for seed in range(200)]
    assert set(starts) == set(range(31))


def test_several_demonstrations_share_the_limit():
    prompt = policy(demonstrations=3).prompt([EPISODE] * 3, shown(1, 2, 3), 30)
    assert steps(prompt) == [0, 1, 2, 0, 1, 2, 0, 1, 2, 3]


@pytest.mark.parametrize("field", ["max_tokens", "demonstrations"])
def test_counts_are_positive(field):
    with pytest.raises(ValueError, match=f"{field} of the prompt is 0"):
        policy(**{field: 0})
