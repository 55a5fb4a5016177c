"""Every kind of world model, as a world and as a dream, keeps the contracts of ``dreamenv.testing``."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import dreamenv
from dreamenv.config import WorldConfig, build_model
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.bank import StartBank
from dreamenv.models.base import State
from dreamenv.models.latent import Gaussian
from dreamenv.models.mdnrnn.memory import MemoryConfig
from dreamenv.models.mdnrnn.model import MDNRNNConfig
from dreamenv.models.mdnrnn.vision import VisionConfig
from dreamenv.testing import DreamContract, WorldContract
from dreamenv.world import World, showing

SMALL = VisionConfig((16, 32, 3), 6, (4, 8))
PAPER = VisionConfig((64, 64, 3), 6, kind="paper")
DISCRETE, BOX = ActionSpec(n=3), ActionSpec(low=(-1.0, 0.0), high=(1.0, 2.0))


def random_world(vision=SMALL, mixture="per_dim", memory="mdnrnn", action=DISCRETE, endings=("same", "better")):
    """A world of random weights, with fifty first frames and fifty moments."""
    rules = {"same": "sample", "better": "threshold"}
    sizes = MDNRNNConfig(vision, MemoryConfig(16, 3, mixture, memory))
    config = WorldConfig(
        "Nowhere-v0", vision.frame_shape, action, 30, sizes, endings, tuple(rules[kind] for kind in endings)
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(config).eval()
        z, h = torch.randn(50, 6), torch.tanh(torch.randn(50, 16))
    first = Gaussian(z, torch.full_like(z, -2.0))
    return World(config, model, StartBank(first, State(z, h, h.clone(), torch.arange(50) % 20)))


KINDS = {
    "conv, per dimension": {},
    "conv, joint": {"mixture": "joint"},
    "unet": {"vision": replace(SMALL, kind="unet")},
    "paper": {"vision": PAPER, "memory": "paper"},
    "paper's M, joint, Box": {"memory": "paper", "mixture": "joint", "action": BOX},
    "Box": {"action": BOX},
    "Box from -1 to 1": {"action": ActionSpec(low=(-1.0, -1.0), high=(1.0, 1.0))},
    "no endings": {"endings": ()},
    "paper's M, no endings": {"memory": "paper", "endings": ()},
}


@pytest.mark.parametrize("kind", KINDS)
class TestWorlds(WorldContract):
    @pytest.fixture(autouse=True)
    def _kind(self, kind):
        self._settings = KINDS[kind]

    def make_world(self):
        return random_world(**self._settings)


@pytest.mark.parametrize("kind", ["conv, per dimension", "conv, joint", "paper's M, no endings", "Box from -1 to 1"])
class TestDreams(DreamContract):
    @pytest.fixture(autouse=True)
    def _kind(self, kind):
        self._settings = KINDS[kind]

    def make_world(self):
        return random_world(**self._settings)


@pytest.mark.parametrize("name", ["sidewalk", "takecover"])
class TestShippedWorlds(WorldContract):
    @pytest.fixture(autouse=True)
    def _name(self, name):
        self._world = name

    def make_world(self):
        return dreamenv.load(self._world)


class TestTrainedWorld(WorldContract):
    @pytest.fixture(autouse=True)
    def _dot(self, dot_world):
        self._world = dot_world

    def make_world(self):
        return self._world


def test_a_world_that_shows_z_alone_is_the_same_dream():
    world = random_world()
    blind = showing(world, ("z",))
    seen, part = (dreamenv.DreamVectorEnv(w, 3, batch_invariant=True) for w in (world, blind))
    np.testing.assert_array_equal(seen.reset(seed=0)[0][:, :6], part.reset(seed=0)[0])
