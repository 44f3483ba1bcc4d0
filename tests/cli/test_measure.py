"""Measuring: what the reference file says, and that it can be taken up again."""

import numpy as np

from gato.cli.measure import measure
from gato.envs import get_task
from gato.envs.reference import reference_scores
from gato.seeds import MEASUREMENT_SEED


def test_scores_are_those_of_the_episodes(tmp_path):
    out = tmp_path / "scores.json"
    measure(("mountain-car",), episodes=20, num_workers=1, out=out)
    scores = reference_scores(out)["mountain-car"]
    task = get_task("mountain-car")
    env = task.make()
    expert = task.make_expert(env, np.random.default_rng(0))
    returns = []
    for seed in range(MEASUREMENT_SEED, MEASUREMENT_SEED + 20):
        observation, _ = env.reset(seed=seed)
        rewards, ended = 0.0, False
        while not ended:
            observation, reward, terminated, truncated, _ = env.step(expert.act(observation))
            rewards += float(reward)
            ended = terminated or truncated
        returns.append(rewards)
    assert scores.expert.mean == round(np.mean(returns), 4)
    assert scores.expert.std == round(np.std(returns, ddof=1), 4)
    assert (scores.expert.episodes, scores.expert.success) == (20, 1.0)
    assert scores.expert.steps == round(-np.mean(returns), 1)
    assert (scores.random.mean, scores.random.steps, scores.random.success) == (-200.0, 200.0, 0.0)
    assert "gymnasium" in scores.random.versions


def test_what_is_known_is_kept(tmp_path, capsys):
    out = tmp_path / "scores.json"
    measure(("cliff-walking",), episodes=10, num_workers=1, out=out)
    before = reference_scores(out)
    capsys.readouterr()
    measure(("cliff-walking", "dark-room"), episodes=10, num_workers=1, out=out)
    assert "cliff-walking" not in capsys.readouterr().out
    after = reference_scores(out)
    assert after["cliff-walking"] == before["cliff-walking"]
    assert after["dark-room"].expert.mean == 1.0
