"""Kinds of endings are told apart by what they pay."""

import numpy as np
import pytest

from dreamenv.data.endings import ending_kinds, kind_of, ordinary_reward
from dreamenv.data.episodes import Episode


def episode(rewards, terminated):
    rewards = np.array(rewards, np.float32)
    frames = np.zeros((len(rewards) + 1, 2, 2, 3), np.uint8)
    return Episode(frames, np.zeros(len(rewards), np.int64), rewards, terminated, not terminated, 0, "")


@pytest.mark.parametrize(
    ("final_reward", "kind"),
    [(1.0, "better"), (-0.09, "better"), (-0.1, "same"), (-0.1 + 1e-7, "same"), (-0.11, "worse"), (-100.0, "worse")],
)
def test_a_terminated_episode_is_named_by_its_last_reward(final_reward, kind):
    assert kind_of(True, final_reward, ordinary_reward=-0.1) == kind


@pytest.mark.parametrize("final_reward", [-1.0, 0.0, 1.0])
def test_a_truncated_episode_has_no_ending(final_reward):
    assert kind_of(False, final_reward, ordinary_reward=0.0) == "continues"


def test_tolerance_widens_what_counts_as_the_same():
    assert kind_of(True, 0.2, 0.0, tolerance=0.1) == "better"
    assert kind_of(True, 0.2, 0.0, tolerance=0.3) == "same"


def test_ordinary_reward_is_the_median_of_steps_that_end_nothing():
    episodes = [episode([-1.0, -1.0, 100.0], True), episode([-1.0, 5.0, -1.0, 50.0], False)]

    assert ordinary_reward(episodes) == -1.0


@pytest.mark.parametrize("episodes", [[], [episode([7.0], True)]], ids=["none", "one step"])
def test_ordinary_reward_is_zero_where_no_step_goes_on(episodes):
    assert ordinary_reward(episodes) == 0.0


def test_ending_kinds_measure_all_episodes_by_the_same_ordinary_reward():
    rewards = {"better": [-1.0, -1.0, 0.0], "same": [-1.0, -1.0], "worse": [-1.0, -1.0, -5.0]}
    episodes = [episode(values, True) for values in rewards.values()] + [episode([-1.0, -1.0, 9.0], False)]

    assert ending_kinds(iter(episodes)) == ["better", "same", "worse", "continues"]


def test_float32_rounding_does_not_make_a_kind():
    episodes = [episode([-0.1, -0.1, -0.1], True)]

    assert ending_kinds(episodes) == ["same"]
