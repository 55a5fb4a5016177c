"""The action penalty, alone and in batches."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch
from dot_env import DotEnv
from dot_settings import DOT_EVOLVE
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import dreamenv
from dreamenv import DreamVectorEnv
from dreamenv.envs.shaping import ActionPenalty, VectorActionPenalty

STAY = 2


class PayingEnv(gym.Env):
    """Pays 1, 2, 3, ... and ends after as many steps as its seed says, 3 without one."""

    observation_space = gym.spaces.Box(0.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self._length, self._time = seed or 3, 0
        return np.zeros(1, np.float32), {"begun": True}

    def step(self, action):
        self._time += 1
        return np.zeros(1, np.float32), float(self._time), self._time == self._length, False, {"time": self._time}


def test_the_penalty_shrinks_with_the_discount_and_the_true_return_stays():
    env = ActionPenalty(PayingEnv(), penalty=0.5, discount=0.8)
    env.reset(seed=4)
    steps = [env.step(0) for _ in range(4)]
    assert [reward for _, reward, *_ in steps] == pytest.approx([1 - 0.5, 2 - 0.4, 3 - 0.32, 4 - 0.256])
    assert [info["unshaped_return"] for *_, info in steps] == pytest.approx([1.0, 3.0, 6.0, 10.0])
    assert [info["time"] for *_, info in steps] == [1, 2, 3, 4]


def test_a_new_episode_pays_the_full_penalty_again():
    env = ActionPenalty(PayingEnv(), penalty=0.5, discount=0.1)
    for _ in range(2):
        _, info = env.reset()
        assert info == {"begun": True}
        _, reward, _, _, info = env.step(0)
        assert reward == 0.5
        assert info["unshaped_return"] == 1.0
        env.step(0)


def test_no_penalty_changes_nothing():
    env = ActionPenalty(PayingEnv(), penalty=0.0)
    env.reset()
    assert env.step(0)[1] == 1.0


def test_defaults_keep_the_penalty_below_the_reward_of_a_goal():
    env = ActionPenalty(DotEnv())
    env.reset(seed=0)
    total, true, done = 0.0, 0.0, False
    while not done:
        _, reward, terminated, truncated, info = env.step(0)
        total, true, done = total + reward, info["unshaped_return"], terminated or truncated
    assert true - 0.02 <= total < true


@pytest.mark.parametrize("kind", [ActionPenalty, VectorActionPenalty])
@pytest.mark.parametrize(
    ("penalty", "discount"),
    [(-0.1, 0.9), (float("nan"), 0.9), (float("inf"), 0.9), (0.1, 1.1), (0.1, -0.1), (0.1, float("nan"))],
)
def test_penalties_and_discounts_out_of_range_are_refused(kind, penalty, discount):
    env = PayingEnv() if kind is ActionPenalty else SyncVectorEnv([PayingEnv])
    with pytest.raises(ValueError, match=r"expected penalty >= 0 and discount in \[0, 1\], both finite, got"):
        kind(env, penalty, discount)


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_the_vector_twin_equals_single_environments(mode, random_actions):
    num_envs, ends = 4, 0
    twin = VectorActionPenalty(SyncVectorEnv([DotEnv] * num_envs, autoreset_mode=mode), 0.1, 0.9)
    singles = SyncVectorEnv([lambda: ActionPenalty(DotEnv(), 0.1, 0.9)] * num_envs, autoreset_mode=mode)
    twin.reset(seed=0)
    singles.reset(seed=0)
    done = np.zeros(num_envs, bool)
    for action in random_actions(twin.action_space, 100, seed=5):
        mine, theirs = twin.step(action), singles.step(action)
        acted = ~done if mode is AutoresetMode.NEXT_STEP else np.ones(num_envs, bool)
        for one, other in zip(mine[:4], theirs[:4], strict=True):
            assert np.allclose(one, other)
        done = mine[2] | mine[3]
        ends += done.sum()
        returns = mine[4]["unshaped_return"]
        for row in np.flatnonzero(acted):
            info = theirs[4]
            if mode is AutoresetMode.SAME_STEP and done[row]:
                info = info["final_info"]
            assert returns[row] == pytest.approx(info["unshaped_return"][row])
        if mode is AutoresetMode.DISABLED and done.any():
            twin.reset(options={"reset_mask": done.copy()})
            singles.reset(options={"reset_mask": done.copy()})
    assert ends > 10


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_full_reset_of_the_twin_begins_all_penalties_anew(mode):
    env = VectorActionPenalty(SyncVectorEnv([PayingEnv] * 2, autoreset_mode=mode), 0.5, 0.5)
    env.reset(seed=[1, 3])
    env.step(np.zeros(2, int))
    env.reset(seed=[3, 3])
    rewards = [env.step(np.zeros(2, int))[1].tolist() for _ in range(2)]
    assert rewards == [[0.5, 0.5], [1.75, 1.75]]


def test_a_masked_reset_of_the_twin_leaves_the_other_rows():
    env = VectorActionPenalty(SyncVectorEnv([PayingEnv] * 2, autoreset_mode=AutoresetMode.DISABLED), 0.5, 0.5)
    env.reset(seed=[1, 4])
    env.step(np.zeros(2, int))
    env.reset(seed=[4, 4], options={"reset_mask": np.array([True, False])})
    _, reward, _, _, info = env.step(np.zeros(2, int))
    assert reward.tolist() == [0.5, 1.75]
    assert info["unshaped_return"].tolist() == [1.0, 3.0]


def test_dreams_are_shaped_alike(dot_world, random_actions):
    plain = DreamVectorEnv(dot_world, 4, autoreset_mode=AutoresetMode.SAME_STEP)
    shaped = VectorActionPenalty(DreamVectorEnv(dot_world, 4, autoreset_mode=AutoresetMode.SAME_STEP), 0.1, 1.0)
    plain.reset(seed=0)
    shaped.reset(seed=0)
    for action in random_actions(plain.action_space, 40):
        expected, got = plain.step(action), shaped.step(action)
        assert np.allclose(got[1], expected[1] - 0.1)
        assert np.array_equal(got[0], expected[0])
        assert got[4].keys() - expected[4].keys() == {"unshaped_return", "_unshaped_return"}


def test_each_action_can_have_its_own_penalty():
    env = ActionPenalty(PayingEnv(), penalty=(0.5, 0.25), discount=0.8)
    env.reset(seed=4)
    assert [env.step(action)[1] for action in (0, 1, 1, 0)] == pytest.approx(
        [1 - 0.5, 2 - 0.25 * 0.8, 3 - 0.25 * 0.64, 4 - 0.5 * 0.512]
    )


def test_the_vector_twin_charges_the_same_for_arrays_and_tensors(dot_world):
    costs = (0.1, 0.2, 0.05)
    actions = np.random.default_rng(0).integers(3, size=(20, 4))
    results = []
    for tensors in (False, True):
        env = VectorActionPenalty(DreamVectorEnv(dot_world, 4, autoreset_mode="SameStep", tensors=tensors), costs, 1.0)
        plain = DreamVectorEnv(dot_world, 4, autoreset_mode="SameStep")
        env.reset(seed=0)
        plain.reset(seed=0)
        for row in actions:
            shaped = env.step(torch.from_numpy(row) if tensors else row)[1]
            assert shaped == pytest.approx(plain.step(row)[1] - np.take(costs, row))
            results.append(shaped)
    assert np.array_equal(results[:20], results[20:])


@pytest.mark.parametrize("penalty", [(0.1,), (0.1, 0.2, 0.3), ()])
def test_as_many_penalties_as_actions_are_expected(penalty):
    with pytest.raises(ValueError, match="one for each of 2 discrete actions, got"):
        ActionPenalty(PayingEnv(), penalty=penalty)


def test_compare_reports_the_unshaped_return_of_an_agent_trained_with_a_penalty(dot_world, tmp_path):
    agent = dreamenv.evolve(dot_world, tmp_path, dataclasses.replace(DOT_EVOLVE, action_penalty=(0.3, 0.3, 0.3)))
    config = dreamenv.CompareConfig((1.0,), episodes=4, num_envs=2)
    found = dreamenv.compare(dot_world, agent, config).scores
    (dreamed,) = (s for s in found if s.place == "dream" and s.deterministic and not s.baseline)
    env = DreamVectorEnv(dot_world, 4, temperature=1.0, autoreset_mode=AutoresetMode.DISABLED)
    played = list(dreamenv.rollout(env, agent, range(config.seed, config.seed + 4), deterministic=True))
    assert list(dreamed.returns) == pytest.approx([o.episode_return for o in sorted(played, key=lambda o: o.index)])


def test_dreams_that_cost_can_still_leave_the_batch(dot_world):
    dream = DreamVectorEnv(dot_world, 4, autoreset_mode=AutoresetMode.DISABLED)
    assert VectorActionPenalty(dream).leave == dream.leave
    bare = gym.make_vec("CartPole-v1", 2, vectorization_mode="sync")
    assert VectorActionPenalty(bare).leave is None
