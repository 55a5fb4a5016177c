"""Results of the rounds of an iteration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dreamenv.evaluate.compare import Comparison
from dreamenv.evaluate.scores import Place, Score


@dataclass(frozen=True)
class Round:
    """The result of a round.

    Attributes:
        number: 0 for the first world.
        folder: Folder of its world and agent.
        frames: Real frames collected so far, held-out ones included.
        comparison: The agent in its dream and in reality, on the validation seeds.
        seconds: Processor time that collecting and training took in the process that ended the round; None in rounds
            of ``iterate``.
    """

    number: int
    folder: Path
    frames: int
    comparison: Comparison
    seconds: float | None = None

    @property
    def dream(self) -> Score:
        """The greedy agent in the dream."""
        return self.score("dream")

    @property
    def real(self) -> Score:
        """The greedy agent in reality."""
        return self.score("real")

    def score(self, place: Place) -> Score:
        """The greedy agent's score in one place."""
        return next(
            one for one in self.comparison.scores if one.place == place and one.deterministic and not one.baseline
        )


def best_round(rounds: Sequence[Round]) -> Round:
    """The round whose greedy agent has the highest mean return in reality; the first of equals."""
    return max(rounds, key=lambda one: one.real.mean)
