"""A world whose agents see the h of an M that never learned, while the trained M goes on dreaming.

The control for what h is worth to a controller: an untrained M was as good as a trained one in the car race.
"""

import torch
from torch import Tensor

from dreamenv.bank import StartBank
from dreamenv.models import mdn
from dreamenv.models.memory import MDNRNN, Memory, Outlook, State
from dreamenv.models.packed import PackedMDNRNN
from dreamenv.world import World
from experiments.worlds import with_fresh_memory


class TwoMemories(Memory):
    """Two Ms side by side: (B, 2 H) h and c are those of ``shown``, then those of ``dreaming``, which has the heads."""

    def __init__(self, shown: MDNRNN, dreaming: MDNRNN) -> None:
        super().__init__()
        self.shown, self.dreaming = shown, dreaming
        self.endings, self.reward, self.action = dreaming.endings, dreaming.reward, dreaming.action
        self.hidden_size = 2 * dreaming.hidden_size
        self._steppers = PackedMDNRNN(shown), PackedMDNRNN(dreaming)

    def advance(self, z: Tensor, action: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Memory.advance`."""
        parts = zip(self._steppers, h.chunk(2, 1), c.chunk(2, 1), strict=True)
        moved = [stepper.advance(z, action, *state) for stepper, *state in parts]
        return torch.cat([h for h, _ in moved], 1), torch.cat([c for _, c in moved], 1)

    def unroll(self, z: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Memory.unroll`."""
        moved = self.shown.unroll(z, action), self.dreaming.unroll(z, action)
        return torch.cat([h for h, _ in moved], -1), torch.cat([c for _, c in moved], -1)

    def prior(self, h: Tensor) -> mdn.Mixture:
        """See :meth:`Memory.prior`."""
        return self.dreaming.prior(h.chunk(2, -1)[1])

    def outlook(self, h: Tensor, elapsed: Tensor) -> Outlook:
        """See :meth:`Memory.outlook`."""
        return self._steppers[1].outlook(h.chunk(2, 1)[1], elapsed)


class RandomFeatures(World):
    """Shows z and the first half of h."""

    @property
    def _sizes(self) -> list[int]:
        return [self.latent_size, self.memory.hidden_size // 2]

    def features(self, state: State) -> Tensor:
        """See :meth:`World.features`."""
        return torch.cat([state.z, state.h.chunk(2, 1)[0]], dim=1)


def with_random_features(world: World, seed: int) -> World:
    """The same V and dream, shown through a fresh M; dreams begin in first frames only."""
    memory = TwoMemories(with_fresh_memory(world, seed).memory, world.memory)
    nothing = world.bank.branches.rows(slice(0))
    nothing = State(nothing.z, nothing.h.repeat(1, 2), nothing.c.repeat(1, 2), nothing.step)
    bank = StartBank(world.bank.mean, world.bank.log_variance, nothing)
    return RandomFeatures(world.config, world.vision, memory, bank, world.path)
