"""Observations: the parts of a state that agents see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dreamenv.foundation.errors import SettingsError
from dreamenv.models.base import State, WorldModel
from dreamenv.models.latent import Z_BOUND

Part = Literal["z", "h", "c"]  # what agents are trained on
Input = Literal["z", "h", "c", "step"]


@dataclass(frozen=True)
class View:
    """The parts of a state that agents see, in this order, such as [z, h] or [z, c, h] (World Models compares them).

    Attributes:
        inputs: ``z``, ``h``, ``c`` for the carry, and ``step`` for the number of steps since the episode began; each at
            most once.

    Raises:
        SettingsError: If a name is unknown or repeated, or there is none.
    """

    inputs: tuple[Input, ...] = ("z", "h")

    def __post_init__(self) -> None:
        """Refuses other names."""
        given = self.inputs
        if not given or len(set(given)) != len(given) or not set(given) <= set(get_args(Input)):
            raise SettingsError(f"expected some of {', '.join(get_args(Input))}, each once, got {given!r}")

    def features(self, state: State) -> Tensor:
        """The observations, (B, F) float32."""
        parts = {"z": state.z, "h": state.h, "c": state.carry, "step": state.step[:, None]}
        return torch.cat([parts[name] for name in self.inputs], dim=1).to(state.z.dtype)

    def check(self, model: WorldModel) -> None:
        """Checks that a model has the parts to show.

        Raises:
            SettingsError: If ``c`` is among them and the model has no carry, or observations would be empty.
        """
        if "c" in self.inputs and not model.carry_size:
            raise SettingsError(f"expected inputs without c, because the world model has no carry; got {self.inputs}")
        if not sum(self.sizes(model)):
            raise SettingsError(f"expected inputs that the world model has, got {self.inputs}, all of size 0")

    def sizes(self, model: WorldModel) -> list[int]:
        """Length of each part, in the order of ``inputs``."""
        sizes = {"z": model.latent_size, "h": model.hidden_size, "c": model.carry_size, "step": 1}
        return [sizes[name] for name in self.inputs]

    def bounds(self, model: WorldModel, limit: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Lower and upper bounds of an observation, (F,) each.

        z is clamped at :data:`dreamenv.models.latent.Z_BOUND`, and h lies in [-1, 1]. A carry may grow by 1 in each of
        ``limit`` steps, as an LSTM's cell state does at most. Steps count from 0 to ``limit``.
        """
        highs = {"z": Z_BOUND, "h": 1.0, "c": float(limit), "step": float(limit)}
        high = np.repeat(np.array([highs[name] for name in self.inputs], np.float32), self.sizes(model))
        signs = np.repeat([0.0 if name == "step" else -1.0 for name in self.inputs], self.sizes(model))
        return signs.astype(np.float32) * high, high
