"""Whole episodes in a Gymnasium vector environment, whatever its autoreset mode.

Source of the modes: Gymnasium, `gymnasium.vector.AutoresetMode`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import concatenate, create_empty_array, iterate

from gato.inference.batch_policy import BatchPolicy
from gato.tokenizer.sequence import TokenSequence


@dataclass(frozen=True, kw_only=True)
class VectorScores:
    """What came of N episodes; episode i was played in environment i modulo the number of environments."""

    returns: np.ndarray  # (N,) float64
    lengths: np.ndarray  # (N,) int64; actions, so that a step that only resets does not count


def play_vector(
    policy: BatchPolicy,
    envs: VectorEnv[Any, Any, np.ndarray],
    num_episodes: int,
    *,
    seed: int = 0,
    prompt: TokenSequence | None = None,
    deterministic: bool = False,
) -> VectorScores:
    """Plays a number of episodes that is fixed for each environment, so that short ones are not favoured.

    The scores are those of playing each environment alone, in any mode. The policy sees observations that it answers
    and no others: not `final_obs`, and not those at which NEXT_STEP ignores the action.

    Args:
        policy: with one slot for each environment; its episodes are begun here.
        envs: reset here and left open; each step's observations are read before the next one.
        num_episodes: over all environments.
        seed: environment i is reset once with seed + i and goes on from there; episode i is acted with seed + i.
        prompt: the demonstration that every episode starts with.
        deterministic: takes the most likely actions.

    Raises:
        ValueError: `num_episodes` is below 1, the environments do not say how they reset, or the policy was made for
            another number of environments or other spaces.
    """
    mode = _checked_mode(policy, envs, num_episodes)
    returns, lengths = np.zeros(num_episodes), np.zeros(num_episodes, np.int64)
    episodes = np.arange(envs.num_envs)  # which episode each environment plays; beyond the last it idles
    ignores_action = np.zeros(envs.num_envs, bool)  # where the next step only begins an episode
    fill = None  # any action, for an environment whose action does not matter

    observations, _ = envs.reset(seed=seed)
    policy.reset(seeds=(seed + episodes).tolist(), prompt=prompt)
    while (episodes < num_episodes).any():
        acts = (episodes < num_episodes) & ~ignores_action
        members = iterate(envs.observation_space, observations)
        chosen = policy.act(
            [member if wanted else None for member, wanted in zip(members, acts, strict=True)],
            deterministic=deterministic,
        )
        fill = next((action for action in chosen if action is not None), fill)
        # Environments may keep their action, so every step has arrays of its own; `Any`, since any space is possible.
        actions: Any = create_empty_array(envs.single_action_space, envs.num_envs)
        actions = concatenate(
            envs.single_action_space, [fill if action is None else action for action in chosen], actions
        )
        observations, rewards, terminated, truncated, _ = envs.step(actions)
        returns[episodes[acts]] += rewards[acts]
        lengths[episodes[acts]] += 1

        over = (terminated | truncated) & ~ignores_action
        episodes = episodes + over * envs.num_envs
        begins = over & (episodes < num_episodes)
        policy.reset(np.flatnonzero(begins).tolist(), seeds=(seed + episodes[begins]).tolist(), prompt=prompt)
        if mode is AutoresetMode.DISABLED and over.any():
            observations, _ = envs.reset(options={"reset_mask": over})
        elif mode is AutoresetMode.NEXT_STEP:
            ignores_action = over
    return VectorScores(returns=returns, lengths=lengths)


def _checked_mode(policy: BatchPolicy, envs: VectorEnv[Any, Any, np.ndarray], num_episodes: int) -> AutoresetMode:
    if num_episodes < 1:
        raise ValueError(f"num_episodes is {num_episodes}, needs 1 or more")
    if policy.num_envs != envs.num_envs:
        raise ValueError(
            f"the policy has {policy.num_envs} slots for {envs.num_envs} environments: make it with "
            f"num_envs={envs.num_envs}"
        )
    for name, ours, theirs in (
        ("observation_space", policy.observation_space, envs.single_observation_space),
        ("action_space", policy.action_space, envs.single_action_space),
    ):
        if ours != theirs:
            raise ValueError(
                f"the policy's {name} is {ours}, that of the environments is {theirs}: make the policy with "
                f"envs.single_{name}"
            )
    mode = envs.metadata.get("autoreset_mode")
    if not isinstance(mode, AutoresetMode):
        raise ValueError(
            f"the environments' metadata has {mode!r} as 'autoreset_mode', expected a gymnasium.vector.AutoresetMode: "
            "set it to how they begin the next episode"
        )
    return mode
