"""Exploring policies: valid, repeatable, and led by what bumps and what does not; correlated noise for a Box."""

import dataclasses
import hashlib

import numpy as np
import pytest

from dreamenv.data.episodes import Episode
from dreamenv.data.explore import BumpStatistics, CorrelatedNoise, ExplorationConfig, Explorer
from dreamenv.foundation.spaces import ActionSpec

LEFT, RIGHT, FORWARD = range(3)
DISCRETE = ActionSpec(n=3)
BOX = ActionSpec(low=(-1.0, 0.0), high=(1.0, 5.0))
ACTIONS = pytest.mark.parametrize("action", [DISCRETE, ActionSpec(n=1), BOX], ids=["discrete", "single", "box"])
POLICIES = {
    "bump_and_turn": ExplorationConfig(bump_and_turn=1.0, preference=0.0, sticky=0.0, correlated=0.0),
    "preference": ExplorationConfig(bump_and_turn=0.0, preference=1.0, sticky=0.0, correlated=0.0),
    "sticky": ExplorationConfig(bump_and_turn=0.0, preference=0.0, sticky=1.0, correlated=0.0),
    "mixture": ExplorationConfig(),
}
DRAWN_BEFORE = {  # SHA-256 of what the policies drew for discrete actions before there was correlated noise
    "bump_and_turn": "241605c01adef3dc",
    "preference": "f79fceb1305b53b8",
    "sticky": "264b7edc13335662",
    "mixture": "0defc19bdbbaedcc",
}
CALM = ExplorationConfig(
    bump_and_turn=1.0,
    preference=0.0,
    sticky=0.0,
    noise=(0.0,),
    start_turns=0,
    bump_turns=1,
    patience=(0,),
    correlated=0.0,
)
CORRELATED = ExplorationConfig(correlated=1.0)
PEDALS = ActionSpec(low=(-1.0, 0.0, 0.0), high=(1.0, 1.0, 1.0))  # steering, gas, brake


def frame(value):
    return np.full((2, 2, 3), value, np.uint8)


def episode(actions, frames):
    return Episode(
        observations=np.stack([frame(value) for value in frames]),
        actions=np.array(actions, np.int64),
        rewards=np.zeros(len(actions), np.float32),
        terminated=False,
        truncated=True,
        seed=0,
        policy="",
    )


def play(explorer, frames):
    """Actions (T, ...) of the first policy of an explorer that sees the frames with these values."""
    actions = []
    for step, value in enumerate(frames):
        action, _ = explorer.predict(frame(value)[None], None, np.array([step == 0]))
        actions.append(action[0])
    return np.array(actions)


def explorer(action, config, seeds):
    return Explorer(action, config, BumpStatistics(action), seeds)


def test_main_action_probabilities_follow_p_times_one_minus_p():
    statistics = BumpStatistics(DISCRETE)
    turns = episode([LEFT] * 9, range(10))
    waits = episode([RIGHT] * 9, [0] * 10)
    walks = episode([FORWARD] * 9, [0, 1, 2, 3, 4, 5, 5, 5, 5, 5])

    statistics.update([turns, waits, walks])

    rate = np.array([0.5, 9.5, 4.5]) / 10.0
    score = rate * (1.0 - rate)
    np.testing.assert_allclose(statistics.main_action_probabilities, score / score.sum(), rtol=1e-12)


def test_the_moving_action_is_found():
    statistics = BumpStatistics(DISCRETE)
    turns = episode([LEFT] * 500 + [RIGHT] * 500, np.arange(1001) % 256)
    walks = episode([FORWARD] * 500, (np.arange(501) // 5) % 256)

    statistics.update([turns, walks])

    assert np.argmax(statistics.main_action_probabilities) == FORWARD
    assert statistics.main_action_probabilities[FORWARD] > 0.98


def test_nothing_seen_means_uniform():
    np.testing.assert_allclose(BumpStatistics(DISCRETE).main_action_probabilities, np.ones(3) / 3)


def test_statistics_add_up_over_updates():
    parts = [episode([0, 1, 2], [0, 0, 1, 1]), episode([2, 2, 0], [0, 1, 1, 2])]
    together, one_by_one = BumpStatistics(DISCRETE), BumpStatistics(DISCRETE)

    together.update(parts)
    for part in parts:
        one_by_one.update([part])

    np.testing.assert_array_equal(together.main_action_probabilities, one_by_one.main_action_probabilities)


def test_continuous_actions_are_not_counted():
    statistics = BumpStatistics(BOX)
    continuous = Episode(np.zeros((3, 2, 2, 3), np.uint8), np.zeros((2, 2), np.float32), *([None] * 5))

    statistics.update([continuous])

    assert len(statistics._tries) == 0


@ACTIONS
@pytest.mark.parametrize("name", POLICIES)
def test_actions_are_valid(action, name):
    policy = explorer(action, POLICIES[name], range(40))
    starts = np.ones(40, bool)

    for step in range(25):
        frames = np.stack([frame((step // 3) % 7)] * 40)
        chosen, _ = policy.predict(frames, None, starts & (step == 0))
        assert chosen.shape == ((40,) if action.discrete else (40, 2))
        assert chosen.dtype == action.space.dtype
        assert all(action.space.contains(one) for one in chosen)


@pytest.mark.parametrize("name", POLICIES)
def test_discrete_episodes_are_those_of_before(name):
    frames = [0, 1, 1, 2, 2, 2, 3, 0, 0, 1] * 5
    runs = np.array([play(explorer(DISCRETE, POLICIES[name], [seed]), frames) for seed in range(20)])

    assert hashlib.sha256(runs.tobytes()).hexdigest().startswith(DRAWN_BEFORE[name])


@ACTIONS
@pytest.mark.parametrize("name", POLICIES)
def test_the_same_seed_acts_the_same(action, name):
    frames = [0, 1, 1, 2, 2, 2, 3, 0, 0, 1] * 5
    first = play(explorer(action, POLICIES[name], [7]), frames)
    again = play(explorer(action, POLICIES[name], [7]), frames)

    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("name", POLICIES)
def test_other_seeds_act_otherwise(name):
    frames = [0, 1, 1, 2, 2, 2, 3, 0, 0, 1] * 5
    runs = {play(explorer(DISCRETE, POLICIES[name], [seed]), frames).tobytes() for seed in range(20)}

    assert len(runs) > 10


def test_an_episode_does_not_depend_on_its_neighbours():
    frames = [0, 1, 1, 2, 2, 2, 3, 0, 0, 1] * 3
    batch = explorer(DISCRETE, POLICIES["mixture"], [5, 6, 7])
    together = []
    for step, value in enumerate(frames):
        neighbours = np.stack([frame(200 + step), frame(value), frame(100)])
        together.append(batch.predict(neighbours, None, np.full(3, step == 0))[0][1])

    np.testing.assert_array_equal(together, play(explorer(DISCRETE, POLICIES["mixture"], [6]), frames))


def test_a_slot_that_starts_anew_takes_the_next_seed():
    frames = [0, 1, 1, 2, 2, 2, 3, 0, 0, 1] * 3
    policy = explorer(DISCRETE, POLICIES["mixture"], [5, 6])
    play(policy, [0, 1, 2])

    np.testing.assert_array_equal(play(policy, frames), play(explorer(DISCRETE, POLICIES["mixture"], [6]), frames))


@pytest.mark.parametrize("name", ["bump_and_turn", "preference", "sticky"])
def test_the_name_says_who_acts(name):
    named = explorer(DISCRETE, POLICIES[name], [0]).name(0)

    assert named.replace("-", "_").startswith(name)


def test_names_follow_the_shares():
    policy = explorer(DISCRETE, ExplorationConfig(bump_and_turn=5.0, preference=3.0, sticky=2.0), [0])
    names = [policy.name(seed).partition("(")[0] for seed in range(1000)]

    shares = [names.count(name) / 1000 for name in ("bump-and-turn", "preference", "sticky")]

    np.testing.assert_allclose(shares, [0.5, 0.3, 0.2], atol=0.06)


@pytest.mark.parametrize("seed", range(10))
def test_bump_and_turn_goes_on_while_the_frame_changes(seed):
    actions = play(explorer(DISCRETE, CALM, [seed]), range(30))

    assert len(set(actions.tolist())) == 1


@pytest.mark.parametrize("action", [DISCRETE, BOX], ids=["discrete", "box"])
@pytest.mark.parametrize("seed", range(10))
def test_bump_and_turn_takes_another_action_after_an_unchanged_frame(action, seed):
    actions = play(explorer(action, CALM, [seed]), [0, 1, 2, 3, 3, 4])

    assert not np.array_equal(actions[4], actions[3])
    np.testing.assert_array_equal(actions[5], actions[3])


@pytest.mark.parametrize("action", [DISCRETE, BOX], ids=["discrete", "box"])
def test_bump_and_turn_does_not_always_turn_the_same_way(action):
    actions = play(explorer(action, CALM, [0]), [0] * 60)
    turns = [turn for turn in actions[1::2] if not np.array_equal(turn, actions[0])]

    assert len(np.unique(turns, axis=0)) > 1


@pytest.mark.parametrize("seed", range(5))
def test_bump_and_turn_does_not_mind_an_unchanged_frame_after_a_turn(seed):
    actions = play(explorer(DISCRETE, CALM, [seed]), [0, 1, 2, 3, 3, 3, 5])

    assert actions[5] == actions[3]


def test_patience_is_drawn_for_each_episode_from_its_values():
    config = dataclasses.replace(CALM, patience=(0, 3, 5))
    tries = set()
    for seed in range(40):
        actions = play(explorer(DISCRETE, config, [seed]), [0] * 10)
        tries.add(int(np.argmax(actions != actions[0])))

    assert tries == {1, 4, 6}


@pytest.mark.parametrize("name", ["bump_and_turn", "preference"])
def test_policies_favour_the_moving_action(name):
    statistics = BumpStatistics(DISCRETE)
    turns = episode([LEFT] * 500 + [RIGHT] * 500, np.arange(1001) % 256)
    statistics.update([turns, episode([FORWARD] * 500, np.arange(501) // 5)])
    acting = Explorer(DISCRETE, POLICIES[name], statistics, range(50))
    chosen = []
    for step in range(60):
        actions, _ = acting.predict(np.stack([frame(step)] * 50), None, np.full(50, step == 0))
        chosen.extend(actions.tolist())

    assert np.mean(np.array(chosen) == FORWARD) > 0.6


def test_sticky_actions_are_held_for_one_to_hold_steps():
    config = dataclasses.replace(POLICIES["sticky"], hold=(4,))
    actions = play(explorer(BOX, config, [3]), range(200))
    changes = np.flatnonzero((actions[1:] != actions[:-1]).any(1)) + 1
    held = np.diff(np.concatenate([[0], changes]))

    assert set(held.tolist()) == {1, 2, 3, 4}


def test_how_long_sticky_actions_are_held_is_drawn_for_each_episode():
    config = dataclasses.replace(POLICIES["sticky"], hold=(1, 50))
    changes = [
        (np.diff(play(explorer(BOX, config, [seed]), range(200)), axis=0) != 0).any(1).mean() for seed in range(20)
    ]

    assert {round(share, 1) for share in changes} == {0.0, 1.0}


@pytest.mark.parametrize(("strength", "share"), [(0.0, 1 / 3), (1.5, np.e**1.5 / (np.e**1.5 + 2))])
def test_preference_is_a_softmax_with_one_raised_logit(strength, share):
    config = ExplorationConfig(bump_and_turn=0.0, preference=1.0, sticky=0.0, preference_strength=(strength, strength))
    counts = np.sort(np.bincount(play(explorer(DISCRETE, config, [1]), [0] * 4000), minlength=3)) / 4000

    np.testing.assert_allclose(counts, [(1 - share) / 2, (1 - share) / 2, share], atol=0.03)


@pytest.mark.parametrize("correlation", [1.0, 10.0])
def test_correlated_noise_has_the_spread_and_the_memory_that_it_is_given(correlation):
    noise = CorrelatedNoise(BOX, 0.1, (correlation, correlation), np.random.default_rng(0))
    middle = np.array([0.0, 2.5])
    drawn = np.array([noise.around(middle) for _ in range(40_000)]) - middle

    np.testing.assert_allclose(drawn.std(0), [0.1, 0.25], rtol=0.1)
    np.testing.assert_allclose(
        [np.corrcoef(one[1:], one[:-1])[0, 1] for one in drawn.T], np.exp(-1 / correlation), atol=0.03
    )


@pytest.mark.parametrize("high", [1.0, float(np.finfo(np.float32).max)])
def test_correlated_noise_stays_within_any_box(high):
    action = ActionSpec(low=(-high, high / 2), high=(high, high))
    chosen = play(explorer(action, CORRELATED, [0]), range(200))

    assert chosen.dtype == np.float32 and all(action.space.contains(one) for one in chosen)


def preferred(action, episodes=300):
    """(episodes, A): what every episode prefers, seen through little noise."""
    config = dataclasses.replace(CORRELATED, spread=(1e-3, 1e-3))
    policy = Explorer(action, config, BumpStatistics(action), range(episodes))
    return policy.predict(np.stack([frame(0)] * episodes), None, np.ones(episodes, bool))[0]


def test_every_episode_of_a_box_prefers_an_action_and_leaves_half_its_dimensions_at_rest():
    steer, gas, brake = preferred(PEDALS).T
    at_rest = np.abs([steer, gas, brake]) < 0.005

    np.testing.assert_allclose(at_rest.mean(1), 0.5, atol=0.1)
    assert ((gas > 0.1) & at_rest[2]).mean() > 0.15  # uniform actions press both pedals in every episode
    assert np.ptp(steer) > 1.5 and gas.max() > 0.8


def test_a_box_without_zero_rests_in_its_middle():
    chosen = preferred(ActionSpec(low=(2.0,), high=(4.0,)))[:, 0]

    assert (np.abs(chosen - 3.0) < 0.01).mean() == pytest.approx(0.5, abs=0.1)


def test_correlated_noise_takes_its_share_of_the_episodes_of_a_box_only():
    names = [explorer(BOX, ExplorationConfig(), [0]).name(seed) for seed in range(500)]

    assert names.count("correlated") / 500 == pytest.approx(0.8, abs=0.06)
    assert "correlated" not in {explorer(DISCRETE, CORRELATED, [0]).name(seed) for seed in range(100)}
