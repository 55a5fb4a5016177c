"""The claim of the package: agents that only ever dreamed act in reality."""

import pytest

from dreamenv import CompareConfig, EpisodeStore, PPOConfig, compare, load_agent, train_ppo
from dreamenv.envs.latent_vector import make_latent_vector
from dreamenv.evaluate.scores import ConstantPolicy, score

UNSEEN = CompareConfig(temperatures=(1.0,), episodes=50, seed=90_000)
AGENTS = ["evolved", "trained"]


def scores(world, agent):
    """Scores by way of acting and place."""
    return {(row.policy.removeprefix("agent, "), row.place): row for row in compare(world, agent, UNSEEN).scores}


@pytest.fixture(scope="module")
def evolved(dot_world, dot_agent_folder):
    return scores(dot_world, load_agent(dot_agent_folder))


@pytest.fixture(scope="module")
def trained(dot_world, tmp_path_factory):
    config = PPOConfig(
        timesteps=40_000, num_envs=64, n_steps=32, batch_size=512, learning_rate=3e-3, net_arch=(32,), seed=0
    )
    return scores(dot_world, train_ppo(dot_world, tmp_path_factory.mktemp("ppo"), config))


@pytest.fixture(scope="module")
def blind(dot_world, evolved):
    """Real scores of the policies that see nothing: every single action, and uniform ones."""
    env = make_latent_vector(dot_world, 5, "Disabled")
    seeds = range(90_000, 90_050)
    always = {
        name: score(env, ConstantPolicy(action), seeds, dot_world.config, name=name)
        for action, name in enumerate(("left", "right", "stay"))
    }
    return {**always, "uniform": evolved["uniform random", "real"]}


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("acting", ["greedy", "sampling"])
def test_an_agent_that_only_dreamed_solves_reality(request, agent, acting):
    real = request.getfixturevalue(agent)[acting, "real"]
    assert real.success >= 0.9
    assert real.mean >= 0.85


@pytest.mark.parametrize("agent", AGENTS)
def test_it_is_clearly_better_than_every_policy_that_sees_nothing(request, blind, agent):
    real = request.getfixturevalue(agent)["greedy", "real"]
    for policy in blind.values():
        assert real.success_low > policy.success_high
        assert real.low > policy.high


def test_policies_that_see_nothing_win_half_of_the_time_at_most(blind):
    assert blind["left"].success + blind["right"].success == 1.0
    assert blind["stay"].success == 0.0
    assert all(policy.success < 0.7 for policy in blind.values())


@pytest.mark.parametrize("agent", AGENTS)
def test_the_dream_promised_about_as_much(request, agent):
    rows = request.getfixturevalue(agent)
    assert rows["greedy", "dream"].success >= 0.8
    assert rows["greedy", "dream"].mean == pytest.approx(rows["greedy", "real"].mean, abs=0.15)


@pytest.mark.parametrize("agent", AGENTS)
def test_the_real_episodes_were_never_seen(request, dot_folder, agent):
    collected = {episode.seed for episode in EpisodeStore(dot_folder / "episodes")}
    assert request.getfixturevalue(agent)["greedy", "real"].seeds == (90_000, 90_049)
    assert collected.isdisjoint(range(90_000, 90_050))
