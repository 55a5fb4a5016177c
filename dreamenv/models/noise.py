"""Random numbers as a value: whoever owns the seeds draws them, and passes them in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


@dataclass(frozen=True)
class NoiseSpec:
    """How many random numbers the draw of one z takes.

    Attributes:
        uniform: Numbers in [0, 1).
        normal: Standard normal numbers.
    """

    uniform: int
    normal: int

    @property
    def columns(self) -> int:
        """Uniform numbers of a dream step: one for the ending besides, and at least the three of a start."""
        return max(self.uniform + 1, 3)


@dataclass(frozen=True)
class Noise:
    """The random numbers of one dream step.

    Attributes:
        uniform: (B, U) in [0, 1), U being :attr:`NoiseSpec.columns`: the first decides the ending, the others belong to
            the draw of z. A start uses the first two, and the last for its temperature.
        normal: (B, N) standard normal.
    """

    uniform: Tensor
    normal: Tensor

    @property
    def ending(self) -> Tensor:
        """What decides the ending, (B,)."""
        return self.uniform[:, 0]

    @property
    def latent(self) -> Tensor:
        """The uniform numbers that belong to the draw of z, (B, U - 1)."""
        return self.uniform[:, 1:]

    @classmethod
    def draw(cls, batch: int, spec: NoiseSpec, generator: torch.Generator) -> Noise:
        """Draws noise for ``batch`` steps from a generator."""
        uniform = torch.rand(batch, spec.columns, generator=generator)
        return cls(uniform, torch.randn(batch, spec.normal, generator=generator))

    def to(self, device: str | torch.device) -> Noise:
        """The same numbers on another device."""
        return Noise(self.uniform.to(device), self.normal.to(device))

    @classmethod
    def pad(cls, parts: Sequence[Noise]) -> Noise:
        """Stacks sequences of steps, (T, B, ...), padded to the longest."""
        return cls(pad_sequence([part.uniform for part in parts]), pad_sequence([part.normal for part in parts]))

    def rows(self, index: Tensor | slice | tuple[int, slice]) -> Noise:
        """Takes rows by (K,) int64 index or slice; of padded sequences by step and slice."""
        return Noise(self.uniform[index], self.normal[index])
