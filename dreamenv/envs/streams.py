"""Random numbers for dreams on the processor: one NumPy generator for each environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import gymnasium as gym
import numpy as np
import torch
from gymnasium.utils import seeding
from numpy.typing import NDArray

from dreamenv.foundation.errors import SettingsError
from dreamenv.models.noise import Noise, NoiseSpec

BLOCK = 16  # steps drawn at once: two NumPy calls per environment and block


@dataclass(frozen=True)
class StreamsState:
    """Copies of the generators and buffers of a :class:`NoiseStreams`."""

    generators: tuple[dict[str, Any], ...]
    uniform: NDArray[np.float32]
    normal: NDArray[np.float32]
    cursor: NDArray[np.int64]


class NoiseStreams:
    """Draws the noise of dream steps from one NumPy generator per environment.

    Environment i draws the same numbers from the same seed in a batch of any size.

    Args:
        num_envs: N.
        spec: Random numbers of one step.
    """

    def __init__(self, num_envs: int, spec: NoiseSpec) -> None:
        self._generators = [seeding.np_random(None)[0] for _ in range(num_envs)]
        self._uniform = np.empty((num_envs, BLOCK, spec.columns), np.float32)
        self._normal = np.empty((num_envs, BLOCK, spec.normal), np.float32)
        self._cursor = np.full(num_envs, BLOCK)

    @property
    def state(self) -> StreamsState:
        """Copies of generators and buffers; set it to draw the same numbers again."""
        generators = tuple(dict(generator.bit_generator.state) for generator in self._generators)
        return StreamsState(generators, self._uniform.copy(), self._normal.copy(), self._cursor.copy())

    @state.setter
    def state(self, state: StreamsState) -> None:
        for generator, value in zip(self._generators, state.generators, strict=True):
            generator.bit_generator.state = value
        self._uniform, self._normal = state.uniform.copy(), state.normal.copy()
        self._cursor = state.cursor.copy()

    def reset(self, rows: NDArray[np.int64], seed: int | Sequence[int | None] | None) -> None:
        """Seeds the streams of ``rows``, as in Gymnasium's vectors; None continues a stream.

        Raises:
            SettingsError: If the number of seeds is not N.
        """
        seeds = seeds_of(seed, len(self._cursor))
        for row in rows:
            if (value := seeds[row]) is not None:
                self._generators[row] = seeding.np_random(value)[0]
                self._cursor[row] = BLOCK

    def draw_mask(self, rows: NDArray[np.int64], size: int, dropout: float) -> torch.Tensor:
        """Draws (R, size) dropout masks for R ``rows``: 0 with probability ``dropout``, else 1 / (1 - dropout)."""
        kept = np.stack([self._generators[row].random(size, np.float32) >= dropout for row in rows])
        return torch.from_numpy(kept) / (1.0 - dropout)

    def draw(self, rows: NDArray[np.int64]) -> Noise:
        """Draws one step of noise for each of ``rows``."""
        for row in rows[self._cursor[rows] == BLOCK]:
            self._generators[row].random(out=self._uniform[row], dtype=np.float32)
            self._generators[row].standard_normal(out=self._normal[row], dtype=np.float32)
            self._cursor[row] = 0
        steps = self._cursor[rows]
        self._cursor[rows] += 1
        return Noise(torch.from_numpy(self._uniform[rows, steps]), torch.from_numpy(self._normal[rows, steps]))


def seeds_of(seed: int | Sequence[int | None] | None, num_envs: int) -> list[int | None]:
    """Returns the seed of each environment, as in Gymnasium's vectors: an integer s means s, s + 1, ...

    Raises:
        SettingsError: If the number of seeds is not N.
        gymnasium.error.Error: If one is neither None nor an integer >= 0.
    """
    if seed is None:
        return [None] * num_envs
    given: Any = [int(seed) + i for i in range(num_envs)] if is_integer(seed) else seed
    listed = isinstance(given, Sequence) and not isinstance(given, str | bytes)
    if not (listed or (isinstance(given, np.ndarray) and given.ndim == 1)):
        raise SettingsError(f"expected an integer or {num_envs} of them as seeds, got {type(seed).__name__}")
    seeds = list(given)
    if len(seeds) != num_envs:
        raise SettingsError(f"expected {num_envs} seeds, got {len(seeds)}")
    wrong = [value for value in seeds if not (value is None or (is_integer(value) and value >= 0))]
    if wrong:
        found = wrong[0] if is_integer(wrong[0]) else type(wrong[0]).__name__
        raise gym.error.Error(f"expected seeds that are None or integers >= 0, got {found}")
    return [None if value is None else int(value) for value in seeds]


def is_integer(value: Any) -> TypeGuard[int | np.integer]:
    """Whether it is one of Python's or NumPy's integers; NumPy counts spans of time among its own."""
    return isinstance(value, int | np.integer) and not isinstance(value, np.timedelta64)
