"""The linear controller, and a population of them as one policy."""

import numpy as np
import pytest
import scipy.special
import torch

import dreamenv
from dreamenv import DreamVectorEnv, LinearAgent, rollout
from dreamenv.agents.evolve import Population
from dreamenv.agents.linear import save_linear
from dreamenv.foundation.spaces import ActionSpec

CPU = torch.device("cpu")
THREE = ActionSpec(n=3)
BOX = ActionSpec(low=(-1.0, 0.0), high=(1.0, 4.0))


def agent_of(action=THREE, features=5, seed=0):
    generator = np.random.default_rng(seed)
    return LinearAgent(generator.normal(size=(action.size, features)), generator.normal(size=action.size), action)


def test_sidewalks_controller_has_1731_parameters():
    agent = LinearAgent.from_parameters(np.zeros(1731), THREE)
    assert agent.num_parameters == 1731
    assert agent.weight.shape == (3, 64 + 512)


def test_flat_parameters_are_rows_of_weights_each_followed_by_its_bias():
    agent = LinearAgent.from_parameters(np.arange(9.0), THREE)
    assert agent.weight.tolist() == [[0, 1], [3, 4], [6, 7]]
    assert agent.bias.tolist() == [2, 5, 8]


@pytest.mark.parametrize(
    ("weight", "bias"), [((2, 5), (3,)), ((3, 5), (2,)), ((3,), (3,)), ((3, 5), (3, 1)), ((5, 3), (5,))]
)
def test_shapes_that_do_not_fit_the_actions_are_refused(weight, bias):
    with pytest.raises(ValueError, match=r"expected weight \(3, F\) and bias \(3,\), got"):
        LinearAgent(np.zeros(weight), np.zeros(bias), THREE)


def test_greedy_actions_are_the_largest_outputs():
    agent = agent_of()
    observation = np.random.default_rng(1).normal(size=(50, 5)).astype(np.float32)
    actions, state = agent.predict(observation, deterministic=True)
    assert state is None
    assert actions.shape == (50,)
    assert np.array_equal(actions, (observation @ agent.weight.T + agent.bias).argmax(1))


@pytest.mark.parametrize("action", [THREE, BOX])
def test_one_observation_gets_the_action_of_its_row_in_a_batch(action):
    agent = agent_of(action)
    observation = np.random.default_rng(1).normal(size=(20, 5)).astype(np.float32)
    batch, _ = agent.predict(observation, deterministic=True)
    for row in range(20):
        single, _ = agent.predict(observation[row], deterministic=True)
        assert np.shape(single) == np.shape(batch)[1:]
        assert np.allclose(single, batch[row])


def test_actions_fit_the_action_space():
    observation = np.random.default_rng(1).normal(size=5).astype(np.float32)
    for action in (THREE, BOX):
        for deterministic in (True, False):
            assert action.space.contains(agent_of(action).predict(observation, deterministic=deterministic)[0])


def test_sampled_shares_are_the_softmax():
    agent = LinearAgent(np.zeros((3, 2)), np.array([0.0, 1.0, -1.0]), THREE, seed=3)
    actions, _ = agent.predict(np.zeros((40_000, 2), np.float32))
    shares = np.bincount(actions, minlength=3) / 40_000
    assert shares == pytest.approx(scipy.special.softmax([0.0, 1.0, -1.0]), abs=0.01)


def test_a_seed_restarts_the_draws():
    agent, observation = agent_of(), np.zeros((30, 5), np.float32)
    agent.set_random_seed(9)
    first, second = agent.predict(observation)[0], agent.predict(observation)[0]
    agent.set_random_seed(9)
    assert np.array_equal(agent.predict(observation)[0], first)
    assert not np.array_equal(first, second)


def test_continuous_actions_are_squashed_into_their_bounds():
    agent = LinearAgent(np.array([[1.0], [1.0]]), np.zeros(2), BOX)
    actions, _ = agent.predict(np.float32([[-100.0], [0.0], [0.5], [100.0]]))
    squashed = 0.5 * (1 + np.tanh(0.5))
    assert actions.dtype == np.float32
    assert actions == pytest.approx(np.array([[-1, 0], [0, 2], [2 * squashed - 1, 4 * squashed], [1, 4]]), abs=1e-6)


def test_only_discrete_agents_have_draws_to_make():
    assert agent_of(THREE).stochastic
    assert not agent_of(BOX).stochastic


@pytest.mark.parametrize("action", [THREE, BOX])
def test_an_agent_survives_its_files(tmp_path, dot_world, action):
    agent = agent_of(action)
    save_linear(agent, tmp_path, dot_world)
    again = dreamenv.load_agent(tmp_path)
    assert np.array_equal(again.weight, agent.weight)
    assert np.array_equal(again.bias, agent.bias)
    assert again.action == action


@pytest.mark.parametrize("action", [THREE, BOX])
def test_a_population_acts_as_its_members_would(action):
    parameters = np.random.default_rng(2).normal(size=(4, action.size * 6))
    observation = np.random.default_rng(3).normal(size=(12, 5)).astype(np.float32)
    population = Population(parameters, action, 3, 0, CPU)
    actions, _ = population.predict(torch.from_numpy(observation), None, np.ones(12, bool), deterministic=True)
    for row in range(12):
        member = LinearAgent.from_parameters(parameters[row // 3], action)
        assert np.allclose(actions[row], member.predict(observation[row], deterministic=True)[0], atol=1e-6)


def test_members_follow_the_episodes_when_slots_refill():
    always = np.zeros((3, 3, 2))
    always[[0, 1, 2], [0, 1, 2], 1] = 1.0
    population = Population(always.reshape(3, 6), THREE, 2, 0, CPU)
    observation, state = torch.zeros(2, 1), None
    acted = []
    for start in ([1, 1], [0, 1], [0, 0], [1, 1], [1, 0]):
        actions, state = population.predict(observation, state, np.array(start, bool), deterministic=True)
        acted.append(actions.tolist())
    # episodes 0 and 1 belong to member 0, 2 and 3 to member 1, 4 and 5 to member 2
    assert acted == [[0, 0], [0, 1], [0, 1], [1, 2], [2, 2]]


def test_slots_beyond_the_last_episode_are_played_by_the_last_member():
    always = np.zeros((2, 3, 2))
    always[[0, 1], [0, 1], 1] = 1.0
    population = Population(always.reshape(2, 6), THREE, 1, 0, CPU)
    actions, _ = population.predict(torch.zeros(4, 1), None, np.ones(4, bool), deterministic=True)
    assert actions.tolist() == [0, 1, 1, 1]


def test_a_population_scores_every_member_as_it_would_score_alone(dot_world):
    parameters = np.random.default_rng(4).normal(size=(5, 3 * (dot_world.feature_size + 1)))
    env = DreamVectorEnv(dot_world, 7, autoreset_mode="Disabled", tensors=True)
    single = DreamVectorEnv(dot_world, 7, autoreset_mode="Disabled")
    seeds = list(range(100, 106))
    population = Population(parameters, THREE, 6, 0, CPU)
    outcomes = {o.index: o for o in rollout(env, population, seeds * 5, deterministic=True)}
    assert sorted(outcomes) == list(range(30))
    for member in range(5):
        agent = LinearAgent.from_parameters(parameters[member], THREE)
        alone = {o.index: o for o in rollout(single, agent, seeds, deterministic=True)}
        for index in range(6):
            together = outcomes[6 * member + index]
            assert together.seed == alone[index].seed
            assert together.length == alone[index].length
            assert together.episode_return == pytest.approx(alone[index].episode_return, abs=1e-5)


def test_sampling_members_draw_from_their_own_softmax():
    parameters = np.zeros((2, 3, 2))
    parameters[0, :, 1], parameters[1, :, 1] = [0.0, 1.0, -1.0], [2.0, 0.0, 0.0]
    population = Population(parameters.reshape(2, 6), THREE, 20_000, 0, CPU)
    actions, _ = population.predict(torch.zeros(40_000, 1), None, np.ones(40_000, bool))
    for member, half in enumerate((actions[:20_000], actions[20_000:])):
        shares = np.bincount(half, minlength=3) / 20_000
        assert shares == pytest.approx(scipy.special.softmax(parameters[member, :, 1]), abs=0.015)
