"""The one loop in which a policy acts, on an environment whose every number is known."""

import tracemalloc

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, VectorEnv

from dreamenv.rollouts import rollout


def length_of(seed):
    return 1 + seed % 4


def reward_at(seed, t):
    return float(seed) + 0.25 * t


class CountingEnv(VectorEnv):
    """Episode s lasts ``length_of(s)`` steps, pays ``reward_at(s, t)`` and shows (s, t); even ones terminate."""

    def __init__(self, num_envs, autoreset_mode=AutoresetMode.DISABLED):
        self.num_envs = num_envs
        self.metadata = {"autoreset_mode": autoreset_mode}
        self.single_observation_space = gym.spaces.Box(0, np.inf, (2,))
        self.single_action_space = gym.spaces.Discrete(1000)
        self.seeds, self.time = np.zeros(num_envs, int), np.zeros(num_envs, int)
        self.begun, self.options, self.done = [], [], np.zeros(num_envs, bool)

    def reset(self, *, seed=None, options=None):
        options = dict(options)
        mask = options.pop("reset_mask", np.ones(self.num_envs, bool))
        self.options.append(options)
        self.seeds[mask], self.time[mask], self.done[mask] = np.array(seed)[mask], 0, False
        self.begun.extend(self.seeds[mask].tolist())
        return self._observation(), {}

    def step(self, actions):
        assert not self.done.any(), "stepped an episode that was over"
        reward = np.array([reward_at(s, t) for s, t in zip(self.seeds, self.time, strict=True)])
        self.time += 1
        self.done = self.time >= np.array([length_of(seed) for seed in self.seeds])
        even = self.seeds % 2 == 0
        return self._observation(), reward, self.done & even, self.done & ~even, {}

    def _observation(self):
        return np.stack([self.seeds, self.time], axis=1).astype(np.float32)


class RecordingPolicy:
    """Answers 10 s + t; keeps what it was given."""

    def __init__(self):
        self.calls = []

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        self.calls.append((observation, state, episode_start, deterministic))
        return (10 * observation[:, 0] + observation[:, 1]).astype(np.int64), len(self.calls)


def play(num_envs, seeds, policy=None, **kwargs):
    return list(rollout(CountingEnv(num_envs), policy or RecordingPolicy(), seeds, **kwargs))


SIZES = pytest.mark.parametrize(("num_envs", "episodes"), [(1, 7), (3, 11), (4, 4), (8, 3), (5, 1)])


@SIZES
def test_every_seed_is_played_once(num_envs, episodes):
    seeds = list(range(100, 100 + episodes))

    outcomes = play(num_envs, seeds)

    assert sorted(outcome.seed for outcome in outcomes) == seeds
    assert [seeds[outcome.index] for outcome in outcomes] == [outcome.seed for outcome in outcomes]


@SIZES
def test_outcomes_are_those_of_the_seed(num_envs, episodes):
    for outcome in play(num_envs, range(100, 100 + episodes)):
        length = length_of(outcome.seed)
        rewards = [reward_at(outcome.seed, t) for t in range(length)]
        assert outcome.length == length
        assert outcome.episode_return == sum(rewards)
        assert outcome.final_reward == rewards[-1]
        assert outcome.terminated == (outcome.seed % 2 == 0)


@SIZES
def test_trajectories_hold_every_step(num_envs, episodes):
    for outcome in play(num_envs, range(100, 100 + episodes), record=True):
        steps, length, seed = outcome.trajectory, outcome.length, outcome.seed
        assert steps.observations.tolist() == [[seed, t] for t in range(length + 1)]
        assert steps.actions.tolist() == [10 * seed + t for t in range(length)]
        assert steps.rewards.tolist() == [reward_at(seed, t) for t in range(length)]


def test_trajectories_have_the_dtypes_of_the_store():
    (outcome,) = play(1, [3], record=True)
    steps = outcome.trajectory

    assert (steps.observations.dtype, steps.actions.dtype, steps.rewards.dtype) == (np.float32, np.int64, np.float32)


def test_trajectories_are_left_out_unless_asked_for():
    assert all(outcome.trajectory is None for outcome in play(2, range(5)))


def test_the_same_seed_may_be_played_twice():
    outcomes = play(2, [4, 4, 4])

    assert sorted(outcome.index for outcome in outcomes) == [0, 1, 2]
    assert {outcome.seed for outcome in outcomes} == {4}


def test_no_seeds_mean_no_episodes():
    assert play(2, []) == []


def test_episodes_begin_in_the_order_of_their_seeds():
    env = CountingEnv(3)
    list(rollout(env, RecordingPolicy(), range(20, 32)))

    assert list(dict.fromkeys(env.begun)) == list(range(20, 32))


def test_outcomes_come_in_the_order_in_which_episodes_end():
    assert [outcome.seed for outcome in play(3, [3, 2, 1])] == [1, 2, 3]


def test_outcomes_come_while_the_others_are_still_playing():
    env = CountingEnv(2)
    outcomes = rollout(env, RecordingPolicy(), [3, 0, 3, 3])

    assert next(outcomes).seed == 0
    assert env.begun == [3, 0]


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP, None])
def test_environments_that_reset_themselves_are_refused(mode):
    with pytest.raises(ValueError, match="autoreset disabled"):
        list(rollout(CountingEnv(2, mode), RecordingPolicy(), [0]))


def test_the_policy_is_told_where_episodes_begin():
    policy = RecordingPolicy()
    play(3, range(9), policy)

    for observation, _, start, _ in policy.calls:
        assert start.dtype == np.bool_
        np.testing.assert_array_equal(start, observation[:, 1] == 0)


def test_the_policy_gets_its_own_state_back():
    policy = RecordingPolicy()
    play(2, range(5), policy)

    assert [state for _, state, _, _ in policy.calls] == [None, *range(1, len(policy.calls))]


@pytest.mark.parametrize("deterministic", [False, True])
def test_the_policy_is_told_whether_to_be_greedy(deterministic):
    policy = RecordingPolicy()
    play(2, range(3), policy, deterministic=deterministic)

    assert {call[3] for call in policy.calls} == {deterministic}


def test_options_go_to_every_reset():
    env = CountingEnv(2)
    list(rollout(env, RecordingPolicy(), range(6), options={"temperature": 0.5}))

    assert len(env.options) > 2
    assert all(options == {"temperature": 0.5} for options in env.options)


def test_options_are_not_changed():
    options = {"temperature": 0.5}
    play(2, range(6), options=options)

    assert options == {"temperature": 0.5}


def test_every_observation_of_an_episode_is_announced():
    announced = []
    env = CountingEnv(1)
    list(rollout(env, RecordingPolicy(), [5, 7], on_observation=lambda: announced.append((env.seeds[0], env.time[0]))))

    assert announced == [(seed, t) for seed in (5, 7) for t in range(length_of(seed) + 1)]


@pytest.mark.parametrize("num_envs", [1, 3])
def test_steps_of_finished_episodes_are_forgotten(num_envs):
    class Frames(CountingEnv):
        def _observation(self):
            return np.zeros((self.num_envs, 100_000), np.uint8)

    class Stays:
        def predict(self, observation, *args):
            return np.zeros(len(observation), np.int64), None

    longest = max(length_of(seed) for seed in range(40)) + 1
    tracemalloc.start()
    try:
        for _ in rollout(Frames(num_envs), Stays(), range(40), record=True):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < (num_envs + 3) * longest * 100_000  # not of 40 episodes
