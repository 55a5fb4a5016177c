"""A toy world whose best actions are known, and whose steps are short formulas."""

import torch
from torch import nn

from dreamenv.config import WorldConfig
from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.bank import StartBank
from dreamenv.models.base import Outlook, State, WorldModel
from dreamenv.models.latent import Gaussian
from dreamenv.models.noise import NoiseSpec
from dreamenv.world import World

DISCRETE, BOX = ActionSpec(n=3), ActionSpec(low=(-2.0,), high=(2.0,))


class ToyModel(WorldModel):
    """z is drawn from N(0, 1) at every step; a step pays what the action before the last earned.

    Of three actions, 0 earns z, 1 earns 0 and 2 earns -z. In a Box, action a earns 1 - (a - z)^2, at best 1 for a = z.
    h holds what the last action earned and what the step pays; ``scale`` is a weight that multiplies what is earned.
    """

    posterior_kind = Gaussian

    def __init__(self, action, ending):
        super().__init__()
        self.latent_size, self.hidden_size, self.carry_size = 1, 2, 0
        self.prior_noise = self.posterior_noise = NoiseSpec(0, 1)
        self.scale, self._action, self._ending = nn.Parameter(torch.ones(())), action, ending

    def embed(self, frames):
        return frames.float().flatten(1)[:, :1]

    def posterior(self, state, embedding):
        return Gaussian(embedding, torch.zeros_like(embedding))

    def prior(self, state):
        return Gaussian(torch.zeros_like(state.h[:, :1]), torch.zeros_like(state.h[:, :1]))

    def advance(self, state, action):
        if self._action.discrete:
            chosen = action if action.is_floating_point() else nn.functional.one_hot(action, 3).float()
            earned = chosen @ torch.tensor([1.0, 0.0, -1.0]) * state.z[:, 0]
        else:
            earned = 1.0 - (action - state.z).square().sum(1)
        return State(state.z, torch.stack([self.scale * earned, state.h[:, 0]], 1), state.carry, state.step + 1)

    def outlook(self, state, elapsed):
        ends = torch.full_like(elapsed, self._ending)
        return Outlook(torch.stack([1.0 - ends, ends], 1), state.h[:, 1:].expand(-1, 2))

    def decode(self, state, frame_shape):
        return torch.zeros(len(state.z), *frame_shape, dtype=torch.uint8)


def toy_world(action=DISCRETE, ending=0.0, limit=1000):
    """A world of this model, whose steps end with the probability ``ending``."""
    config = WorldConfig("Toy-v0", (2, 2, 3), action, limit, endings=("same",), ending_rules=("sample",))
    model, first = ToyModel(action, ending), Gaussian(torch.zeros(4, 1), torch.zeros(4, 1))
    return World(config, model, StartBank(first, model.initial(4)))
