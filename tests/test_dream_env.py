"""The dream as a single Gymnasium environment."""

import dataclasses
import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from dot_env import DotEnv
from gymnasium.utils.env_checker import check_env as check_gymnasium
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import TimeAwareObservation, TimeLimit
from stable_baselines3.common.env_checker import check_env as check_sb3

import dreamenv
from dreamenv import DreamEnv, DreamVectorEnv, LatentObservation
from dreamenv.config import build_model
from dreamenv.envs.counters import CounterStreams
from dreamenv.envs.streams import NoiseStreams
from dreamenv.foundation.errors import BundleError
from dreamenv.models.bank import StartBank
from dreamenv.models.base import State
from dreamenv.models.latent import Gaussian
from dreamenv.models.noise import Noise, NoiseSpec
from dreamenv.world import World

LEFT, RIGHT, STAY = 0, 1, 2
BAD_TEMPERATURES = [
    -1,
    -0.001,
    float("nan"),
    float("inf"),
    -float("inf"),
    "hot",
    "1.0",
    True,
    [1.0],
    1j,
    1e39,  # finite, but not in single precision
    np.array([1.0, 1.0]),
    np.array([[1.0]]),
    np.array([np.nan]),
    np.array([True]),
    np.array(["1"]),
    (1.3, 0.1),
    (0.1, float("nan")),
    (-0.1, 1.0),
    (0.1, 0.5, 1.0),
    (0.1, "1.0"),
    (),
]


def play(env, actions, **reset):
    """Observations, rewards and ends of one episode, stacked."""
    observation, _ = env.reset(**reset)
    steps = [(observation, 0.0, False, False)]
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        steps.append((observation, reward, terminated, truncated))
        if terminated or truncated:
            break
    return [np.array(column) for column in zip(*steps, strict=True)]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def dream(dot_world):
    return DreamEnv(dot_world)


@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
def test_gymnasium_checker_passes_without_warnings(dot_folder, render_mode):
    env = gym.make("dreamenv:Dream-v0", world=str(dot_folder), render_mode=render_mode)
    check_gymnasium(env.unwrapped)


def test_gymnasium_checker_passes_with_continuous_actions(continuous_world):
    check_gymnasium(gym.make("dreamenv:Dream-v0", world=str(continuous_world.path)).unwrapped)


def test_stable_baselines3_checker_passes_without_warnings(dot_folder):
    env = gym.make("dreamenv:Dream-v0", world=str(dot_folder), render_mode="rgb_array")
    check_sb3(env, skip_render_check=False)


def test_dream_and_latent_reality_have_the_same_spaces(dot_folder):
    dream = gym.make("dreamenv:Dream-v0", world=str(dot_folder))
    real = gym.make("dreamenv:Latent-v0", world=str(dot_folder))
    assert dream.observation_space == real.observation_space
    assert dream.action_space == real.action_space
    assert dream.observation_space.shape == (8 + 32,)
    assert dream.observation_space.dtype == np.float32


def test_spec_survives_json_and_makes_the_same_environment(dot_folder):
    env = gym.make("dreamenv:Dream-v0", world=str(dot_folder), temperature=0.5)
    again = gym.make(gym.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert json.loads(env.spec.to_json())["id"] == "Dream-v0"
    assert same(play(env, [STAY] * 20, seed=1), play(again, [STAY] * 20, seed=1))


@pytest.mark.parametrize("kind", [str, Path, dreamenv.load])
def test_world_may_be_a_name_a_path_or_a_world(dot_folder, dream, kind):
    env = DreamEnv(kind(dot_folder))
    assert same(play(env, [STAY] * 20, seed=1), play(dream, [STAY] * 20, seed=1))


def test_missing_world_is_refused_by_name():
    with pytest.raises(BundleError, match="'/no/such/world'"):
        gym.make("dreamenv:Dream-v0", world="/no/such/world")


def test_observations_are_z_and_h_within_the_space(dream, random_actions):
    observations, *_ = play(dream, random_actions(dream.action_space, 20), seed=0)
    assert all(dream.observation_space.contains(observation) for observation in observations)
    assert not observations[0, 8:].any()
    assert observations[1, 8:].any()


def test_values_have_python_types_and_infos_those_of_numpy(dream):
    assert type(dream.reset(seed=0)[1]["temperature"]) is np.float64  # TorchRL reads the dtype
    _, reward, terminated, truncated, info = dream.step(STAY)
    assert (type(reward), type(terminated), type(truncated)) == (float, bool, bool)
    assert type(info["temperature"]) is np.float64


def test_seed_fixes_the_whole_episode(dot_world, dream, random_actions):
    actions = random_actions(dream.action_space, 20)
    first = play(dream, actions, seed=3)
    play(dream, actions)
    assert same(first, play(dream, actions, seed=3))
    assert same(first, play(DreamEnv(dot_world), actions, seed=3))


def test_other_seeds_and_no_seed_give_other_episodes(dream):
    first = dream.reset(seed=3)[0]
    assert not np.array_equal(first, dream.reset()[0])
    assert not np.array_equal(first, dream.reset(seed=4)[0])


def test_episodes_do_not_depend_on_global_random_numbers(dream):
    np.random.seed(0)
    torch.manual_seed(0)
    first = play(dream, [STAY] * 20, seed=3)
    np.random.seed(1)
    torch.manual_seed(1)
    assert same(first, play(dream, [STAY] * 20, seed=3))


def test_dreaming_leaves_global_random_numbers_alone(dream):
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    play(dream, [STAY] * 20)
    assert np.array_equal(before[0], np.random.get_state()[1])
    assert torch.equal(before[1], torch.get_rng_state())


@torch.no_grad()
def test_endings_and_rewards_know_no_temperature(continuous_world):
    world, batch = continuous_world, 500
    noise = Noise.draw(batch, world.model.prior_noise, torch.Generator().manual_seed(0))
    state, action = world.sample_start(noise, branched=1.0), torch.zeros(batch, 1)

    cold, hot = (world.imagine(state, action, temperature, noise) for temperature in (0.1, 3.0))

    assert not torch.equal(cold[0].z, hot[0].z)
    assert torch.equal(cold[1].ending, hot[1].ending) and torch.equal(cold[1].reward, hot[1].reward)
    assert 0 < cold[1].terminated.float().mean() < 1


def test_the_default_temperature_is_the_worlds(dot_world, dream):
    assert dream.reset()[1] == {"temperature": dot_world.config.temperature}


def test_constructor_sets_the_temperature(dot_world):
    env = DreamEnv(dot_world, temperature=0.25)
    assert env.reset(seed=0)[1]["temperature"] == 0.25
    assert env.step(STAY)[4]["temperature"] == 0.25


def test_reset_sets_the_temperature_until_the_next_such_reset(dream):
    assert dream.reset(options={"temperature": 1.5})[1]["temperature"] == 1.5
    assert dream.step(STAY)[4]["temperature"] == 1.5
    assert dream.reset()[1]["temperature"] == 1.5
    assert dream.reset(options={"temperature": None})[1]["temperature"] == 1.5
    assert dream.reset(options={"temperature": 0})[1]["temperature"] == 0.0


def test_temperature_by_option_dreams_as_temperature_by_constructor(dot_world, dream):
    cold = play(DreamEnv(dot_world, temperature=0.1), [STAY] * 20, seed=5)
    assert same(cold, play(dream, [STAY] * 20, seed=5, options={"temperature": 0.1}))
    assert not same(cold, play(dream, [STAY] * 20, seed=5, options={"temperature": 1.5}))


@pytest.mark.parametrize("value", [0, 1, 1.15, np.float32(0.5), np.int64(2), np.array(0.5), np.array([0.5])])
def test_numbers_and_arrays_of_one_are_temperatures(dot_world, value):
    assert DreamEnv(dot_world, temperature=value).reset()[1]["temperature"] == pytest.approx(float(np.ravel(value)[0]))


def test_a_pair_of_temperatures_is_drawn_from_anew_for_every_episode(dot_world):
    env = DreamEnv(dot_world, temperature=(0.1, 1.3))
    drawn = [env.reset(seed=0)[1]["temperature"], *(env.reset()[1]["temperature"] for _ in range(200))]
    assert len(set(drawn)) == len(drawn)
    assert 0.1 <= min(drawn) < 0.2 and 1.2 < max(drawn) <= 1.3
    assert env.step(STAY)[4]["temperature"] == drawn[-1]
    assert env.reset(seed=0)[1]["temperature"] == drawn[0]


def test_an_episode_at_a_drawn_temperature_is_the_episode_at_that_temperature(dot_world):
    drawing = DreamEnv(dot_world, temperature=(0.1, 1.3))
    temperature = drawing.reset(seed=7)[1]["temperature"]
    assert same(
        play(drawing, [STAY] * 20, seed=7), play(DreamEnv(dot_world, temperature=temperature), [STAY] * 20, seed=7)
    )


@pytest.mark.parametrize("value", BAD_TEMPERATURES, ids=repr)
def test_constructor_refuses_a_bad_temperature(dot_world, value):
    with pytest.raises(ValueError, match="expected a temperature: a finite number >= 0"):
        DreamEnv(dot_world, temperature=value)


@pytest.mark.parametrize("value", BAD_TEMPERATURES, ids=repr)
def test_reset_refuses_a_bad_temperature_and_keeps_the_episode(dot_world, dream, value):
    undisturbed = play(DreamEnv(dot_world), [STAY] * 3, seed=2)
    dream.reset(seed=2)
    with pytest.raises(ValueError, match="expected a temperature: a finite number >= 0"):
        dream.reset(options={"temperature": value})
    observation, _, _, _, info = dream.step(STAY)
    assert np.array_equal(observation, undisturbed[0][1])
    assert info["temperature"] == 1.0


def test_reset_refuses_unknown_options_by_name(dream):
    with pytest.raises(ValueError, match="expected the options 'temperature'.*temprature"):
        dream.reset(options={"temprature": 1.0})


def test_reset_leaves_the_callers_options_alone(dream):
    options = {"temperature": 0.5}
    dream.reset(options=options)
    assert options == {"temperature": 0.5}


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_shares_of_branched_starts_outside_0_and_1_are_refused(dot_world, value):
    with pytest.raises(ValueError, match="branched_starts from 0 to 1, got"):
        DreamEnv(dot_world, branched_starts=value)


@pytest.mark.parametrize(
    "action",
    [3, -1, 0.0, 1.5, float("nan"), "left", None, [0], np.array([0]), np.array(1.0), 10**30],
    ids=repr,
)
def test_a_bad_action_is_refused_and_the_episode_goes_on(dot_world, dream, action):
    undisturbed = play(DreamEnv(dot_world), [STAY] * 3, seed=2)
    dream.reset(seed=2)
    for step in (1, 2):
        with pytest.raises(gym.error.InvalidAction, match=r"expected an action in Discrete\(3\), got"):
            dream.step(action)
        assert np.array_equal(dream.step(STAY)[0], undisturbed[0][step])


@pytest.mark.parametrize(
    "action",
    [
        np.float32([1.01]),
        np.float32([-2.0]),
        np.float32([np.nan]),
        np.float32([np.inf]),
        np.float32([0.0, 0.0]),
        np.array(0.0, np.float32),
    ],
    ids=repr,
)
def test_a_bad_continuous_action_is_refused(continuous_world, action):
    env = DreamEnv(continuous_world)
    env.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction, match="expected an action in Box"):
        env.step(action)
    assert np.isfinite(env.step(np.float32([0.0]))[0]).all()


@pytest.mark.parametrize(
    ("action", "problem"),
    [
        (1.0, "the type is float64, not one of integers"),
        (np.array([1]), r"the shape is \(1,\), not \(\)"),
        (3, "3 is out of bounds"),
        (torch.tensor(1, dtype=torch.int32), "the type is torch.int32, not torch.int64"),
        (torch.empty((), dtype=torch.int64, device="meta"), "not one of values in memory"),
    ],
)
def test_a_refused_action_names_what_is_wrong(dream, action, problem):
    dream.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction, match=problem):
        dream.step(action)


@pytest.mark.parametrize("action", [True, np.int8(1), np.uint64(1), np.array(1), torch.tensor(1)], ids=repr)
def test_integers_of_any_type_are_actions(dot_world, dream, action):
    assert same(play(dream, [action] * 5, seed=2), play(DreamEnv(dot_world), [1] * 5, seed=2))


@pytest.mark.parametrize(
    "action", [[0.5], (0.5,), np.array([0.5]), np.float16([0.5]), [np.float64(0.5)], torch.tensor([0.5])], ids=repr
)
def test_numbers_of_any_type_are_continuous_actions(continuous_world, action):
    env, other = DreamEnv(continuous_world), LatentObservation(DotEnv(continuous=True), continuous_world)
    expected = play(env, [np.float32([0.5])] * 5, seed=2)
    assert same(play(env, [action] * 5, seed=2), expected)
    other.reset(seed=0)
    other.step(action)


def test_continuous_actions_at_the_bounds_are_taken(continuous_world):
    env = DreamEnv(continuous_world)
    left, right = (play(env, [np.float32([action])], seed=0)[0][1, 8:] for action in (-1.0, 1.0))
    assert not np.allclose(left, right)


def test_step_before_reset_is_refused(dream):
    with pytest.raises(gym.error.ResetNeeded, match="expected reset before step"):
        dream.step(STAY)


def test_step_after_the_end_is_refused_until_reset(dream):
    play(dream, [STAY] * 20, seed=0)
    with pytest.raises(gym.error.ResetNeeded):
        dream.step(STAY)
    dream.reset()
    dream.step(STAY)


def test_render_before_reset_is_refused(dot_world):
    with pytest.raises(gym.error.ResetNeeded, match="expected reset before render"):
        DreamEnv(dot_world, render_mode="rgb_array").render()


def test_render_draws_the_decoded_dream(dot_world):
    env = DreamEnv(dot_world, render_mode="rgb_array")
    observation, _ = env.reset(seed=0)
    frame = env.render()
    assert (frame.shape, frame.dtype) == ((16, 32, 3), np.uint8)
    with torch.inference_mode():
        decoded = dot_world.model.vision.decode(torch.from_numpy(observation[None, :8]), (16, 32, 3))
    assert np.array_equal(frame, decoded[0].numpy())


def test_a_first_frame_shows_the_goal_in_a_corner_and_the_dot_between(dot_world):
    env = DreamEnv(dot_world, render_mode="rgb_array")
    for seed in range(10):
        env.reset(seed=seed)
        frame = env.render().astype(int)
        green, red = (frame[..., c] - frame[..., [i for i in range(3) if i != c]].max(-1) for c in (1, 0))
        goal = np.unravel_index(green.argmax(), green.shape)
        dot = np.unravel_index(red.argmax(), red.shape)
        assert goal[0] < 6 and (goal[1] < 4 or goal[1] >= 28)
        assert 8 <= dot[0] < 12 and 8 <= dot[1] < 24


def test_render_is_none_without_a_mode(dream):
    dream.reset()
    assert dream.render() is None


def test_returned_observations_belong_to_the_caller(dot_world, dream):
    undisturbed, *_ = play(DreamEnv(dot_world), [STAY] * 5, seed=4)
    observation, _ = dream.reset(seed=4)
    for expected in undisturbed[1:]:
        observation[:] = 7.0
        observation, *_ = dream.step(STAY)
        assert np.array_equal(observation, expected)


def test_kept_observations_do_not_change_afterwards(dream):
    observations = [dream.reset(seed=4)[0]]
    copies = [observations[0].copy()]
    for _ in range(3):
        observations.append(dream.step(STAY)[0])
        copies.append(observations[-1].copy())
    assert same(observations, copies)


def test_episodes_are_truncated_at_the_limit_and_only_there(dream):
    lengths = {True: set(), False: set()}
    for seed in range(40):
        _, _, terminated, truncated = play(dream, [STAY if seed % 2 else RIGHT] * 30, seed=seed)
        assert terminated[-1] != truncated[-1]
        assert not (terminated[:-1] | truncated[:-1]).any()
        lengths[bool(truncated[-1])].add(len(terminated) - 1)
    assert lengths[True] == {20}
    assert lengths[False] and max(lengths[False]) <= 20


@pytest.mark.parametrize(("name", "steps"), [("sidewalk", 150), ("takecover", 2100)])
def test_the_specs_of_shipped_worlds_have_their_time_limits(name, steps):
    limit = json.loads((Path(dreamenv.__file__).parent / "worlds" / name / "config.json").read_text())
    assert limit["max_episode_steps"] == steps
    kind = {"sidewalk": "Sidewalk", "takecover": "TakeCover"}[name]
    assert {gym.spec(f"{prefix}{kind}-v0").max_episode_steps for prefix in ("Dream", "Latent")} == {steps}


def test_the_spec_of_a_dream_has_its_time_limit_and_wrappers_read_it(dot_folder):
    env = gym.make("dreamenv:Dream-v0", world=str(dot_folder))
    assert env.spec.max_episode_steps == env.unwrapped.spec.max_episode_steps == 20
    assert TimeAwareObservation(env, flatten=False).observation_space["time"].high == 20
    assert gym.make("dreamenv:Dream-v0", world=str(dot_folder), max_episode_steps=5).spec.max_episode_steps == 5
    for asked, limit in ((None, 20), (5, 5), (50, 20)):
        vector = gym.make_vec("dreamenv:Dream-v0", num_envs=2, world=str(dot_folder), max_episode_steps=asked)
        assert vector.spec.max_episode_steps == limit


def test_a_registered_time_limit_truncates_no_earlier_and_means_what_the_argument_means(dot_folder, monkeypatch):
    gym.register("Limited-v0", DreamEnv, max_episode_steps=20, vector_entry_point=DreamVectorEnv)
    monkeypatch.setitem(gym.registry, "Limited-v0", gym.registry.pop("Limited-v0"))
    for asked in ({}, {"max_episode_steps": 5}):
        settings = {"world": str(dot_folder), "branched_starts": 0.5}
        envs = (gym.make("Limited-v0", **settings, **asked), DreamEnv(**settings, **asked))
        assert all(same(play(envs[0], [STAY] * 30, seed=i), play(envs[1], [STAY] * 30, seed=i)) for i in range(20))
        assert gym.make_vec("Limited-v0", num_envs=2, **settings, **asked)._dreams.settings.max_steps == asked.get(
            "max_episode_steps", 20
        )


def test_an_ending_at_the_limit_is_terminated_and_not_truncated(dot_world):
    env = DreamVectorEnv(dot_world, 256, max_episode_steps=3)
    env.reset(seed=0)
    age, done, ended_at_the_limit = np.zeros(256, int), np.zeros(256, bool), 0
    for _ in range(12):
        _, _, terminated, truncated, _ = env.step(np.full(256, RIGHT))
        age = np.where(done, 0, age + 1)
        done = terminated | truncated
        assert not (terminated & truncated).any()
        assert (age[truncated] == 3).all()
        assert done[age == 3].all()
        ended_at_the_limit += (terminated & (age == 3)).sum()
    assert ended_at_the_limit > 0


def test_make_honours_a_shorter_time_limit(dot_folder):
    env = gym.make("dreamenv:Dream-v0", world=str(dot_folder), max_episode_steps=5)
    ends = [play(env, [STAY] * 30, seed=seed)[2:] for seed in range(10)]
    assert {len(truncated) - 1 for terminated, truncated in ends if truncated[-1]} == {5}


@pytest.mark.parametrize("limit", [5, 50, -1])
def test_make_and_make_vec_agree_on_the_time_limit(dot_folder, limit):
    single = gym.make("dreamenv:Dream-v0", world=str(dot_folder), max_episode_steps=limit)
    vector = gym.make_vec("dreamenv:Dream-v0", num_envs=8, world=str(dot_folder), max_episode_steps=limit)
    vector.reset(seed=0)
    expected = np.array([len(play(single, [STAY] * 60, seed=seed)[0]) - 1 for seed in range(8)])
    length = np.zeros(8, int)
    for step in range(1, 61):
        _, _, terminated, truncated, _ = vector.step(np.full(8, STAY))
        length[(length == 0) & (terminated | truncated)] = step
    assert length.tolist() == expected.tolist()


def test_a_dream_inside_gymnasiums_time_limit_is_truncated_by_it(dot_world):
    env = TimeLimit(DreamEnv(dot_world), 4)
    assert {len(play(env, [STAY] * 9, seed=seed)[0]) - 1 for seed in range(5)} == {4}


def test_rewards_are_in_the_real_units(dream):
    returns, endings = [], []
    for seed in range(60):
        _, rewards, terminated, _ = play(dream, [RIGHT] * 20, seed=seed)
        assert np.abs(rewards[:-1]).max() < 1e-6
        returns.append(rewards[-1])
        endings.append(terminated[-1])
    won = [reward for reward in returns if reward > 0.4]
    assert 0.25 < len(won) / 60 < 0.75
    assert all(0.8 <= reward <= 1.0 for reward in won)
    assert np.mean(endings) > 0.9


def test_at_temperature_0_dreams_differ_only_in_their_endings(single_start_world, random_actions):
    env = DreamVectorEnv(single_start_world, 16, temperature=0.0)
    observation, _ = env.reset(seed=0)
    alive = np.ones(16, bool)
    for action in random_actions(env.single_action_space, 20, seed=1):
        assert np.allclose(observation[alive], observation[alive][0], atol=1e-4)
        observation, _, terminated, truncated, _ = env.step(np.full(16, action))
        alive &= ~(terminated | truncated)
        if not alive.any():
            break


def test_at_temperature_1_dreams_from_one_start_part(single_start_world):
    env = DreamVectorEnv(single_start_world, 16, temperature=1.0)
    env.reset(seed=0)
    observation, *_ = env.step(np.full(16, STAY))
    assert np.ptp(observation[:, :8], axis=0).max() > 1e-3


def test_higher_temperatures_spread_the_next_z(single_start_world):
    spreads = []
    for temperature in (0.0, 0.1, 0.5, 1.0, 2.0):
        env = DreamVectorEnv(single_start_world, 256, temperature=temperature)
        env.reset(seed=0)
        spreads.append(env.step(np.full(256, STAY))[0][:, :8].std(0).mean())
    assert spreads[0] == pytest.approx(0.0, abs=1e-4)
    assert all(hotter > colder for colder, hotter in zip(spreads, spreads[1:], strict=False))


def test_branched_starts_begin_in_real_moments_of_the_middle(dot_world):
    env = DreamVectorEnv(dot_world, 64, branched_starts=1.0)
    observation, _ = env.reset(seed=0)
    moments = dot_world.features(dot_world.bank.branches).numpy()
    distance = np.abs(observation[:, None] - moments[None]).max(-1).min(1)
    assert distance.max() == 0.0
    assert (observation[:, 8:] != 0).any(1).mean() > 0.5


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_share_of_branched_starts(single_start_world, share):
    env = DreamVectorEnv(single_start_world, 2000, branched_starts=share)
    observation, _ = env.reset(seed=0)
    assert (observation[:, 8:] != 0).any(1).mean() == pytest.approx(share, abs=0.04 if share else 0.0)


def test_branched_episodes_keep_the_time_of_their_moment(single_start_world):
    env = DreamEnv(single_start_world, branched_starts=1.0, temperature=0.0)
    lengths = {
        len(truncated) - 1
        for seed in range(30)
        for _, _, _, truncated in [play(env, [STAY] * 20, seed=seed)]
        if truncated[-1]
    }
    assert lengths == {5}


@pytest.mark.parametrize(("asked", "length"), [(3, 3), (5, 5), (9, 5), (None, 5)])
def test_a_time_limit_of_ones_own_counts_from_where_a_dream_begins(single_start_world, asked, length):
    """The moment is at step 15 of 20."""
    env = DreamVectorEnv(
        single_start_world, 64, branched_starts=1.0, temperature=0.0, max_episode_steps=asked, autoreset_mode="Disabled"
    )
    env.reset(seed=0)
    ends = [env.step(np.full(64, STAY))[2:4] for _ in range(length)]
    assert not any(truncated.any() for _, truncated in ends[:-1])
    assert ends[-1][1].all()


def test_each_dream_of_a_batch_has_a_time_limit_of_its_own(single_start_world):
    env = DreamVectorEnv(
        single_start_world, 200, branched_starts=0.5, temperature=0.0, max_episode_steps=8, autoreset_mode="Disabled"
    )
    observation, _ = env.reset(seed=0)
    branched = (observation[:, 8:] != 0).any(1)
    lengths = np.zeros(200, int)
    for step in range(1, 9):
        _, _, terminated, truncated, _ = env.step(np.full(200, STAY))
        lengths[truncated] = step
        env.leave(terminated | truncated | (lengths > 0))
        if lengths.all():
            break
    assert set(lengths[branched]) == {5} and set(lengths[~branched]) == {8}


def test_first_frames_of_the_bank_are_all_used(dot_world):
    generator = torch.Generator().manual_seed(0)
    noise = Noise.draw(dot_world.bank.size * 20, dot_world.model.prior_noise, generator)
    noise = Noise(noise.uniform, torch.zeros_like(noise.normal))
    starts = dot_world.sample_start(noise).z
    assert len(torch.unique(starts, dim=0)) == len(torch.unique(dot_world.bank.first.mean, dim=0))


def test_dropout_is_drawn_for_every_episode_and_held_through_it(dot_world, monkeypatch):
    masks, original = [], World.imagine
    monkeypatch.setattr(World, "imagine", lambda *args: masks.append(args[-1].clone()) or original(*args))
    env = DreamVectorEnv(dot_world, 2, dropout=0.25, autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    for _ in range(3):
        env.step(np.full(2, STAY))
    env.reset(options={"reset_mask": np.array([True, False])})
    env.step(np.full(2, STAY))
    assert all(torch.equal(mask, masks[0]) for mask in masks[:3])
    assert torch.equal(masks[3][1], masks[0][1]) and not torch.equal(masks[3][0], masks[0][0])
    many = torch.cat([env._dreams.streams.draw_mask(np.arange(2), 32, 0.25) for _ in range(100)])
    assert many.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert many.mean() == pytest.approx(1.0, abs=0.05)


def test_dropout_changes_what_is_dreamed_but_not_what_a_seed_fixes(dot_world):
    plain, dropped, again = (play(DreamEnv(dot_world, dropout=p), [STAY] * 10, seed=4) for p in (0.0, 0.5, 0.5))
    assert same(dropped, again) and not same(plain, dropped)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_dropout_out_of_range_is_refused(dot_world, dropout):
    with pytest.raises(ValueError, match=r"expected dropout in \[0, 1\)"):
        DreamEnv(dot_world, dropout=dropout)


def test_with_a_single_latent_dimension_branching_and_temperature_have_numbers_of_their_own(continuous_world):
    """Each of three numbers decides one thing: which moment, whether to branch off, how hot the dream is."""
    config = continuous_world.config
    vision = dataclasses.replace(config.model.vision, latent_size=1)
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, vision=vision))
    model = build_model(config)
    h = torch.zeros(20, model.hidden_size)
    branches = State(torch.zeros(20, 1), h, h.clone(), torch.arange(1, 21))
    world = World(config, model, StartBank(Gaussian(torch.zeros(5, 1), torch.zeros(5, 1)), branches))
    env = DreamVectorEnv(world, 400, temperature=(0.0, 1.0), branched_starts=0.5)

    _, info = env.reset(seed=0)

    hot, branched = info["temperature"] > 0.5, (env._dreams.state.step > 0).numpy()
    late = (env._dreams.state.step > 10).numpy()[branched]
    for share in (branched[hot].mean(), branched[~hot].mean(), late[hot[branched]].mean(), late[~hot[branched]].mean()):
        assert 0.35 < share < 0.65
    env.step(env.action_space.sample())


@pytest.mark.parametrize(("latent_size", "uniform"), [(1, 3), (2, 3), (3, 4), (64, 65)])
def test_the_numbers_of_a_step_are_three_at_least(latent_size, uniform):
    spec, rows = NoiseSpec(uniform=latent_size, normal=latent_size), np.arange(2)
    for streams in (NoiseStreams(2, spec), CounterStreams(2, spec, torch.device("cpu"))):
        noise = streams.draw(rows)
        assert (noise.uniform.shape, noise.normal.shape) == ((2, uniform), (2, latent_size))
    assert Noise.draw(2, spec, torch.Generator()).uniform.shape == (2, uniform)
