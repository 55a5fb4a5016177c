"""Many dreams at once, in blocks of rows that stay in the processor's cache."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch
from torch import Tensor

from dreamenv.models.base import State
from dreamenv.models.noise import Noise
from dreamenv.world import Transition, World


@dataclass(frozen=True)
class Blocks:
    """How rows are divided.

    Attributes:
        size: Rows that are computed together.
        fixed: Whether a smaller block is filled up to ``size``. Matrix products round differently for different numbers
            of rows; of blocks of one size, every row comes out with the same bits, whatever rows are beside it.
    """

    size: int
    fixed: bool

    def of(self, rows: int) -> list[Tensor | slice]:
        """Which rows every block takes; one that is filled up repeats its last row."""
        if not self.fixed:
            return [slice(first, first + self.size) for first in range(0, rows, self.size)]
        return [torch.arange(first, first + self.size).clamp(max=rows - 1) for first in range(0, rows, self.size)]

    def start(self, world: World, noise: Noise, branched: float) -> State:
        """As :meth:`World.sample_start`."""
        rows = len(noise.uniform)
        parts = [world.sample_start(noise.rows(index), branched) for index in self.of(rows)]
        return State.cat(parts).rows(slice(rows))

    def imagine(
        self, world: World, state: State, action: Tensor, temperature: Tensor, noise: Noise, mask: Tensor | None
    ) -> tuple[State, Transition]:
        """As :meth:`World.imagine`."""
        rows = len(state.step)
        if rows == self.size or (rows < self.size and not self.fixed):
            return world.imagine(state, action, temperature, noise, mask)
        states, transitions = zip(
            *(
                world.imagine(
                    state.rows(index),
                    action[index],
                    temperature[index],
                    noise.rows(index),
                    None if mask is None else mask[index],
                )
                for index in self.of(rows)
            ),
            strict=True,
        )
        return State.cat(states).rows(slice(rows)), Transition.cat(transitions).rows(slice(rows))


WHOLE = Blocks(sys.maxsize, fixed=False)
CACHED = Blocks(512, fixed=False)  # measured: docs/results/speed.md
INVARIANT = Blocks(32, fixed=True)
