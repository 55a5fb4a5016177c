"""Large batches of dreams, computed in blocks of rows that fit into the processor's cache."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch
from torch import Tensor

from dreamenv.models.base import State, Transition
from dreamenv.models.noise import Noise
from dreamenv.world import World


@dataclass(frozen=True)
class Blocks:
    """Division of a batch into blocks of rows.

    Attributes:
        size: Rows of a block.
        fixed: Whether a smaller block is filled up to ``size``. Matrix products round differently for different numbers
            of rows; in blocks of one size, the bits of a row do not depend on the other rows.
    """

    size: int
    fixed: bool

    def of(self, rows: int) -> list[Tensor | slice]:
        """Rows of every block, for a batch of ``rows``; a block that is filled up repeats its last row."""
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
