"""Where dreams begin."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dreamenv.errors import SettingsError
from dreamenv.models.memory import State


@dataclass(frozen=True)
class StartBank:
    """Real moments in which a dream can begin.

    Attributes:
        mean: Posterior mean of z of real first frames, (N, Z).
        log_variance: Its log-variance, (N, Z).
        branches: Real moments in the middle of an episode, followed with z drawn from the posterior of every frame. In
            banks of older worlds, the shipped ones among them, z was the posterior's mean instead.
    """

    mean: Tensor
    log_variance: Tensor
    branches: State

    def check(self, latent_size: int, hidden_size: int) -> None:
        """Makes sure that a world with Z = ``latent_size`` and H = ``hidden_size`` can begin in these moments.

        Raises:
            SettingsError: If a tensor has another shape or type, or there is no first frame.
        """
        first, branches = len(self.mean), len(self.branches.step)
        expected = {
            "mean": (self.mean, (first, latent_size), torch.float32),
            "log_variance": (self.log_variance, (first, latent_size), torch.float32),
            "branches.z": (self.branches.z, (branches, latent_size), torch.float32),
            "branches.h": (self.branches.h, (branches, hidden_size), torch.float32),
            "branches.c": (self.branches.c, (branches, hidden_size), torch.float32),
            "branches.step": (self.branches.step, (branches,), torch.int64),
        }
        for name, (tensor, shape, dtype) in expected.items():
            if tuple(tensor.shape) != shape or tensor.dtype != dtype:
                raise SettingsError(
                    f"expected the bank's {name} {shape} {dtype}, got {tuple(tensor.shape)} {tensor.dtype}"
                )
        if not first:
            raise SettingsError("expected at least one first frame in the bank, got none")
