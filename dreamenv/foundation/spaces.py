"""The supported action spaces, as JSON-compatible data."""

from __future__ import annotations

from dataclasses import dataclass

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from dreamenv.foundation.errors import SettingsError, UnsupportedEnvironmentError

_LARGEST = float(np.finfo(np.float32).max)  # a Box has float32 bounds
_MOST = 2**14  # discrete actions or dimensions of a Box


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
        """Raises an error for values that describe neither of the two spaces."""
        problem = self._size_problem() or self._bounds_problem()
        if problem:
            raise SettingsError(f"{problem}; got {self}")

    def _size_problem(self) -> str | None:
        if (self.n > 0) == bool(self.low or self.high) or self.n < 0 or len(self.low) != len(self.high):
            return "expected n > 0 actions, or bounds low < high of a Box"
        if self.size > _MOST:
            return f"expected at most {_MOST:,} actions or dimensions, not {self.size:,}"
        return None

    def _bounds_problem(self) -> str | None:
        for dimension, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            if not -_LARGEST <= low < high <= _LARGEST:
                return (
                    f"expected bounds low < high within float32 in every dimension, not {low} and {high} in dimension "
                    f"{dimension}"
                )
        return None

    @classmethod
    def from_space(cls, space: gym.Space) -> ActionSpec:
        """Describes a Gymnasium action space.

        Raises:
            UnsupportedEnvironmentError: If the space is neither ``Discrete`` from 0 nor a bounded 1-D ``Box`` of
                floats, or has too many actions or an empty range.
        """
        try:
            if isinstance(space, gym.spaces.Discrete) and space.start == 0:
                return cls(n=int(space.n))
            if isinstance(space, gym.spaces.Box) and len(space.shape) == 1 and space.is_bounded():
                if np.issubdtype(space.dtype, np.floating):
                    return cls(low=tuple(map(float, space.low)), high=tuple(map(float, space.high)))
        except SettingsError as error:
            problem = str(error).partition(";")[0]
            raise UnsupportedEnvironmentError(f"{problem}; got the action space {space}") from None
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
        """Number of discrete actions, or of dimensions: the size of a policy's output."""
        return self.n or len(self.low)

    @property
    def space(self) -> gym.spaces.Discrete | gym.spaces.Box:
        """The Gymnasium space of this description."""
        if self.discrete:
            return gym.spaces.Discrete(self.n)
        return gym.spaces.Box(np.array(self.low, np.float32), np.array(self.high, np.float32), dtype=np.float32)

    def sample(self, generator: np.random.Generator) -> NDArray:
        """Draws one uniform action: a scalar int64 array, or (A,) float32."""
        if self.discrete:
            return np.asarray(generator.integers(self.n))
        return generator.uniform(self.low, self.high).astype(np.float32)
