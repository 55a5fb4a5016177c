"""Random numbers as a value: the owner of the seeds draws them and passes them in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dreamenv.foundation.errors import SettingsError


@dataclass(frozen=True)
class NoiseSpec:
    """How many random numbers a draw of one z reads.

    Attributes:
        uniform: Numbers in [0, 1).
        normal: Standard normal numbers.

    Raises:
        SettingsError: If one is negative.
    """

    uniform: int
    normal: int

    def __post_init__(self) -> None:
        """Refuses negative numbers."""
        if min(self.uniform, self.normal) < 0:
            raise SettingsError(f"expected numbers >= 0 of random numbers, got {self}")

    @property
    def columns(self) -> int:
        """Uniform numbers of a dream step: those of z and one for the ending, but at least the three of a start."""
        return max(self.uniform + 1, 3)


@dataclass(frozen=True)
class Noise:
    """The random numbers of one dream step.

    Attributes:
        uniform: (B, U) in [0, 1), where U is :attr:`NoiseSpec.columns`. The first decides the ending, the others draw
            z. A start reads the first two, and the last for its temperature.
        normal: (B, N) standard normal.
    """

    uniform: Tensor
    normal: Tensor

    @property
    def ending(self) -> Tensor:
        """The uniform number that decides the ending, (B,)."""
        return self.uniform[:, 0]

    @property
    def latent(self) -> Tensor:
        """The uniform numbers that draw z, (B, U - 1)."""
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
        """Selects rows by (R,) int64 index or slice; of padded sequences by step and slice."""
        return Noise(self.uniform[index], self.normal[index])
