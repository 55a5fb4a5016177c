"""Random numbers for a batch of dreams: one stream per environment, whatever the others do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from gymnasium.utils import seeding
from numpy.typing import NDArray

from dreamenv.world import Noise

BLOCK = 16  # steps drawn at once: two NumPy calls per environment and block


class NoiseStreams:
    """Draws the noise of dream steps from one NumPy generator per environment.

    Environment i sees the same numbers for the same seed, alone or among others.

    Args:
        num_envs: N.
        latent_size: Z.
    """

    def __init__(self, num_envs: int, latent_size: int) -> None:
        self._generators = [seeding.np_random(None)[0] for _ in range(num_envs)]
        self._uniform = np.empty((num_envs, BLOCK, latent_size + 1), np.float32)
        self._normal = np.empty((num_envs, BLOCK, latent_size), np.float32)
        self._cursor = np.full(num_envs, BLOCK)

    def seed(self, rows: NDArray[np.int64], seeds: Sequence[int | None]) -> None:
        """Restarts the streams of ``rows`` where their seed is not None; the others go on."""
        for row, seed in zip(rows, seeds, strict=True):
            if seed is not None:
                self._generators[row] = seeding.np_random(int(seed))[0]
                self._cursor[row] = BLOCK

    def draw(self, rows: NDArray[np.int64]) -> Noise:
        """Draws one step of noise for each of ``rows``."""
        for row in rows[self._cursor[rows] == BLOCK]:
            self._generators[row].random(out=self._uniform[row], dtype=np.float32)
            self._generators[row].standard_normal(out=self._normal[row], dtype=np.float32)
            self._cursor[row] = 0
        steps = self._cursor[rows]
        self._cursor[rows] += 1
        return Noise(torch.from_numpy(self._uniform[rows, steps]), torch.from_numpy(self._normal[rows, steps]))
