"""The actor-critic in imagination: returns, gradients, and toy worlds with known best actions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from rssm_settings import SIZES, make_model
from scipy.stats import kstest, truncnorm
from toy_world import BOX, DISCRETE, toy_world

from dreamenv.agents.actor_critic import learning
from dreamenv.agents.actor_critic.config import PRESETS, ActorCriticConfig
from dreamenv.agents.actor_critic.distributions import Choice, TanhNormal, TruncatedNormal
from dreamenv.agents.actor_critic.imagine import Conditions, frozen, imagine
from dreamenv.agents.actor_critic.learning import Learner
from dreamenv.agents.actor_critic.networks import ActorCritic, Trainee, begin_at_prior
from dreamenv.agents.actor_critic.returns import lambda_returns, reach
from dreamenv.agents.actor_critic.starts import BankStarts
from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.bank import StartBank

TOY = ActorCriticConfig(
    num_envs=64, horizon=4, gamma=0.9, net_arch=(32,), actor_learning_rate=1e-2, critic_learning_rate=1e-2, dropout=0.0
)


def column(*values):
    return torch.tensor(values)[:, None]


def trainee_of(world, config, seed=0):
    torch.manual_seed(seed)
    networks = ActorCritic(world.feature_size, world.config.action, config.net_arch, config.box, config.value_unit)
    begin_at_prior(networks, world.config, config.initial_deviation)
    return Trainee(networks)


def learned(world, config, updates):
    trainee = trainee_of(world, config)
    learner, starts = Learner(world, trainee, config), BankStarts(world, 0.5)
    optimizer = torch.optim.Adam(trainee.agent.parameters(), config.actor_learning_rate)
    for step in range(updates):
        generator = torch.Generator().manual_seed(step)
        loss, _ = learner.loss(starts.draw(config.num_envs, generator), step, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return trainee


def greedy(trainee, z):
    features = torch.cat([z, torch.zeros(len(z), 2)], 1)
    policy = trainee.agent.policy(features)
    return policy.action(policy.mode()).detach()


def constant_critic(trainee, value):
    for critic in (trainee.agent.critic, trainee.slow_critic):
        torch.nn.init.constant_(critic[-1].bias, value)


def test_lambda_returns_are_those_of_a_chain_computed_by_hand():
    """Steps pay 1, 10, 100 on arrival; the second goes on by 0.5. Values 3, 5, 7, 9; gamma 0.8, lambda 0.75."""
    reward, going, value = column(1.0, 10.0, 100.0), column(1.0, 0.5, 1.0), column(3.0, 5.0, 7.0, 9.0)
    over = torch.zeros(4, 1, dtype=torch.bool)
    third = 100.0 + 0.8 * 9.0
    second = 10.0 + 0.8 * 0.5 * (0.25 * 7.0 + 0.75 * third)
    first = 1.0 + 0.8 * (0.25 * 5.0 + 0.75 * second)

    returns = lambda_returns(reward, 0.8 * going, value, over, 0.75)

    assert returns.flatten().tolist() == pytest.approx([first, second, third, 9.0])
    assert reach(going, over).flatten().tolist() == [1.0, 1.0, 0.5]


def test_with_lambda_0_a_return_is_one_step_and_the_value_behind_it():
    reward, going, value = column(1.0, 10.0), column(1.0, 0.5), column(3.0, 5.0, 7.0)
    returns = lambda_returns(reward, 0.8 * going, value, torch.zeros(3, 1, dtype=torch.bool), 0.0)

    assert returns.flatten().tolist() == pytest.approx([1.0 + 0.8 * 5.0, 10.0 + 0.4 * 7.0, 7.0])


def test_the_time_limit_cuts_at_the_value_and_what_follows_weighs_nothing():
    reward, discount, value = column(1.0, 10.0, 100.0), column(0.5, 0.5, 0.5), column(3.0, 5.0, 7.0, 9.0)
    over = torch.tensor([[False], [False], [True], [True]])

    returns = lambda_returns(reward, discount, value, over, 0.75)

    second = 10.0 + 0.5 * 7.0
    assert returns[:2].flatten().tolist() == pytest.approx([1.0 + 0.5 * (0.25 * 5.0 + 0.75 * second), second])
    assert reach(torch.full((3, 1), 0.5), over).flatten().tolist() == [1.0, 0.5, 0.0]


def test_a_return_begins_with_the_reward_of_the_first_step_that_is_still_to_come():
    """h pays 7 for arriving at the start, which no longer counts; the first imagined step pays the 5 earned before."""
    world, config = toy_world(), replace(TOY, gamma=0.5, td_lambda=1.0, horizon=2)
    trainee = trainee_of(world, config)
    start = replace(world.model.initial(1), h=torch.tensor([[5.0, 7.0]]), z=torch.ones(1, 1))

    with torch.no_grad():
        imagined = imagine(world, trainee.agent, start, config, torch.Generator().manual_seed(0), False)
    earned = torch.tensor([1.0, 0.0, -1.0])[imagined.drawn[0, 0].argmax()].item()
    returns = lambda_returns(imagined.reward, 0.5 * imagined.going, torch.zeros(3, 1), imagined.over, 1.0)

    assert imagined.reward.flatten().tolist() == [5.0, earned]
    assert returns[0].item() == pytest.approx(5.0 + 0.5 * earned)


@pytest.mark.parametrize("ending", [0.0, 0.25])
def test_probabilities_of_endings_discount_the_steps_behind_them(ending):
    world = toy_world(ending=ending)
    trainee = trainee_of(world, TOY)
    constant_critic(trainee, 8.0)
    start = replace(world.model.initial(1), h=torch.tensor([[0.0, 0.0]]))

    with torch.no_grad():
        imagined = imagine(world, trainee.agent, start, TOY, torch.Generator().manual_seed(0), False)
    assert torch.allclose(imagined.going, torch.full((4, 1), 1.0 - ending))
    value = trainee.slow_value(imagined.features).detach()
    returns = lambda_returns(0.0 * imagined.reward, 0.9 * imagined.going, value, imagined.over, 1.0)
    assert returns[0].item() == pytest.approx(8.0 * (0.9 * (1.0 - ending)) ** 4)


def test_the_time_limit_of_the_world_is_not_an_ending():
    """Two steps before the limit the return still holds the critic's 8 for what would have come."""
    world = toy_world(limit=10)
    trainee = trainee_of(world, TOY)
    constant_critic(trainee, 8.0)
    start = replace(world.model.initial(2), step=torch.tensor([8, 0]))

    with torch.no_grad():
        imagined = imagine(world, trainee.agent, start, TOY, torch.Generator().manual_seed(0), False)
    assert imagined.over.T.tolist() == [[False, False, True, True, True], [False] * 5]
    value = trainee.slow_value(imagined.features).detach()
    returns = lambda_returns(0.0 * imagined.reward, 0.9 * imagined.going, value, imagined.over, 1.0)
    assert returns[0].tolist() == pytest.approx([8.0 * 0.9**2, 8.0 * 0.9**4])


def test_a_limit_of_the_settings_counts_from_the_start_and_never_beyond_the_real_one():
    world = toy_world(limit=10)
    start = replace(world.model.initial(2), step=torch.tensor([2, 9]))
    conditions = Conditions.draw(start, world, replace(TOY, max_episode_steps=3), torch.Generator())
    assert conditions.limit.tolist() == [5, 10]


def test_episodes_draw_their_temperature_and_dropout():
    world = toy_world()
    config = replace(TOY, temperature=(0.5, 1.5), dropout=0.25)
    conditions = Conditions.draw(world.model.initial(4000), world, config, torch.Generator().manual_seed(0))

    assert conditions.temperature.min() < 0.55 and conditions.temperature.max() > 1.45
    assert 0.5 <= conditions.temperature.min() and conditions.temperature.max() <= 1.5
    assert conditions.mask.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert (conditions.mask == 0.0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert Conditions.draw(world.model.initial(2), world, TOY, torch.Generator()).temperature.tolist() == [1.0, 1.0]


def imagined_in(world, start, **changes):
    config = replace(TOY, **changes)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        return imagine(world, trainee_of(world, config).agent, start, config, generator, False)


def test_temperature_and_dropout_reach_the_model():
    """At temperature 0 every z is the mean 0; a mask of h hides about half of the first step's pay of 6."""
    world = toy_world()
    start = replace(world.model.initial(400), h=torch.tensor([[6.0, 0.0]]).expand(400, 2))

    assert not imagined_in(world, start, temperature=0.0).features[1:, :, 0].any()
    assert imagined_in(world, start).features[1:, :, 0].std().item() == pytest.approx(1.0, abs=0.1)
    assert imagined_in(world, start).reward[0].unique().tolist() == [6.0]
    assert imagined_in(world, start, dropout=0.5).reward[0].unique().tolist() == [0.0, 12.0]


def test_the_actor_reads_features_without_their_gradient(monkeypatch):
    original, gradients = ActorCritic.policy, []

    def policy(self, features):
        gradients.append(features.requires_grad)
        return original(self, features)

    monkeypatch.setattr(ActorCritic, "policy", policy)
    world, config = toy_world(), replace(TOY, dynamics_gradient=1.0)
    trainee = trainee_of(world, config)
    loss, _ = Learner(world, trainee, config).loss(world.model.initial(3), 0, torch.Generator())
    assert len(gradients) == TOY.horizon + 1 and not any(gradients) and loss.requires_grad


@pytest.mark.parametrize("share", [0.0, 1.0, 0.5])
def test_discrete_actions_are_learned_by_reinforce_by_straight_through_gradients_and_by_both(share):
    trainee = learned(toy_world(), replace(TOY, dynamics_gradient=share, least_return_range=1.0), 120)
    z = torch.linspace(-2.0, 2.0, 41)[:, None]
    clear = z[:, 0].abs() > 0.3

    assert greedy(trainee, z)[clear].tolist() == torch.where(z[:, 0] > 0, 0, 2)[clear].tolist()


@pytest.mark.parametrize("box", ["tanh-normal", "truncated-normal"])
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_actions_of_a_box_are_learned_by_gradients_through_the_dynamics(share, box):
    config = replace(TOY, num_envs=256, dynamics_gradient=share, ent_coef=1e-2, least_return_range=1.0, box=box)
    trainee = learned(toy_world(BOX), config, 200)
    z = torch.linspace(-1.5, 1.5, 31)[:, None]

    assert (greedy(trainee, z) - z).abs().max() < 0.3


def test_actions_of_a_box_are_learned_by_reinforce():
    trainee = learned(toy_world(BOX), replace(TOY, num_envs=256, least_return_range=1.0), 250)
    z = torch.linspace(-1.0, 1.0, 21)[:, None]

    assert (greedy(trainee, z) - z).abs().mean() < 0.35


def test_values_are_those_of_the_policy():
    """Actions 0 and 2 as the sign of z says earn |z|, in the mean sqrt(2 / pi), paid two steps later."""
    trainee = learned(toy_world(), replace(TOY, least_return_range=1.0, slow_fraction=1.0), 300)
    state = torch.cat([torch.randn(2000, 1, generator=torch.Generator().manual_seed(0)), torch.zeros(2000, 2)], 1)
    value = trainee.agent.value(state).detach().mean().item()

    assert value == pytest.approx(0.9 * np.sqrt(2 / np.pi) / (1 - 0.9), rel=0.2)


def test_a_critic_learns_large_values_in_its_unit_as_small_ones_in_units_of_1(monkeypatch):
    config = replace(TOY, slow_fraction=1.0)
    small = learned(toy_world(), config, 5)
    original = learning.imagine

    def in_hundreds(*arguments, **keywords):
        imagined = original(*arguments, **keywords)
        return replace(imagined, reward=100.0 * imagined.reward)

    monkeypatch.setattr(learning, "imagine", in_hundreds)
    large = learned(toy_world(), replace(config, value_unit=100.0, least_return_range=10.0), 5)

    features = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(large.agent.value(features), 100.0 * small.agent.value(features), rtol=1e-3, atol=1e-3)
    assert torch.allclose(large.slow_value(features), 100.0 * small.slow_value(features), rtol=1e-3, atol=1e-3)
    assert small.agent.value(features).abs().max() > 0.01


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("fixture", ["toy", "dot_world", "continuous_world", *SIZES])
def test_a_world_is_not_changed_and_none_of_its_weights_gets_a_gradient(request, fixture, share):
    world = request.getfixturevalue("dot_world") if fixture in SIZES else None
    if fixture in SIZES:
        world = rssm_like(world, SIZES[fixture])
    elif world is None:
        world = toy_world() if fixture == "toy" else request.getfixturevalue(fixture)
    before = {name: tensor.clone() for name, tensor in world.model.state_dict().items()}
    trained = {name: parameter.requires_grad for name, parameter in world.model.named_parameters()}
    config = replace(TOY, dynamics_gradient=share, ent_coef=0.0)
    trainee = trainee_of(world, config)
    torch.nn.init.normal_(trainee.slow_critic[-1].weight)

    loss, _ = Learner(world, trainee, config).loss(
        BankStarts(world, 0.5).draw(16, torch.Generator().manual_seed(0)), 1, torch.Generator().manual_seed(0)
    )
    loss.backward()

    assert all(tensor.equal(before[name]) for name, tensor in world.model.state_dict().items())
    assert {name: parameter.requires_grad for name, parameter in world.model.named_parameters()} == trained
    assert all(parameter.grad is None for parameter in world.model.parameters())
    assert all(parameter.grad is None for parameter in trainee.slow_critic.parameters())
    assert trainee.agent.actor[-1].weight.grad.norm() > 0 and trainee.agent.critic[-1].weight.grad.norm() > 0


def rssm_like(world, sizes):
    """A world of an untrained RSSM."""
    model = make_model(sizes)
    latent = model.posterior(model.initial(5), torch.randn(5, model.encoder.size))
    first = type(latent)(*(part.detach() for part in latent.parts))
    return replace(world, model=model, bank=StartBank(first, model.initial(5)), identity=None)


def test_weights_take_gradients_again_after_an_error():
    model = toy_world().model
    with pytest.raises(ZeroDivisionError), frozen(model):
        assert not model.scale.requires_grad
        raise ZeroDivisionError
    assert model.scale.requires_grad


def test_choices_have_the_probabilities_and_the_entropy_of_their_logits():
    policy = Choice.of(torch.tensor([[0.5, 0.25, 0.25]]).log().expand(40_000, 3))
    drawn = policy.draw(torch.rand(40_000, 1, generator=torch.Generator().manual_seed(0)), torch.empty(0))

    assert np.bincount(policy.action(drawn), minlength=3) / 40_000 == pytest.approx([0.5, 0.25, 0.25], abs=0.01)
    assert policy.log_probability(drawn).exp()[:5].tolist() == pytest.approx(
        torch.tensor([0.5, 0.25, 0.25])[policy.action(drawn)[:5]].tolist()
    )
    assert policy.entropy(drawn)[0].item() == pytest.approx(1.5 * np.log(2))


def test_a_tanh_normal_has_the_density_of_its_draws():
    """Their histogram in [-1, 1], and the entropy as the mean of minus the log-density."""
    space = ActionSpec(low=(-1.0,), high=(3.0,))
    policy = TanhNormal.of(torch.tensor([[0.4, 0.1]]).expand(200_000, 2), space)
    drawn = policy.draw(torch.empty(0), torch.randn(200_000, 1, generator=torch.Generator().manual_seed(0)))
    action = policy.action(drawn)
    density = policy.log_probability(drawn)

    assert action.min() >= -1.0 and action.max() <= 3.0
    near = (torch.tanh(drawn[:, 0]) - 0.2).abs() < 0.05
    assert near.float().mean().item() / 0.1 == pytest.approx(density[near].exp().mean().item(), rel=0.05)
    assert policy.entropy(drawn).mean().item() == pytest.approx(-density.mean().item(), abs=0.01)
    assert policy.action(policy.mode())[0].item() == pytest.approx(1.0 + 2.0 * np.tanh(5 * np.tanh(0.4 / 5)))


@pytest.mark.parametrize("outputs", [(0.4, 0.1), (2.0, -1.0), (-0.1, 3.0), (-30.0, -30.0)])
def test_a_truncated_normal_has_the_density_of_its_draws(outputs):
    """Draws stay within the bounds, and have the distribution, the density and the entropy of SciPy's."""
    policy = TruncatedNormal.of(torch.tensor([outputs]).expand(100_000, 2), ActionSpec(low=(-1.0,), high=(3.0,)))
    drawn = policy.draw(torch.empty(0), torch.randn(100_000, 1, generator=torch.Generator().manual_seed(0)))
    mean, deviation = np.tanh(outputs[0]), 2.0 / (1.0 + np.exp(-outputs[1] / 2.0)) + 0.1
    same = truncnorm((-1.0 - mean) / deviation, (1.0 - mean) / deviation, mean, deviation)
    action = policy.action(drawn)

    assert action.min() >= -1.0 and action.max() <= 3.0
    assert kstest(drawn[:, 0].numpy(), same.cdf).statistic < 0.005
    assert policy.log_probability(drawn)[:50].numpy() == pytest.approx(same.logpdf(drawn[:50, 0].numpy()), abs=2e-4)
    assert policy.entropy(drawn)[0].item() == pytest.approx(same.entropy(), abs=1e-4)
    assert policy.action(policy.mode())[0].item() == pytest.approx(1.0 + 2.0 * mean)


def test_gradients_reach_the_draws_of_a_truncated_normal():
    """The derivatives of the mean of its draws by both outputs, against differences of SciPy's mean."""
    outputs = torch.tensor([0.4, 0.1], requires_grad=True)
    policy = TruncatedNormal.of(outputs.expand(100_000, 2), BOX)
    policy.draw(torch.empty(0), torch.randn(100_000, 1, generator=torch.Generator().manual_seed(0))).mean().backward()

    def mean_of(m, s):
        mean, deviation = np.tanh(m), 2.0 / (1.0 + np.exp(-s / 2.0)) + 0.1
        return truncnorm.mean((-1.0 - mean) / deviation, (1.0 - mean) / deviation, mean, deviation)

    by_mean = (mean_of(0.41, 0.1) - mean_of(0.39, 0.1)) / 0.02
    by_spread = (mean_of(0.4, 0.11) - mean_of(0.4, 0.09)) / 0.02
    assert outputs.grad.tolist() == pytest.approx([by_mean, by_spread], abs=0.005)


@pytest.mark.parametrize("prior", [(0.9,), ()])
def test_a_truncated_actor_begins_at_the_prior_of_its_world(prior):
    world = toy_world(BOX)
    world = replace(world, config=replace(world.config, action_prior=prior))
    config = replace(TOY, box="truncated-normal", initial_deviation=1.1)
    policy = trainee_of(world, config).agent.policy(torch.randn(7, world.feature_size))

    assert torch.allclose(policy.action(policy.mode()), torch.tensor(prior or (0.0,)).expand(7, 1), atol=1e-5)
    assert torch.allclose(policy.deviation, torch.tensor(1.1), atol=1e-5)


@pytest.mark.parametrize(("action", "prior"), [(DISCRETE, (0.7, 0.2, 0.1)), (BOX, (0.9,)), (BOX, ())])
def test_an_actor_begins_at_the_prior_of_its_world(action, prior):
    world = toy_world(action)
    world = replace(world, config=replace(world.config, action_prior=prior))
    policy = trainee_of(world, replace(TOY, initial_deviation=5.0)).agent.policy(torch.randn(7, 3))

    if action.discrete:
        assert torch.allclose(policy.probabilities, torch.tensor(prior).expand(7, 3), atol=1e-6)
    else:
        assert torch.allclose(policy.action(policy.mode()), torch.tensor(prior or (0.0,)).expand(7, 1), atol=1e-5)
        assert torch.allclose((0.5 * policy.latent.log_variance).exp(), torch.tensor(5.0001), atol=1e-4)


def test_the_losses_weigh_each_moment_by_the_probability_of_reaching_it():
    """One action that pays nothing; half of the steps end; the slow critic says 8, the critic 0."""
    world = toy_world(ending=0.5)
    config = replace(TOY, horizon=2, td_lambda=1.0, ent_coef=0.25, least_return_range=None, slow_interval=9)
    trainee = trainee_of(world, config)
    torch.nn.init.constant_(trainee.slow_critic[-1].bias, 8.0)
    torch.nn.init.constant_(trainee.agent.actor[-1].bias, 0.0)
    trainee.agent.actor[-1].bias.data[1] = 20.0  # action 1
    second = 0.9 * 0.5 * 8.0
    first = 0.9 * 0.5 * second

    loss, metrics = Learner(world, trainee, config).loss(world.model.initial(3), 1, torch.Generator())

    assert metrics["return"] == pytest.approx((first + second) / 2)
    assert metrics["critic"] == pytest.approx(0.5 * (first**2 + 0.5 * second**2) / 2)
    assert loss.item() == pytest.approx(metrics["critic"], abs=1e-5)  # no entropy, and log-probabilities of 0


def test_the_slow_critic_moves_by_its_rule():
    world = toy_world()
    config = replace(TOY, slow_fraction=1.0, slow_interval=3)
    trainee = trainee_of(world, config)
    constant_critic(trainee, 0.0)
    torch.nn.init.constant_(trainee.agent.critic[-1].bias, 6.0)
    learner, start = Learner(world, trainee, config), world.model.initial(2)

    def moved(step):
        learner.loss(start, step, torch.Generator().manual_seed(0))
        return trainee.slow_critic[-1].bias.item()

    assert [moved(1), moved(2), moved(3)] == [0.0, 0.0, 6.0]
    trainee.move_slow_critic(1.0)
    torch.nn.init.constant_(trainee.agent.critic[-1].bias, 8.0)
    trainee.move_slow_critic(0.25)
    assert trainee.slow_critic[-1].bias.item() == pytest.approx(6.5)


def test_the_range_of_returns_follows_their_percentiles():
    trainee = trainee_of(toy_world(), TOY)
    trainee.measure_range(torch.arange(101.0))
    assert trainee.return_range.item() == pytest.approx(90.0)
    trainee.measure_range(torch.arange(101.0) * 2)
    assert trainee.return_range.item() == pytest.approx(0.99 * 90.0 + 0.01 * 180.0)


@pytest.mark.parametrize(
    "wrong",
    [{"action_penalty": 0.1}, {"action_penalty": (0.0, 0.1)}, {"dynamics_gradient": 1.5}, {"slow_fraction": 0.0}],
)
def test_settings_without_a_meaning_are_refused(wrong):
    with pytest.raises(SettingsError, match=f"expected {next(iter(wrong))}"):
        replace(TOY, **wrong)


def test_the_presets_are_the_published_settings():
    assert {name: preset.dynamics_gradient for name, preset in PRESETS.items()} == {
        "dreamer-v1": 1.0, "dreamer-v2": 1.0, "dreamer-v2-atari": 0.0
    }  # fmt: skip
    assert all((preset.horizon, preset.td_lambda) == (15, 0.95) for preset in PRESETS.values())
    assert {preset.least_return_range for preset in PRESETS.values()} == {None}
