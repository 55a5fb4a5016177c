"""Random numbers as a value: who owns the seeds draws them, and passes them in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Noise:
    """The random numbers of one dream step.

    Attributes:
        uniform: (B, Z + 1) in [0, 1): the first decides the ending, the others the mixture components. A start uses the
            first two, and the last for its temperature.
        normal: (B, Z) standard normal.
    """

    uniform: Tensor
    normal: Tensor

    @classmethod
    def draw(cls, batch: int, latent_size: int, generator: torch.Generator) -> Noise:
        """Draws noise for ``batch`` steps from a generator."""
        uniform = torch.rand(batch, latent_size + 1, generator=generator)
        return cls(uniform, torch.randn(batch, latent_size, generator=generator))

    def to(self, device: str | torch.device) -> Noise:
        """The same numbers on another device."""
        return Noise(self.uniform.to(device), self.normal.to(device))

    def rows(self, index: Tensor | slice) -> Noise:
        """Takes rows by (K,) int64 index or slice."""
        return Noise(self.uniform[index], self.normal[index])
