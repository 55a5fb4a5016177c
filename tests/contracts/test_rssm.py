"""An RSSM of every kind of latent, recurrent cell and network keeps the contracts of ``dreamenv.testing``."""

from dataclasses import replace

import pytest
import torch

from dreamenv.config import WorldConfig, build_model
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.bank import StartBank
from dreamenv.models.base import State
from dreamenv.models.rssm.config import DREAMER_V1, DREAMER_V2, DREAMER_V2_ATARI, PLANET, RSSMConfig
from dreamenv.testing import DreamContract, WorldContract
from dreamenv.world import World

DISCRETE, BOX = ActionSpec(n=3), ActionSpec(low=(-1.0, 0.0), high=(1.0, 2.0))
SMALL = RSSMConfig(
    frame_shape=(16, 32, 3), channels=(4, 8), embedding_size=12, latent_size=6, classes=4, hidden_size=16, units=10
)
CATEGORICAL = replace(SMALL, latent="categorical")
READS_H = replace(SMALL, posterior_reads_h=True, decoder_reads_h=True, posterior_layers=1, head_layers=(8, 8))


def random_world(sizes=SMALL, action=DISCRETE, endings=("same", "better")):
    """A world of random weights, with fifty first frames and fifty moments."""
    rules = {"same": "sample", "better": "threshold"}
    config = WorldConfig("Nowhere-v0", sizes.frame_shape, action, 30, sizes, endings, tuple(rules[e] for e in endings))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = build_model(config).eval()
        initial = model.initial(50)
        first = model.posterior(initial, torch.randn(50, model.encoder.size))
        z, h = first.mode(), torch.tanh(torch.randn(50, model.hidden_size))
    return World(config, model, StartBank(first, State(z, h, initial.carry, torch.arange(50) % 20)))


KINDS = {
    "Gaussian": {},
    "categorical": {"sizes": CATEGORICAL},
    "categorical, unimix": {"sizes": replace(CATEGORICAL, unimix=0.01)},
    "h read by posterior and decoder": {"sizes": READS_H},
    "categorical, h read": {"sizes": replace(READS_H, latent="categorical", deviation="sigmoid")},
    "PlaNet's cell": {"sizes": replace(READS_H, gru="gru-block", deviation="sigmoid", published_heads=True)},
    "torch's cell, Box": {"sizes": replace(SMALL, gru="gru", activation="relu"), "action": BOX},
    "Box from -1 to 1": {"action": ActionSpec(low=(-1.0, -1.0), high=(1.0, 1.0))},
    "stochastic": {"sizes": replace(READS_H, transition="stochastic")},
    "no endings": {"sizes": replace(SMALL, published_heads=True), "endings": ()},
    "PlaNet": {"sizes": PLANET, "action": BOX},
    "Dreamer V1": {"sizes": DREAMER_V1, "action": BOX, "endings": ()},
    "Dreamer V2": {"sizes": DREAMER_V2, "action": BOX},
}


@pytest.mark.parametrize("kind", KINDS)
class TestWorlds(WorldContract):
    @pytest.fixture(autouse=True)
    def _kind(self, kind):
        self._settings = KINDS[kind]

    def make_world(self):
        return random_world(**self._settings)


@pytest.mark.parametrize("kind", ["Gaussian", "categorical", "no endings", "Box from -1 to 1"])
class TestDreams(DreamContract):
    @pytest.fixture(autouse=True)
    def _kind(self, kind):
        self._settings = KINDS[kind]

    def make_world(self):
        return random_world(**self._settings)


@pytest.mark.parametrize(
    ("sizes", "action", "endings", "expected"),
    [
        (PLANET, 1, (), 5_292_220),
        (PLANET, 6, (), 5_293_220),
        (DREAMER_V1, 1, (), 5_295_820),
        (DREAMER_V1, 6, (), 5_296_820),
        (DREAMER_V2, 6, (), 13_656_772),
        (DREAMER_V2, 1, (), 13_655_772),
        (DREAMER_V2_ATARI, 18, ("same",), 19_975_379),
        (DREAMER_V2_ATARI, 6, ("same",), 19_968_179),
    ],
)
def test_presets_have_the_published_numbers_of_parameters(sizes, action, endings, expected):
    box = ActionSpec(low=(-1.0,) * action, high=(1.0,) * action)
    config = WorldConfig("Nowhere-v0", (64, 64, 3), box, 10, sizes, endings, ("sample",) * len(endings))
    with torch.device("meta"):
        model = build_model(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == expected
