"""Tiny worlds: one learned for real once per test session, one with continuous actions and random weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from dot_env import HEIGHT, WIDTH
from dot_settings import DOT_COLLECT, DOT_EVOLVE, DOT_MEMORY, DOT_TRAIN, DOT_VISION, dot_rssm
from hypothesis import settings

import dreamenv
from dreamenv.config import WorldConfig, build_model
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.bank import StartBank
from dreamenv.models.base import State
from dreamenv.models.latent import Gaussian
from dreamenv.models.mdnrnn.model import MDNRNNConfig
from dreamenv.world import World

torch.set_num_threads(1)
settings.register_profile("quick", derandomize=True, deadline=None, max_examples=25)
settings.register_profile("long", settings.get_profile("quick"), max_examples=1000)
settings.load_profile("quick")


@pytest.fixture(scope="session")
def dot_folder(tmp_path_factory):
    """The folder of a trained world of the dot environment, episodes included."""
    folder = tmp_path_factory.mktemp("dot")
    dreamenv.collect("dot_env:Dot-v0", folder / "episodes", DOT_COLLECT)
    dreamenv.train(folder, DOT_TRAIN)
    return folder


@pytest.fixture(scope="session")
def dot_world(dot_folder):
    """The world in ``dot_folder``."""
    return dreamenv.load(dot_folder)


@pytest.fixture(scope="session", params=["gaussian", "categorical"])
def rssm_world(request, dot_folder, tmp_path_factory):
    """An RSSM of the dot environment, trained on the episodes in ``dot_folder``; its folder has no episodes."""
    folder = tmp_path_factory.mktemp(request.param)
    return dreamenv.train(folder, dot_rssm(request.param), episodes=dot_folder / "episodes")


@pytest.fixture(scope="session")
def dot_agent_folder(dot_world, tmp_path_factory):
    """The folder of a linear agent evolved in the dream of ``dot_world``."""
    folder = tmp_path_factory.mktemp("dot-agent")
    dreamenv.evolve(dot_world, folder, DOT_EVOLVE)
    return folder


@pytest.fixture(scope="session")
def continuous_world(tmp_path_factory):
    """A saved world of the dot environment with continuous actions; its weights are random."""
    config = WorldConfig(
        env_id="ContinuousDot-v0",
        frame_shape=(HEIGHT, WIDTH, 3),
        action=ActionSpec(low=(-1.0,), high=(1.0,)),
        max_episode_steps=20,
        model=MDNRNNConfig(DOT_VISION, DOT_MEMORY),
        endings=("same", "better"),
        ending_rules=("sample", "threshold"),
        success_reward=0.4,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(config)
        z, h = torch.randn(50, 8), torch.tanh(torch.randn(50, 32))
    model.memory.endings.shift.copy_(torch.tensor([-3.0, 0.0, 0.0]))
    model.memory.reward.fit_range(torch.tensor([-1.0, 0.0, 1.0]).repeat(3), torch.arange(3).repeat_interleave(3))
    branches = State(z, h, h.clone(), torch.arange(50) % 20)
    world = World(config, model, StartBank(Gaussian(z, torch.full_like(z, -2.0)), branches))
    folder = tmp_path_factory.mktemp("continuous")
    dreamenv.save(world, folder)
    return dreamenv.load(folder)


@pytest.fixture
def single_start_world(dot_world):
    """``dot_world`` with a single first frame and a single moment, at step 15, to begin in."""
    bank, branches = dot_world.bank, dot_world.bank.branches
    late = branches.rows(torch.tensor([int(branches.step.argmax())]))
    late = replace(late, step=torch.tensor([15]))
    only = StartBank(Gaussian(bank.first.mean[:1], torch.full_like(bank.first.log_variance[:1], -200.0)), late)
    return replace(dot_world, bank=only)


@pytest.fixture
def random_actions():
    """``random_actions(space, steps, seed)``: a list of actions of a space, of one environment or of a vector."""

    def draw(space, steps, seed=0):
        space.seed(seed)
        return [np.asarray(space.sample()) for _ in range(steps)]

    return draw
