"""Random numbers for dreams on an accelerator, computed there from a key and a counter for each environment."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from gymnasium.utils import seeding
from numpy.typing import NDArray
from torch import Tensor

from dreamenv.envs.streams import NoiseStreams, seeds_of
from dreamenv.models.noise import Noise, NoiseSpec

_GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # constants of SplitMix64, as signed numbers
_FIRST = 0xBF58476D1CE4E5B9 - 2**64
_SECOND = 0x94D049BB133111EB - 2**64


@dataclass(frozen=True)
class CountersState:
    """Copies of the keys and counters of a :class:`CounterStreams`."""

    key: Tensor
    counter: Tensor


class CounterStreams:
    """Draws the noise of dream steps on an accelerator, one stream per environment.

    The twin of :class:`dreamenv.envs.streams.NoiseStreams`, which draws other numbers from the same seeds. The i-th
    number of an environment is the i-th number of SplitMix64 (Steele, Lea and Flood 2014) from the environment's seed,
    independent of the other environments.

    Args:
        num_envs: N.
        spec: Random numbers of one step.
        device: The accelerator.
    """

    def __init__(self, num_envs: int, spec: NoiseSpec, device: torch.device) -> None:
        self._spec, self._device = spec, device
        self._key = _mix(torch.tensor([secrets.randbits(63) for _ in range(num_envs)], device=device))
        self._counter = torch.zeros(num_envs, dtype=torch.int64, device=device)

    @property
    def state(self) -> CountersState:
        """Copies of the keys and counters; set it to draw the same numbers again."""
        return CountersState(self._key.clone(), self._counter.clone())

    @state.setter
    def state(self, state: CountersState) -> None:
        self._key, self._counter = state.key.clone(), state.counter.clone()

    def reset(self, rows: NDArray[np.int64], seed: int | Sequence[int | None] | None) -> None:
        """Seeds the streams of ``rows``, as in Gymnasium's vectors; None continues a stream.

        Raises:
            SettingsError: If the number of seeds is not N.
        """
        seeds = seeds_of(seed, len(self._key))
        given = [(row, seeds[row]) for row in rows.tolist()]
        fresh = [(row, int(value)) for row, value in given if value is not None]
        if fresh:
            seeding.np_random(min(value for _, value in fresh))  # raises an error for negative seeds
            index, values = torch.tensor([(row, value % 2**63) for row, value in fresh], device=self._device).T
            self._key[index] = _mix(values)
            self._counter[index] = 0

    def draw_mask(self, rows: NDArray[np.int64], size: int, dropout: float) -> Tensor:
        """Draws (R, size) dropout masks for R ``rows``: 0 with probability ``dropout``, else 1 / (1 - dropout)."""
        return (self._uniform(rows, size) >= dropout) / (1.0 - dropout)

    def draw(self, rows: NDArray[np.int64]) -> Noise:
        """Draws one step of noise for each of ``rows``."""
        counts = [self._spec.columns, self._spec.normal]
        uniform, quantile = self._uniform(rows, sum(counts)).split(counts, dim=1)
        middle = (quantile * 2.0**23).floor().add(0.5) * 2.0**-23  # never 0 or 1
        return Noise(uniform, torch.special.ndtri(middle))

    def _uniform(self, rows: NDArray[np.int64], count: int) -> Tensor:
        """Draws ``count`` numbers in [0, 1) with 24 random bits for each of R ``rows``, (R, count) float32."""
        index = torch.from_numpy(rows).to(self._device)
        counter = self._counter[index][:, None] + torch.arange(1, count + 1, device=self._device)
        self._counter[index] += count
        bits = _mix(self._key[index][:, None] + counter * _GOLDEN)
        return _shift(bits, 40).float() * 2.0**-24


def _mix(x: Tensor) -> Tensor:
    """Applies the finaliser of SplitMix64 to int64 tensors, whose products wrap around."""
    x = (x ^ _shift(x, 30)) * _FIRST
    x = (x ^ _shift(x, 27)) * _SECOND
    return x ^ _shift(x, 31)


def _shift(x: Tensor, bits: int) -> Tensor:
    """Shifts right logically; the shift of torch copies the sign bit."""
    return (x >> bits) & (2 ** (64 - bits) - 1)


def make_streams(num_envs: int, spec: NoiseSpec, device: torch.device) -> NoiseStreams | CounterStreams:
    """Makes the streams for a device: NumPy's generators on the processor, where they are faster."""
    if device.type == "cpu":
        return NoiseStreams(num_envs, spec)
    return CounterStreams(num_envs, spec, device)
