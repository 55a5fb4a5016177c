"""What of a state agents see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dreamenv.foundation.errors import SettingsError
from dreamenv.models.base import State, WorldModel

Input = Literal["z", "h", "c"]
Z_BOUND = 10.0  # ten standard deviations of the prior: no frame reaches it; it bounds samples at high temperature


@dataclass(frozen=True)
class View:
    """The parts of a state that agents see, in this order, such as [z, h] or [z, c, h] (World Models compares them).

    Attributes:
        inputs: z, h, and c for what the recurrent network keeps beside h; each at most once.

    Raises:
        SettingsError: If they are others, or none.
    """

    inputs: tuple[Input, ...] = ("z", "h")

    def __post_init__(self) -> None:
        """Refuses other names."""
        given = self.inputs
        if not given or len(set(given)) != len(given) or not set(given) <= set(get_args(Input)):
            raise SettingsError(f"expected some of {', '.join(get_args(Input))}, each once, got {given!r}")

    def features(self, state: State) -> Tensor:
        """The observations, (B, F) float32."""
        parts = {"z": state.z, "h": state.h, "c": state.carry}
        return torch.cat([parts[name] for name in self.inputs], dim=1)

    def sizes(self, model: WorldModel) -> list[int]:
        """Length of each part."""
        sizes = {"z": model.latent_size, "h": model.hidden_size, "c": model.carry_size}
        return [sizes[name] for name in self.inputs]

    def bounds(self, model: WorldModel, limit: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Bounds of an observation, (F,) each.

        z is cut at :data:`Z_BOUND`, h lies in [-1, 1] as the output of a gated network, and an LSTM's cell state grows
        by less than 1 in each of ``limit`` steps.
        """
        bounds = {"z": Z_BOUND, "h": 1.0, "c": float(limit)}
        high = np.repeat(np.array([bounds[name] for name in self.inputs], np.float32), self.sizes(model))
        return -high, high
