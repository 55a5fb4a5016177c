"""Where imagined episodes begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

import torch

from dreamenv.models.base import State
from dreamenv.models.noise import Noise
from dreamenv.recordings import Recording
from dreamenv.world import World


class Starts(Protocol):
    """A source of states to begin at."""

    @property
    def identity(self) -> object:
        """JSON-able description; a checkpoint of a training from other starts is refused."""

    def draw(self, count: int, generator: torch.Generator) -> State:
        """Draws ``count`` states on the world's device."""


@dataclass(frozen=True, eq=False)
class BankStarts:
    """The moments of a world's bank, as every dream begins.

    Attributes:
        world: The world.
        branched: Share of starts in the middle of a real episode; the others are first frames.
    """

    world: World
    branched: float

    @property
    def identity(self) -> object:
        """See :class:`Starts`; the share is among the settings."""
        return "bank"

    def draw(self, count: int, generator: torch.Generator) -> State:
        """See :class:`Starts`."""
        noise = Noise.draw(count, self.world.model.prior_noise, generator).to(self.world.device)
        return self.world.sample_start(noise, self.branched)


@dataclass(frozen=True, eq=False)
class RecordedStarts:
    """Posterior states at all moments of recorded episodes, each as likely as any other.

    Attributes:
        states: Of batch size N.
    """

    states: State

    @classmethod
    def of(cls, world: World, recordings: Sequence[Recording], seed: int = 0) -> RecordedStarts:
        """Follows recorded episodes; their last states, at which nothing is left to do, are no starts."""
        traces = world.follow(recordings, seed)
        return cls(State.cat([trace.states.rows(slice(-1)) for trace in traces]))

    @property
    def identity(self) -> object:
        """See :class:`Starts`."""
        return sha256(b"".join(part.cpu().numpy().tobytes() for part in self.states.parts)).hexdigest()

    def draw(self, count: int, generator: torch.Generator) -> State:
        """See :class:`Starts`."""
        rows = torch.randint(len(self.states.step), (count,), generator=generator)
        return self.states.rows(rows.to(self.states.step.device))
