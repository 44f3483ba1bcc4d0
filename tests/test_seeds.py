import itertools

import numpy as np

from gato import seeds
from gato.config import EvaluationConfig
from gato.envs import get_task
from gato.seeds import Stream, stream

FIRST_SEEDS = {name: value for name, value in vars(seeds).items() if name.endswith("_SEED")}


def test_first_seeds_leave_room_for_a_million_episodes_each():
    assert len(FIRST_SEEDS) == 5
    assert {high - low for low, high in itertools.pairwise(sorted(FIRST_SEEDS.values()))} == {1_000_000}
    assert EvaluationConfig().seed == seeds.EVALUATION_SEED


def test_streams_are_numbers_of_their_own():
    numbers = [member.value for member in Stream.__members__.values()]  # aliases included
    assert len(set(numbers)) == len(numbers)
    assert 0 not in numbers  # numpy takes [seed, 0] for the seed alone, which is the environment's


def test_streams_of_one_episode_draw_different_numbers():
    plain = np.random.default_rng(5).integers(1 << 32, size=4).tolist()
    draws = [plain, *(stream(which, 5).integers(1 << 32, size=4).tolist() for which in Stream)]
    assert len({number for row in draws for number in row}) == 4 * len(draws)


def test_streams_are_those_of_earlier_recordings_and_prompts():
    assert stream(Stream.NOISE, 7).random() == np.random.default_rng([7, 1]).random()
    assert stream(Stream.EXPERT, 7).random() == np.random.default_rng([7, 2]).random()
    assert stream(Stream.PROMPT, 7, 8).random() == np.random.default_rng([7, 8, 3]).random()


def test_environments_draw_their_hidden_variant_from_its_stream():
    task = get_task("cart-position")
    env = task.make()
    drawn = []
    for seed in range(40):
        env.reset(seed=seed)
        drawn.append(task.variants.index(env.get_wrapper_attr("variant")))
    expected, noise = (
        [int(stream(which, seed).integers(len(task.variants))) for seed in range(40)]
        for which in (Stream.HIDDEN_VARIANT, Stream.NOISE)
    )
    assert drawn == expected
    env.close()
    assert sum(one == other for one, other in zip(drawn, noise, strict=True)) < 10
