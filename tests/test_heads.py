"""How a dreamed step ends, and what it pays."""

import math

import pytest
import torch

from dreamenv.models.heads import EndingHead, RewardHead, decide_ending, mean_per_kind

DRAWS = 40_000


def decide(probabilities, rules, uniform):
    return decide_ending(torch.tensor([probabilities]), rules, torch.tensor([uniform])).item()


def shares(probabilities, rules):
    uniform = torch.rand(DRAWS, generator=torch.Generator().manual_seed(0))
    kinds = decide_ending(torch.tensor(probabilities).expand(DRAWS, -1), rules, uniform)
    return torch.bincount(kinds, minlength=len(probabilities)) / DRAWS


@pytest.mark.parametrize("uniform", [0.0, 0.3, 0.999])
@pytest.mark.parametrize(("goal", "kind"), [(0.2, 0), (0.5, 0), (0.51, 1), (1.0, 1)])
def test_a_threshold_never_draws(goal, kind, uniform):
    assert decide([1.0 - goal, goal], ["threshold"], uniform) == kind


@pytest.mark.parametrize("probability", [0.0, 0.05, 0.5, 0.95, 1.0])
def test_a_sampled_ending_happens_as_often_as_its_probability(probability):
    frequency = shares([1.0 - probability, probability], ["sample"])[1].item()

    assert frequency == pytest.approx(probability, abs=4 * 0.5 / math.sqrt(DRAWS))


def test_two_sampled_endings_share_the_draw():
    expected = [0.5, 0.2, 0.3]

    torch.testing.assert_close(shares(expected, ["sample", "sample"]), torch.tensor(expected), atol=0.01, rtol=0.0)


@pytest.mark.parametrize("rules", [["sample", "threshold"], ["threshold", "sample"]])
def test_an_uncertain_threshold_kind_leaves_the_sampled_one_its_share(rules):
    sampled = 1 + rules.index("sample")
    probabilities = [0.3, 0.4, 0.4]
    probabilities[sampled] = 0.3

    frequency = shares(probabilities, rules)

    assert frequency[sampled].item() == pytest.approx(0.3, abs=0.01)
    assert frequency[0].item() == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize("rules", [["sample", "threshold"], ["threshold", "sample"]])
@pytest.mark.parametrize("uniform", [0.0, 0.2, 0.999])
def test_a_certain_goal_wins_over_a_sampled_ending(rules, uniform):
    goal = 1 + rules.index("threshold")
    probabilities = [0.0, 0.45, 0.45]
    probabilities[goal] = 0.55

    assert decide(probabilities, rules, uniform) == goal


def test_every_row_is_decided_alone():
    probabilities = torch.tensor([[0.1, 0.9], [0.9, 0.1], [0.4, 0.6]])

    assert decide_ending(probabilities, ["threshold"], torch.rand(3)).tolist() == [1, 0, 1]


def test_a_world_without_endings_goes_on():
    assert decide_ending(torch.ones(3, 1), [], torch.rand(3)).tolist() == [0, 0, 0]


def test_decisions_are_int64():
    assert decide_ending(torch.tensor([[0.5, 0.5]]), ["sample"], torch.rand(1)).dtype == torch.int64


def test_the_shift_calibrates():
    probabilities = torch.tensor([[0.97, 0.02, 0.01], [0.2, 0.5, 0.3]])
    head = EndingHead(3, 3)
    head.shift.copy_(torch.tensor([-0.4, 1.3, 2.1]))
    torch.nn.init.eye_(head.linear.weight)
    torch.nn.init.zeros_(head.linear.bias)

    torch.testing.assert_close(head.probabilities(probabilities.log() + head.shift), probabilities)


def test_a_fresh_head_is_not_shifted():
    head = EndingHead(4, 3)
    h = torch.randn(5, 4)

    torch.testing.assert_close(head.probabilities(h), head(h).softmax(-1))


def test_the_shift_is_stored_with_the_weights():
    assert "shift" in EndingHead(4, 3).state_dict()


REWARDS = torch.tensor([0.0, 0.0, 0.0, 0.2, 0.9, 0.5, -0.1, -0.1, -0.1])
KINDS = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2])


@pytest.fixture
def reward_head():
    torch.manual_seed(0)
    head = RewardHead(4, 4)
    head.fit_range(REWARDS, KINDS)
    return head


@pytest.mark.parametrize("size", [1.0, 1e3, 1e6])
def test_rewards_never_leave_the_range_of_their_kind(reward_head, size):
    h, elapsed = size * torch.randn(500, 4), torch.rand(500)

    rewards = reward_head.rewards(h, elapsed)

    assert rewards.shape == (500, 4)
    for kind in range(3):
        seen = REWARDS[KINDS == kind]
        assert seen.min() <= rewards[:, kind].min() <= rewards[:, kind].max() <= seen.max()


@pytest.mark.parametrize(("kind", "value"), [(0, 0.0), (2, -0.1), (3, 0.0)], ids=["zero", "penalty", "unseen"])
def test_a_kind_that_never_varies_is_exactly_constant(reward_head, kind, value):
    rewards = reward_head.rewards(1e3 * torch.randn(500, 4), torch.rand(500))[:, kind]

    assert (rewards == torch.tensor(value)).all()


def test_a_constant_that_rounds_stays_exactly_constant():
    head = RewardHead(4, 1)
    head.fit_range(torch.full((1000,), -0.1), torch.zeros(1000, dtype=torch.int64))

    assert (head.rewards(1e6 * torch.randn(500, 4), torch.rand(500)) == torch.tensor(-0.1)).all()


def test_a_kind_that_varies_is_predicted_from_h_and_time(reward_head):
    h = torch.randn(1, 4)

    assert reward_head.rewards(h, torch.tensor([0.0]))[0, 1] != reward_head.rewards(h, torch.tensor([1.0]))[0, 1]
    assert reward_head.rewards(h, torch.tensor([0.0]))[0, 1] != reward_head.rewards(-h, torch.tensor([0.0]))[0, 1]


def test_standardised_targets_have_mean_zero_and_spread_one(reward_head):
    targets = reward_head.standardise(REWARDS, KINDS)

    torch.testing.assert_close(targets[KINDS == 1].mean(), torch.tensor(0.0), atol=1e-6, rtol=0.0)
    torch.testing.assert_close(targets[KINDS == 1].std(correction=0), torch.tensor(1.0))
    assert (targets[KINDS == 0] == 0.0).all()


def test_a_perfect_prediction_of_the_target_is_the_reward(reward_head):
    target = reward_head.standardise(REWARDS, KINDS)
    units = reward_head.mean[KINDS] + reward_head.spread[KINDS] * target

    torch.testing.assert_close(units, REWARDS)


def test_mean_per_kind_weighs_every_kind_alike():
    losses = torch.tensor([1.0, 3.0, 10.0])

    assert mean_per_kind(losses, torch.tensor([0, 0, 2]), 4).item() == pytest.approx(2.0 + 10.0)
