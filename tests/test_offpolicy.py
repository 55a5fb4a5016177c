"""Values of agents from recorded episodes of others."""

import dataclasses

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode

from dreamenv import EpisodeStore, load_agent, rollout
from dreamenv.envs.latent_vector import make_latent_vector
from dreamenv.evaluate.scores import ConstantPolicy
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.noise import Noise
from dreamenv.recordings import Recording, record
from dreamenv.verdict.offpolicy import Experience, experience, off_policy_return

GAMMA = 0.95


@pytest.fixture(scope="module")
def recorded(dot_world, dot_folder):
    episodes, _ = EpisodeStore(dot_folder / "episodes").split()
    return experience(dot_world, record(dot_world.model, episodes, dot_world.config))


def really(world, agent):
    env = make_latent_vector(world, 8, AutoresetMode.DISABLED)
    played = rollout(env, agent, range(200), deterministic=True)
    return np.mean([outcome.episode_return * GAMMA ** (outcome.length - 1) for outcome in played])


def test_experience_is_what_the_agent_would_have_seen(dot_world, dot_folder, recorded):
    (episode,) = EpisodeStore(dot_folder / "episodes").split()[0][:1]
    spec = dot_world.model.posterior_noise
    noise = Noise.draw(len(episode) + 1, spec, torch.Generator().manual_seed(0))
    state = dot_world.start(torch.from_numpy(episode.observations[:1]), noise.rows(slice(1)))
    for step, action in enumerate(episode.actions):
        assert torch.allclose(recorded.features[step], dot_world.features(state)[0], atol=2e-2)
        assert float(recorded.elapsed[step]) == pytest.approx(step / 20)
        frame = torch.from_numpy(episode.observations[step + 1][None])
        state = dot_world.observe(state, torch.tensor([action]), frame, noise.rows(slice(step + 1, step + 2)))
        assert torch.allclose(recorded.next_features[step], dot_world.features(state)[0], atol=2e-2)
    assert recorded.starts[1] == len(episode)
    assert bool(recorded.last[len(episode) - 1])
    assert int(recorded.last.sum()) == len(recorded.starts)  # by their end, or by the time limit of 20 steps


@pytest.mark.parametrize("who", ["left", "stays", "evolved"])
def test_values_are_the_real_returns(dot_world, dot_agent_folder, recorded, who):
    agents = {"left": ConstantPolicy(0), "stays": ConstantPolicy(2), "evolved": load_agent(dot_agent_folder)}
    estimate = off_policy_return(dot_world, agents[who], recorded, gamma=GAMMA)
    assert estimate == pytest.approx(really(dot_world, agents[who]), abs=0.08)


def test_draws_of_z_blur_no_value(dot_world, dot_folder, recorded):
    """An agent that sees nothing acts alike whatever is drawn, so that its value is the same, too."""
    episodes, _ = EpisodeStore(dot_folder / "episodes").split()
    recordings = record(dot_world.model, episodes, dot_world.config)
    size = dot_world.model.latent_size
    wider = torch.cat([torch.zeros(size), torch.full((size,), 3.0)])  # of the log-variances
    blurred = experience(dot_world, [dataclasses.replace(e, embedding=e.embedding + wider) for e in recordings])
    values = [off_policy_return(dot_world, ConstantPolicy(0), data, gamma=GAMMA) for data in (recorded, blurred)]
    assert not torch.allclose(recorded.features, blurred.features, atol=0.5)
    assert values[0] == values[1]


def test_a_chain_has_its_value_in_closed_form(dot_world):
    """One state that pays 1 and ends with probability 1/2 after action 0, and pays nothing for ever after action 1."""
    count = 4000
    generator = torch.Generator().manual_seed(0)
    action = torch.randint(2, (count,), generator=generator)
    ends = (torch.rand(count, generator=generator) < 0.5) & (action == 0)
    features = torch.zeros(count, dot_world.feature_size)
    data = Experience(features, features, action, (action == 0).float(), ends, torch.zeros(count), torch.arange(10))
    config = dataclasses.replace(dot_world.config, action=ActionSpec(n=2), action_prior=())
    world = dataclasses.replace(dot_world, config=config)

    assert off_policy_return(world, ConstantPolicy(0), data, gamma=0.9) == pytest.approx(1 / (1 - 0.45), abs=0.06)
    assert off_policy_return(world, ConstantPolicy(1), data, gamma=0.9) == pytest.approx(0.0, abs=0.06)


def test_nothing_is_paid_after_the_time_limit(dot_world):
    """A state that pays 1 at every step, for as long as an episode lasts; regularisation doubts what few have seen."""
    limit, episodes = dot_world.config.max_episode_steps, 200
    z, none = torch.zeros(limit + 1, dot_world.model.latent_size), torch.zeros(limit, dtype=torch.int64)
    episode = Recording(
        embedding=torch.cat([z, z - 200.0], dim=1),
        action=none,
        reward=torch.ones(limit),
        ending=none,
        step=torch.arange(1, limit + 1),
    )
    data = experience(dot_world, [episode] * episodes)

    value = (1 - GAMMA**limit) / (1 - GAMMA)
    estimates = [
        off_policy_return(dot_world, ConstantPolicy(0), data, gamma=GAMMA, ridge=r) for r in (0.01, 10.0, 30.0)
    ]
    assert estimates[0] == pytest.approx(value, rel=0.03)
    assert estimates[0] > estimates[1] > estimates[2] > 0.5 * value


def test_continuous_actions_are_valued_too(continuous_world):
    """Actions that pay what they are worth, once."""
    count = 500
    action = torch.linspace(-1.0, 1.0, count)[:, None]
    features = torch.randn(count, continuous_world.feature_size, generator=torch.Generator().manual_seed(0))
    ends = torch.ones(count, dtype=torch.bool)
    data = Experience(features, features, action, action[:, 0], ends, torch.zeros(count), torch.arange(count))
    agent = ConstantPolicy(np.array([0.5], np.float32))

    assert off_policy_return(continuous_world, agent, data, gamma=0.9) == pytest.approx(0.5, abs=0.02)
