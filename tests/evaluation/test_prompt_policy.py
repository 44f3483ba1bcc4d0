import numpy as np
from gymnasium import spaces

from gato.config import TokenizerConfig
from gato.evaluation.plan import Demonstrations
from gato.tokenizer.demonstration import join_demonstrations
from gato.tokenizer.sequence import TokenSequence
from gato.tokenizer.spaces import TimestepTokenizer

TOKENIZER = TokenizerConfig(text_vocab_size=260, num_bins=16, num_discrete=64)
STEPS = TimestepTokenizer(spaces.Discrete(64), spaces.Discrete(64), TOKENIZER)
EPISODE = STEPS.encode_episode(np.arange(40), np.arange(40))  # three tokens a timestep, the first its number


def shown(*seeds: int) -> Demonstrations:
    return Demonstrations(task="count", variant=0, seeds=seeds or (7,))


def built(*seeds: int, part="first", demonstrations=1) -> TokenSequence:
    return join_demonstrations([EPISODE] * demonstrations, part, 30, rng=shown(*seeds).rng)


def steps(prompt: TokenSequence) -> list[int]:
    return (prompt.tokens[::3] - TOKENIZER.discrete_ids.start).tolist()


def test_parts_are_those_of_the_config():
    assert steps(built()) == list(range(10))
    assert steps(built(part="end")) == list(range(30, 40))
    found = steps(built(part="uniform"))
    assert found == list(range(found[0], found[0] + 10))


def test_a_uniform_part_depends_on_the_demonstration_alone():
    starts = [steps(built(seed, part="uniform"))[0] for seed in range(200)]
    assert starts == [steps(built(seed, part="uniform"))[0] for seed in range(200)]
    assert set(starts) == set(range(31))


def test_several_demonstrations_share_the_limit():
    assert steps(built(1, 2, 3, demonstrations=3)) == [0, 1, 2, 0, 1, 2, 0, 1, 2, 3]
