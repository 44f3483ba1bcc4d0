import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from gato.checkpoint import save_checkpoint
from gato.config import DataConfig, PolicyConfig, PromptConfig, RunConfig
from gato.data.action_choice import without_own_actions
from gato.data.collate import Row, make_batch
from gato.inference import prefill as prefilling
from gato.inference.batch_policy import BatchPolicy
from gato.inference.policy import Policy
from gato.inference.prefill import prefill
from gato.inference.sampling import Sampling, draw_keys, gumbel_noise, legal_ids
from gato.inference.vector import split, stack
from gato.model.gato import rebuild
from gato.tokenizer.sequence import TokenSequence
from gato.tokenizer.spaces import TimestepTokenizer

# Few different agents, spaces and batch sizes: each combination is compiled anew.
CAMERA = spaces.Box(0, 255, (16, 16, 3), np.uint8)
OBSERVATIONS = spaces.Dict(camera=CAMERA, speed=spaces.Box(-np.inf, np.inf, (1,), np.float32))
WITH_TEXT = spaces.Dict(camera=CAMERA, goal=spaces.Text(12, charset="abcdefgh "))
ACTIONS = spaces.Tuple((spaces.Discrete(3, start=-1), spaces.Box(-1, 1, (2,), np.float32)))
NUM_ACTION_VALUES = 3
GROUPED = {"values_per_token": 5, "action_tokens": "grouped", "separator": "mark"}
HIDDEN = {**GROUPED, "own_actions": "hidden"}
DECODED = {**GROUPED, "action_tokens": "decoded", "separator": "token"}
PARALLEL = {"action_tokens": "parallel"}


def play(act, space, num_steps, seed=0):
    """Observations that do not depend on actions, and what the policy did."""
    space.seed(seed)
    observations = [space.sample() for _ in range(num_steps)]
    return observations, [act(observation) for observation in observations]


def demonstration_of(observation_space):
    observation_space.seed(77)
    ACTIONS.seed(78)
    observations, actions = zip(*[(observation_space.sample(), ACTIONS.sample()) for _ in range(6)], strict=True)
    return stack(observation_space, observations), stack(ACTIONS, actions)


@pytest.fixture
def demonstration():
    return demonstration_of(OBSERVATIONS)


def reference_tokens(agent, rows, seed):
    """The numbers of actions that full forward passes over training rows give: one row a step, its action last."""
    ranges = TimestepTokenizer(OBSERVATIONS, ACTIONS, agent.tokenizer).action_ranges
    legal = legal_ids(ranges)
    ids = np.arange(legal.start, legal.stop)
    masks = (ranges[:, :1] <= ids) & (ids < ranges[:, 1:])
    temperature, length = jnp.array([agent.policy.temperature]), agent.policy.context_length
    choose = Sampling(temperature=1.0).choose
    tokenizer = agent.tokenizer
    # How far before its end a row predicts its action, and from how many tokens.
    num_places = 1 if tokenizer.has_action_groups else NUM_ACTION_VALUES
    before_end = 1 if tokenizer.own_actions == "hidden" else num_places + 1

    @jax.jit
    def tokens_of(params, batch, last, step):
        model = rebuild(agent.model, agent.tokenizer, params)
        queries = jax.lax.dynamic_slice_in_dim(model(batch)[0], last, num_places)
        if tokenizer.has_action_groups:
            queries = model.action_queries(queries[0], NUM_ACTION_VALUES, batch.action_values[0, last])
        logits = model.logits(queries, legal)
        noise = gumbel_noise(draw_keys(jnp.array([seed], jnp.uint32), step[None], NUM_ACTION_VALUES), logits.shape[1])
        chosen = [choose(logits[i][None], masks[i][None], noise[i], temperature) for i in range(NUM_ACTION_VALUES)]
        return legal.start + jnp.concatenate(chosen)

    return np.stack(
        [
            tokens_of(agent.params, as_batch(row, tokenizer, length), len(row) - before_end, np.int32(i))
            for i, row in enumerate(rows)
        ]
    )


def as_batch(row, config, length):
    return make_batch([Row(sequence=row, source_id=0)], DataConfig(context_length=length, max_patches=64), config)


def training_rows(agent, space, observations, actions, prompt):
    """For each step: the prompt, and the newest whole timesteps up to it that fit beside the prompt."""
    tokenizer = TimestepTokenizer(space, ACTIONS, agent.tokenizer, agent.text)
    episode = tokenizer.encode_episode(stack(space, observations), stack(ACTIONS, actions))
    episode = without_own_actions(episode, agent.tokenizer, None)
    room = agent.policy.context_length - (0 if prompt is None else len(prompt))
    first = np.searchsorted(episode.starts, episode.starts[1:] - room)
    windows = [episode.timesteps(first[step], step + 1) for step in range(episode.num_timesteps)]
    rows = [window if prompt is None else TokenSequence.concatenate([prompt, window]) for window in windows]
    return rows, bool(first.any())


@pytest.mark.parametrize(
    ("num_layers", "num_steps", "settings", "prompted", "space"),
    [
        (1, 24, {}, False, OBSERVATIONS),
        (1, 24, {}, True, OBSERVATIONS),
        (1, 24, {"temperature": 0.0}, False, OBSERVATIONS),
        (1, 16, {}, False, WITH_TEXT),
        (2, 6, {}, True, OBSERVATIONS),
        (2, 24, {"refresh_every": 1}, True, OBSERVATIONS),
        (2, 24, {"refresh_every": 1}, False, OBSERVATIONS),
        (1, 24, {"layout": PARALLEL}, False, OBSERVATIONS),
        (2, 24, {"layout": PARALLEL, "refresh_every": 1}, True, OBSERVATIONS),
        (1, 40, {"layout": GROUPED}, True, OBSERVATIONS),
        (2, 40, {"layout": HIDDEN, "refresh_every": 1}, True, OBSERVATIONS),
        (1, 40, {"layout": HIDDEN}, False, WITH_TEXT),
        (1, 40, {"layout": {**HIDDEN, "pieces_per_token": 3}}, False, WITH_TEXT),
        (1, 24, {"layout": DECODED}, False, OBSERVATIONS),
    ],
    ids=[
        "slides",
        "slides behind a prompt",
        "greedy",
        "text of any length",
        "deep behind a prompt",
        "deep, slides behind a prompt, refreshed",
        "deep, slides, refreshed",
        "parallel actions",
        "deep, parallel actions, slides behind a prompt, refreshed",
        "grouped, slides behind a prompt",
        "deep, own actions hidden, slides behind a prompt, refreshed",
        "own actions hidden, text of any length",
        "own actions hidden, text of any length, pieces share tokens",
        "decoded",
    ],
)
def test_actions_are_those_of_a_full_forward_pass_over_the_training_row(
    make_agent, num_layers, num_steps, settings, prompted, space
):
    agent = make_agent(num_layers, **settings)
    policy = Policy(agent, space, ACTIONS)
    prompt = policy.encode_demonstration(*demonstration_of(space)) if prompted else None
    policy.reset(seed=5, prompt=prompt)
    observations, actions = play(policy.act, space, num_steps)
    rows, slid = training_rows(agent, space, observations, actions, prompt)
    # With several layers, a cached vector has seen timesteps that a row without them does not hold, unless refreshed.
    assert slid == (num_layers == 1 or "refresh_every" in settings)
    tokenizer = TimestepTokenizer(space, ACTIONS, agent.tokenizer, agent.text)
    chosen = np.stack([tokenizer.encode_action(action) for action in actions])
    np.testing.assert_array_equal(chosen, reference_tokens(agent, rows, 5))
    assert len(np.unique(chosen, axis=0)) >= 3


def test_the_prompt_still_counts_when_all_first_timesteps_are_evicted(make_agent, demonstration):
    policy = Policy(make_agent(), OBSERVATIONS, ACTIONS)
    prompt = policy.encode_demonstration(*demonstration)

    def late_actions(prompt):
        policy.reset(prompt=prompt)
        return play(policy.act, OBSERVATIONS, 40)[1][-20:]

    assert repr(late_actions(prompt)) != repr(late_actions(None))


@pytest.mark.parametrize(
    "space",
    [
        spaces.Text(max_length=5, charset="ab"),
        spaces.Dict(
            discrete=spaces.Discrete(5, start=-2),
            several=spaces.MultiDiscrete([2, 7, 3]),
            binary=spaces.MultiBinary(4),
            bounded=spaces.Box(np.array([-2, 0], np.float32), np.array([-1, 30], np.float32)),
            unbounded=spaces.Tuple((spaces.Box(-np.inf, np.inf, (2,), np.float64),)),
        ),
    ],
    ids=["text", "numbers"],
)
def test_actions_are_members_of_the_space_under_random_weights(make_agent, space):
    agent = make_agent(context_length=128, temperature=20.0)
    policy = Policy(agent, spaces.Discrete(4), space)
    _, actions = play(policy.act, spaces.Discrete(4), 8)
    assert all(space.contains(action) for action in actions), actions


def test_each_environment_of_a_batch_acts_as_it_would_alone(make_agent, demonstration):
    agent, alone = make_agent(), []
    for seed, prompted in ((3, False), (1, True)):
        policy = Policy(agent, OBSERVATIONS, ACTIONS)
        policy.reset(seed, policy.encode_demonstration(*demonstration) if prompted else None)
        alone.append(play(policy.act, OBSERVATIONS, 12, seed))
    (plain, plain_actions), (prompted, prompted_actions) = alone
    together = BatchPolicy(agent, OBSERVATIONS, ACTIONS, num_envs=3)
    together.reset([0], seeds=[3])
    together.reset([2], seeds=[1], prompt=together.encode_demonstration(*demonstration))
    for step in range(12):
        first, idle, last = together.act([plain[step], None, prompted[step]])
        assert idle is None
        np.testing.assert_equal((first, last), (plain_actions[step], prompted_actions[step]))


@pytest.mark.parametrize("layout", [{}, PARALLEL, GROUPED, HIDDEN, DECODED])
def test_environments_of_other_tasks_in_a_batch_act_as_they_would_alone(make_agent, demonstration, layout):
    """Other observations, sizes of actions, legal ids, prompts and lengths, and a slot that changes its task."""
    agent = make_agent(layout=layout)
    numbers = spaces.Box(-1, 1, (5,), np.float32), spaces.Box(-1, 1, (2,), np.float32)
    choices = spaces.Discrete(4), spaces.Discrete(3)
    alone = []
    for seed, (observed, acted) in enumerate([numbers, choices, (OBSERVATIONS, ACTIONS)]):
        policy = Policy(agent, observed, acted)
        policy.reset(seed, policy.encode_demonstration(*demonstration) if observed is OBSERVATIONS else None)
        alone.append(play(policy.act, observed, 10, seed))
    together = BatchPolicy(agent, OBSERVATIONS, ACTIONS, num_envs=4)
    together.assign([1], *choices)
    together.assign([0], *numbers)
    together.reset([0, 1], seeds=[0, 1])
    together.reset([3], seeds=[2], prompt=together.encode_demonstration(*demonstration, env_index=3))
    for step in range(10):
        actions = together.act([alone[0][0][step], alone[1][0][step], None, alone[2][0][step]])
        np.testing.assert_equal((actions[0], actions[1], actions[3]), tuple(played[1][step] for played in alone))
    together.assign([3], *choices)
    together.reset([3], seeds=[1])
    for step in range(3):
        actions = together.act([None, None, None, alone[1][0][step]])
        np.testing.assert_equal(actions[3], alone[1][1][step])


def test_continuous_and_other_tokens_have_temperatures_of_their_own(make_agent):
    def actions(seed, **settings):
        policy = Policy(make_agent(**settings), OBSERVATIONS, ACTIONS)
        policy.reset(seed)
        return play(policy.act, OBSERVATIONS, 1)[1][0]

    # The choice comes first, so numbers that are not drawn only differ where it does.
    drawn = [actions(seed, temperature=50.0, continuous_temperature=0.0) for seed in range(12)]
    assert len({choice for choice, _ in drawn}) > 1
    assert len({(choice, tuple(numbers)) for choice, numbers in drawn}) == len({choice for choice, _ in drawn})
    drawn = [actions(seed, temperature=0.0, continuous_temperature=50.0) for seed in range(12)]
    assert len({choice for choice, _ in drawn}) == 1
    assert len({tuple(numbers) for _, numbers in drawn}) > 6


def test_slots_are_refreshed_without_disturbing_others(make_agent, demonstration):
    """One slot's window is encoded anew at steps where another's is not due yet."""
    agent = make_agent(2, refresh_every=5)
    alone = Policy(agent, OBSERVATIONS, ACTIONS)
    prompt = alone.encode_demonstration(*demonstration)
    alone.reset(3, prompt)
    observations, expected = play(alone.act, OBSERVATIONS, 20)
    together = BatchPolicy(agent, OBSERVATIONS, ACTIONS, num_envs=2)
    together.reset(seeds=[3, 3], prompt=prompt)
    late = [None, None, *observations]
    for step, observation in enumerate(observations):
        first, second = together.act([observation, late[step]])
        np.testing.assert_equal(first, expected[step])
        np.testing.assert_equal(second, None if step < 2 else expected[step - 2])


def test_refreshing_leaves_prompts_as_they_were_prefilled(make_agent, demonstration, monkeypatch):
    """Each of two slots keeps a demonstration of its own: one prefill a step, and that for the windows."""
    agent = make_agent(2, refresh_every=1)
    alone = Policy(agent, OBSERVATIONS, ACTIONS)
    whole = alone.encode_demonstration(*demonstration)
    prompts = [whole, whole.timesteps(1, whole.num_timesteps)]
    expected = []
    for prompt in prompts:
        alone.reset(3, prompt)
        observations, actions = play(alone.act, OBSERVATIONS, 14)
        expected.append(actions)
    together = BatchPolicy(agent, OBSERVATIONS, ACTIONS, num_envs=2)
    for slot, prompt in enumerate(prompts):
        together.reset([slot], seeds=[3], prompt=prompt)
    calls = []
    monkeypatch.setattr(prefilling, "prefill", lambda *inputs: calls.append(1) or prefill(*inputs))
    for step, observation in enumerate(observations):
        np.testing.assert_equal(together.act([observation] * 2), [actions[step] for actions in expected])
    assert 0 < len(calls) <= len(observations)


def test_an_equal_prompt_is_not_prefilled_again(make_agent, demonstration, monkeypatch):
    policy = BatchPolicy(make_agent(), OBSERVATIONS, ACTIONS, num_envs=2)
    calls = []
    monkeypatch.setattr(prefilling, "prefill", lambda *inputs: calls.append(1) or prefill(*inputs))
    prompt, equal = (policy.encode_demonstration(*demonstration) for _ in range(2))
    policy.reset([0], seeds=[3], prompt=prompt)
    policy.reset([1], seeds=[3], prompt=equal)
    assert len(calls) == 1
    observation = OBSERVATIONS.sample()
    first, second = policy.act([observation] * 2)
    np.testing.assert_equal(first, second)
    policy.reset([1], seeds=[3], prompt=prompt.timesteps(1, prompt.num_timesteps))
    assert len(calls) == 2


def test_actions_are_drawn_from_the_likeliest_tokens_only(make_agent):
    observation = OBSERVATIONS.sample()

    def actions(num_seeds, **settings):
        policy = Policy(make_agent(**settings), OBSERVATIONS, ACTIONS)
        for seed in range(num_seeds):
            policy.reset(seed)
            yield policy.act(observation)

    [greedy] = actions(1, temperature=0.0)
    for settings in ({"top_k": 1}, {"top_p": 0.01}):
        for action in actions(3, temperature=1e6, **settings):
            np.testing.assert_equal(action, greedy)
    chosen = [len({choice for choice, _ in actions(40, temperature=1e6, top_k=top_k)}) for top_k in (2, None)]
    assert chosen == [2, 3]


def test_slots_may_idle_and_start_over_without_disturbing_others(make_agent, demonstration):
    alone = Policy(make_agent(), OBSERVATIONS, ACTIONS)
    prompt = alone.encode_demonstration(*demonstration)
    observations, plain = play(alone.act, OBSERVATIONS, 12)
    alone.reset(0, prompt)
    _, prompted = play(alone.act, OBSERVATIONS, 12)
    policy = BatchPolicy(make_agent(), OBSERVATIONS, ACTIONS, num_envs=3)
    policy.reset([0, 1], seeds=[0, 0], prompt=prompt)
    restarted, resumed = iter(observations), iter(observations)
    for step, observation in enumerate(observations):
        if step == 6:
            policy.reset([1, 2], seeds=[0, 0])
        # Slot 1 starts over half-way, without its prompt; slot 2 sleeps every other step and forgets half-way.
        beside = next(restarted) if step >= 6 else observations[-1]
        sleepy = None if step % 2 else (next(resumed) if step >= 6 else observations[-1])
        actions = policy.act([observation, beside, sleepy])
        np.testing.assert_equal(actions[0], prompted[step])
        if step >= 6:
            np.testing.assert_equal(actions[1], plain[step - 6])
            np.testing.assert_equal(actions[2], None if step % 2 else plain[(step - 6) // 2])


def test_an_episode_repeats_with_its_seed_and_differs_with_another(make_agent, demonstration):
    policy = Policy(make_agent(), OBSERVATIONS, ACTIONS)
    prompt = policy.encode_demonstration(*demonstration)

    def actions(seed, prompt=None):
        policy.reset(seed, prompt)
        return repr(play(policy.act, OBSERVATIONS, 8)[1])

    assert actions(1) == actions(1)
    assert actions(1, prompt) == actions(1, prompt)
    assert len({actions(1), actions(2), actions(1, prompt)}) == 3


def test_deterministic_takes_the_most_likely_action_whatever_the_seed(make_agent):
    policy = Policy(make_agent(), OBSERVATIONS, ACTIONS)

    def actions(seed, **options):
        policy.reset(seed)
        return repr(play(functools.partial(policy.act, **options), OBSERVATIONS, 6)[1])

    assert actions(1, deterministic=True) == actions(2, deterministic=True)
    assert actions(1) != actions(2)


def test_nothing_is_compiled_after_the_first_steps(make_agent, demonstration, caplog):
    policy = BatchPolicy(make_agent(), OBSERVATIONS, ACTIONS, num_envs=3)
    prompt = policy.encode_demonstration(*demonstration)

    def episode(seed):
        policy.reset([0, 2], seeds=[seed, seed], prompt=prompt if seed % 2 else None)
        for observation in play(lambda _: None, OBSERVATIONS, 12)[0]:
            policy.act([observation, None, None if seed % 2 else observation])

    def compilations():
        return [record for record in caplog.records if "Compiling" in record.getMessage()]

    episode(1)
    with jax.log_compiles():
        for seed in range(2, 6):
            episode(seed)
        assert not compilations()
        jax.jit(lambda x: x + 1)(np.ones(7))
        assert compilations(), "none are logged at all"


def test_bfloat16_agents_act_and_cache_in_bfloat16(make_agent):
    agent = make_agent(
        dtype="bfloat16",
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(agent.weights.layers) if leaf.ndim > 1} == {jnp.dtype("bfloat16")}
    _, actions = play(Policy(agent, OBSERVATIONS, ACTIONS).act, OBSERVATIONS, 8)
    assert all(ACTIONS.contains(action) for action in actions)


@pytest.mark.parametrize("batched", [False, True], ids=["single", "batch of one"])
def test_predict_is_act_in_the_signature_of_stable_baselines3(make_agent, batched):
    observations, expected = play(Policy(make_agent(), OBSERVATIONS, ACTIONS).act, OBSERVATIONS, 3)
    policy = Policy(make_agent(), OBSERVATIONS, ACTIONS)
    state = None
    for step, observation in enumerate(observations):
        given = stack(OBSERVATIONS, [observation]) if batched else observation
        action, state = policy.predict(given, state=state, episode_start=np.array([step == 0]), deterministic=False)
        np.testing.assert_equal(split(ACTIONS, action, 1)[0] if batched else action, expected[step])


def test_predict_starts_over_where_episodes_start_with_another_seed_and_the_same_prompt(make_agent, demonstration):
    policy = BatchPolicy(make_agent(), OBSERVATIONS, ACTIONS, num_envs=3)
    prompt = policy.encode_demonstration(*demonstration)
    policy.reset(seeds=[7, 8, 9], prompt=prompt)
    observation = stack(OBSERVATIONS, [OBSERVATIONS.sample()] * 3)
    first, _ = policy.predict(observation, episode_start=[True, True, True])
    policy.predict(observation, episode_start=[False, False, False])
    again, _ = policy.predict(observation, episode_start=[True, False, False])
    alone = Policy(make_agent(), OBSERVATIONS, ACTIONS)
    alone.reset(7, prompt)
    np.testing.assert_equal(split(ACTIONS, first, 3)[0], alone.act(split(OBSERVATIONS, observation, 3)[0]))
    alone.reset(7 + 3, prompt)
    np.testing.assert_equal(split(ACTIONS, again, 3)[0], alone.act(split(OBSERVATIONS, observation, 3)[0]))


def test_a_loaded_policy_acts_as_the_agent_that_was_saved(make_agent, tmp_path):
    agent = make_agent()
    config = RunConfig(model=agent.model, tokenizer=agent.tokenizer, policy=agent.policy)
    save_checkpoint(
        tmp_path,
        step=1,
        params=agent.params,
        train_state={"count": np.zeros(())},
        data_state={},
        config=config,
        tokenizer_model=agent.text.to_bytes(),
    )
    _, expected = play(Policy(agent, OBSERVATIONS, ACTIONS).act, OBSERVATIONS, 4)
    _, actions = play(Policy.load(tmp_path, OBSERVATIONS, ACTIONS).act, OBSERVATIONS, 4)
    np.testing.assert_equal(actions, expected)
    batch = BatchPolicy.load(tmp_path, OBSERVATIONS, ACTIONS, num_envs=2, config=PolicyConfig(context_length=99))
    assert (batch.num_envs, batch.config.context_length) == (2, 99)


def test_a_refused_observation_leaves_the_episode_as_it_was(make_agent, demonstration):
    good = OBSERVATIONS.sample()
    policy, undisturbed = (BatchPolicy(make_agent(), OBSERVATIONS, ACTIONS, num_envs=3) for _ in range(2))
    for each in (policy, undisturbed):
        each.reset(seeds=[0, 1, 2], prompt=each.encode_demonstration(*demonstration))
    for _ in range(3):
        with pytest.raises(ValueError, match="environment 1: observation/speed"):
            policy.act([good, {**good, "speed": np.zeros(3, np.float32)}, good])
        with pytest.raises(ValueError, match="environment 2: observation has keys"):
            policy.act([good, None, {"speed": good["speed"]}])
        np.testing.assert_equal(policy.act([good] * 3), undisturbed.act([good] * 3))


def test_predict_refuses_what_does_not_fit_and_leaves_the_episodes_as_they_were(make_agent):
    good = stack(OBSERVATIONS, [OBSERVATIONS.sample()] * 3)
    policy, undisturbed = (BatchPolicy(make_agent(), OBSERVATIONS, ACTIONS, num_envs=3) for _ in range(2))
    starts = [True, False, True]
    for _ in range(2):
        with pytest.raises(ValueError, match="environment 1: observation/speed is nan"):
            policy.predict({**good, "speed": np.array([[0], [np.nan], [0]], np.float32)}, episode_start=starts)
        with pytest.raises(ValueError, match="observation/speed has 4 values, expected 3"):
            policy.predict({**good, "speed": np.zeros((4, 1), np.float32)}, episode_start=starts)
        with pytest.raises(ValueError, match=r"episode_start has shape \(1,\), expected \(3,\)"):
            policy.predict(good, episode_start=[True])
        np.testing.assert_equal(policy.predict(good, episode_start=starts), undisturbed.predict(good, None, starts))
    with pytest.raises(ValueError, match="has 3 values, expected 1"):
        Policy(make_agent(), OBSERVATIONS, ACTIONS).predict(good)
    with pytest.raises(ValueError, match=r"observation has keys \['speed'\]"):
        Policy(make_agent(), OBSERVATIONS, ACTIONS).predict({"speed": good["speed"][0]})


def test_a_timestep_larger_than_the_context_is_refused_with_the_sizes(make_agent):
    policy = Policy(make_agent(context_length=5), OBSERVATIONS, ACTIONS)
    with pytest.raises(ValueError, match=r"one timestep takes 6 tokens.*context of 5 leaves 5"):
        policy.act(OBSERVATIONS.sample())


def test_wrong_arguments_are_refused_with_what_was_expected(make_agent, demonstration):
    agent = make_agent()
    policy = BatchPolicy(agent, OBSERVATIONS, ACTIONS, num_envs=2)
    prompt = policy.encode_demonstration(*demonstration)
    with pytest.raises(ValueError, match="1 observations came for 2 environments"):
        policy.act([None])
    with pytest.raises(ValueError, match=r"indices are \[0, 2\]"):
        policy.reset([0, 2], seeds=[0, 1])
    with pytest.raises(ValueError, match=r"indices are \[1, 1\]"):
        policy.reset([1, 1], seeds=[0, 1])
    with pytest.raises(ValueError, match=r"seeds are \[0\], expected 2"):
        policy.reset(seeds=[0])
    with pytest.raises(ValueError, match=r"seeds are \[0, -1\]"):
        policy.reset(seeds=[0, -1])
    with pytest.raises(ValueError, match=r"seeds are \[0\.5, 1\]"):
        policy.reset(seeds=[0.5, 1])
    with pytest.raises(ValueError, match=r"indices are \[2\]"):
        policy.encode_demonstration(*demonstration, env_index=2)
    with pytest.raises(TypeError, match="the prompt is list"):
        policy.reset(seeds=[0, 1], prompt=[1, 2])
    with pytest.raises(ValueError, match=r"the prompt has \d+ tokens, expected 1 to 24"):
        policy.reset(seeds=[0, 1], prompt=TokenSequence.concatenate([prompt, prompt]))
    foreign = policy.encode_demonstration(*demonstration)
    foreign.tokens[0] = agent.tokenizer.vocab_size
    with pytest.raises(ValueError, match=r"tokens span .* another tokenizer config"):
        policy.reset(seeds=[0, 1], prompt=foreign)
    foreign = policy.encode_demonstration(*demonstration)
    foreign.local_positions[0] = agent.tokenizer.no_position + 1
    with pytest.raises(ValueError, match=r"local positions up to .* another tokenizer config"):
        policy.reset(seeds=[0, 1], prompt=foreign)
    with pytest.raises(ValueError, match="no timestep of the demonstration fits into 3 tokens"):
        BatchPolicy(
            agent, OBSERVATIONS, ACTIONS, config=PolicyConfig(prompt=PromptConfig(max_tokens=3))
        ).encode_demonstration(*demonstration)
    with pytest.raises(ValueError, match="num_envs is 0"):
        BatchPolicy(agent, OBSERVATIONS, ACTIONS, num_envs=0)
    with pytest.raises(ValueError, match="state is tuple, expected None"):
        policy.predict(stack(OBSERVATIONS, [OBSERVATIONS.sample()] * 2), state=(1,))
    with pytest.raises(TypeError, match="observation is None"):
        Policy(agent, OBSERVATIONS, ACTIONS).act(None)


@pytest.mark.parametrize("refresh_every", [0, 1])
def test_a_sliding_prompt_is_like_a_past_of_ones_own(make_agent, refresh_every):
    agent = make_agent(2, refresh_every=refresh_every, temperature=0.0)
    lived, told = (BatchPolicy(agent, OBSERVATIONS, ACTIONS) for _ in range(2))
    lived.reset(seeds=[0])
    observations, actions = play(lambda seen: lived.act([seen])[0], OBSERVATIONS, 24)
    prompt = told.encode_demonstration(stack(OBSERVATIONS, observations[:4]), stack(ACTIONS, actions[:4]))
    assert prompt.num_timesteps == 4
    told.reset(seeds=[0], prompt=prompt, pinned=False)
    # The context holds ten timesteps, so those of the prompt are evicted before the end.
    np.testing.assert_equal([told.act([seen])[0] for seen in observations[4:]], actions[4:])
    told.reset(seeds=[0], prompt=prompt)
    with np.testing.assert_raises(AssertionError):
        np.testing.assert_equal([told.act([seen])[0] for seen in observations[4:]], actions[4:])
