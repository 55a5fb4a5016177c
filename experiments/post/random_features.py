"""A world whose agents see the h of an M that never learned, while the trained M goes on dreaming.

The control for what h is worth to a controller: an untrained M was as good as a trained one in the car race.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from dreamenv.config import build_model
from dreamenv.engine.packed import compiled
from dreamenv.models.bank import StartBank
from dreamenv.models.base import Outlook, State, WorldModel
from dreamenv.models.latent import Latent
from dreamenv.models.mdnrnn.model import MDNRNN
from dreamenv.world import World
from experiments.worlds import with_fresh_memory


class TwoMemories(WorldModel):
    """Two world models side by side: h is that of ``shown``; carry is its own, then h and carry of ``dreaming``."""

    def __init__(self, shown: WorldModel, dreaming: WorldModel) -> None:
        super().__init__()
        self.shown, self.dreaming = compiled(shown), compiled(dreaming)
        self.latent_size, self.hidden_size = dreaming.latent_size, shown.hidden_size
        self._sizes = [shown.carry_size, dreaming.hidden_size, dreaming.carry_size]
        self.carry_size = sum(self._sizes)
        self.prior_noise, self.posterior_noise = dreaming.prior_noise, dreaming.posterior_noise
        self.posterior_kind = dreaming.posterior_kind

    def _states(self, state: State) -> tuple[State, State]:
        """The states of both."""
        own, h, carry = state.carry.split(self._sizes, dim=1)
        return replace(state, carry=own), replace(state, h=h, carry=carry)

    def embed(self, frames: Tensor) -> Tensor:
        """See :meth:`WorldModel.embed`."""
        return self.dreaming.embed(frames)

    def advance(self, state: State, action: Tensor) -> State:
        """See :meth:`WorldModel.advance`."""
        shown, dreaming = self._states(state)
        shown, dreaming = self.shown.advance(shown, action), self.dreaming.advance(dreaming, action)
        return replace(shown, carry=torch.cat([shown.carry, dreaming.h, dreaming.carry], 1))

    def posterior(self, state: State, embedding: Tensor) -> Latent:
        """See :meth:`WorldModel.posterior`."""
        return self.dreaming.posterior(self._states(state)[1], embedding)

    def prior(self, state: State) -> Latent:
        """See :meth:`WorldModel.prior`."""
        return self.dreaming.prior(self._states(state)[1])

    def outlook(self, state: State, elapsed: Tensor) -> Outlook:
        """See :meth:`WorldModel.outlook`."""
        return self.dreaming.outlook(self._states(state)[1], elapsed)

    def predict(self, state: State, elapsed: Tensor, draw: Callable[[Latent], Tensor]) -> tuple[Tensor, Outlook]:
        """See :meth:`WorldModel.predict`."""
        return self.dreaming.predict(self._states(state)[1], elapsed, draw)

    def decode(self, state: State, frame_shape: tuple[int, int, int]) -> Tensor:
        """See :meth:`WorldModel.decode`."""
        return self.dreaming.decode(state, frame_shape)


def with_random_features(world: World, seed: int) -> World:
    """The same V and dream, shown through a fresh M; dreams begin in first frames only."""
    model = TwoMemories(fresh(world, seed), world.model)
    return World(world.config, model, StartBank(world.bank.first, model.initial(0)), path=world.path)


def fresh(world: World, seed: int) -> WorldModel:
    """A model of random weights whose h agents see; of other kinds than V and M all weights are random."""
    if isinstance(world.model, MDNRNN):
        return with_fresh_memory(world, seed).model
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_model(world.config).eval()
