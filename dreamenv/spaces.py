"""The action spaces a world can have, as plain data that survives JSON."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from dreamenv.errors import SettingsError, UnsupportedEnvironmentError

_LARGEST = float(np.finfo(np.float32).max)  # a Box has float32 bounds


@dataclass(frozen=True)
class ActionSpec:
    """A Discrete action space starting at 0, or a bounded one-dimensional Box.

    Attributes:
        n: Number of discrete actions; 0 for a Box.
        low: Lower bounds of a Box, one per dimension; empty for Discrete.
        high: Upper bounds of a Box, one per dimension; empty for Discrete.
    """

    n: int = 0
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuses what is neither of the two spaces."""
        box = len(self.low) == len(self.high) > 0 and all(
            -_LARGEST <= low < high <= _LARGEST for low, high in zip(self.low, self.high, strict=True)
        )
        discrete = self.n > 0 and not self.low and not self.high
        if not (discrete or (self.n == 0 and box)) or max(self.n, len(self.low)) > 2**14:
            raise SettingsError(f"expected n > 0 actions, or bounds low < high of a Box, up to {2**14:,}; got {self}")

    @classmethod
    def from_space(cls, space: gym.Space) -> ActionSpec:
        """Describes a Gymnasium action space.

        Raises:
            UnsupportedEnvironmentError: If the space is neither ``Discrete`` from 0 nor a bounded 1-D ``Box`` of
                floats.
        """
        with contextlib.suppress(ValueError):
            if isinstance(space, gym.spaces.Discrete) and space.start == 0:
                return cls(n=int(space.n))
            if isinstance(space, gym.spaces.Box) and len(space.shape) == 1 and space.is_bounded():
                if np.issubdtype(space.dtype, np.floating):
                    return cls(low=tuple(map(float, space.low)), high=tuple(map(float, space.high)))
        raise UnsupportedEnvironmentError(
            "expected an action space Discrete(n) starting at 0 or a bounded one-dimensional Box of floats, "
            f"got {space}"
        )

    @property
    def discrete(self) -> bool:
        """Whether actions are integers."""
        return self.n > 0

    @property
    def size(self) -> int:
        """Number of discrete actions, or of dimensions: what a policy has to put out."""
        return self.n or len(self.low)

    @property
    def space(self) -> gym.spaces.Discrete | gym.spaces.Box:
        """The Gymnasium space that this describes."""
        if self.discrete:
            return gym.spaces.Discrete(self.n)
        return gym.spaces.Box(np.array(self.low, np.float32), np.array(self.high, np.float32), dtype=np.float32)

    def sample(self, generator: np.random.Generator) -> NDArray:
        """Draws one uniform action: a scalar int64 array, or (A,) float32."""
        if self.discrete:
            return np.asarray(generator.integers(self.n))
        return generator.uniform(self.low, self.high).astype(np.float32)
