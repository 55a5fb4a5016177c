"""Random numbers as a value: who owns the seeds draws them, and passes them in."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Noise:
    """The random numbers of one dream step.

    Attributes:
        uniform: (B, U) in [0, 1), U being :func:`uniform_count`: the first decides the ending, the others the mixture
            components. A start uses the first two, and the last for its temperature.
        normal: (B, Z) standard normal.
    """

    uniform: Tensor
    normal: Tensor

    @classmethod
    def draw(cls, batch: int, latent_size: int, generator: torch.Generator) -> Noise:
        """Draws noise for ``batch`` steps from a generator."""
        uniform = torch.rand(batch, uniform_count(latent_size), generator=generator)
        return cls(uniform, torch.randn(batch, latent_size, generator=generator))

    def to(self, device: str | torch.device) -> Noise:
        """The same numbers on another device."""
        return Noise(self.uniform.to(device), self.normal.to(device))

    def rows(self, index: Tensor | slice) -> Noise:
        """Takes rows by (K,) int64 index or slice."""
        return Noise(self.uniform[index], self.normal[index])


def uniform_count(latent_size: int) -> int:
    """Uniform numbers of a dream step: one per latent dimension and one more, but at least the three of a start."""
    return max(latent_size + 1, 3)
