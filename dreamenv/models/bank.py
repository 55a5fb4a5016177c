"""The real moments that dreams start from."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dreamenv.foundation.errors import SettingsError
from dreamenv.models.base import State, WorldModel
from dreamenv.models.latent import Latent


@dataclass(frozen=True, eq=False)
class StartBank:
    """Real moments that dreams start from.

    Attributes:
        first: Posteriors of z of real first frames, of batch shape (N,).
        branches: Real moments in the middle of an episode. On the way to them z was drawn from the posterior of every
            frame; in older worlds, the shipped ones among them, z was the posterior's mean.
    """

    first: Latent
    branches: State

    @property
    def size(self) -> int:
        """Number of first frames N."""
        return len(self.first.parts[0])

    def to(self, device: str | torch.device) -> StartBank:
        """The same moments on another device."""
        return StartBank(self.first.to(device), self.branches.to(device))

    def check(self, model: WorldModel) -> None:
        """Checks that dreams of a model can start from these moments.

        Raises:
            SettingsError: If a tensor has another shape or type, or there is no first frame.
        """
        if not isinstance(self.first, model.posterior_kind):
            raise SettingsError(
                f"expected {model.posterior_kind.__name__} first frames, got {type(self.first).__name__}"
            )
        count, state = len(self.branches.step), self.branches
        expected = {
            **{
                f"first {name}": (part, (self.size, *model.posterior_shape), torch.float32)
                for name, part in vars(self.first).items()
            },
            "branches.z": (state.z, (count, model.latent_size), torch.float32),
            "branches.h": (state.h, (count, model.hidden_size), torch.float32),
            "branches.carry": (state.carry, (count, model.carry_size), torch.float32),
            "branches.step": (state.step, (count,), torch.int64),
        }
        for name, (tensor, shape, dtype) in expected.items():
            if tuple(tensor.shape) != shape or tensor.dtype != dtype:
                raise SettingsError(
                    f"expected the bank's {name} {shape} {dtype}, got {tuple(tensor.shape)} {tensor.dtype}"
                )
        if not self.size:
            raise SettingsError("expected at least one first frame in the bank, got none")
