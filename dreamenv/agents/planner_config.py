"""Settings of the CEM planner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from dreamenv.foundation.errors import SettingsError
from dreamenv.foundation.ranges import PART, Count, Range, Seed, Settings, Share, Temperature, Weight


@dataclass(frozen=True, kw_only=True)
class PlannerConfig(Settings):
    """How the planner searches; the defaults are those of PlaNet (Hafner et al. 2018).

    "Paper" is PlaNet's algorithm 2 and its appendix, "code" is ``google-research/planet`` at c04226b.

    Attributes:
        horizon: Steps of a plan (paper and code: 12).
        iterations: Refits of the search distribution in a decision (paper and code: 10).
        candidates: Plans drawn in an iteration (paper and code: 1000).
        elites: Best plans of an iteration, to which the distribution is refitted (paper and code: 100).
        warm_start: Whether a decision begins with the previous plan, shifted by one step; paper and code do not, and
            every decision begins with N(0, 1).
        temperature: Of the prior (own; 1 is one drawn trajectory of the prior for each candidate, as in paper and code;
            0 is its mode).
        discount: Of rewards, from one step to the next (own; 1 is none, as in paper and code).
        smoothing: Weight of the old probabilities of discrete actions in a refit: smoothed updating (De Boer et al.
            2005); the value is our own. Paper and code have Box actions only.
        exploration: Standard deviation of the noise on Box actions that are not greedy, in units of half the box (code:
            0.3 to collect); 0 for none.
        seconds: Time for a decision of the whole batch; the search stops after the iteration in which it is used up.
            Decisions then depend on the speed of the machine. No limit if None (own).
        seed: Of everything random.
    """

    horizon: Count = 12
    iterations: Count = 10
    candidates: Count = 1000
    elites: Count = 100
    warm_start: bool = False
    temperature: Temperature = 1.0
    discount: Share = 1.0
    smoothing: Annotated[float, PART] = 0.1
    exploration: Weight = 0.3
    seconds: Annotated[float, Range(0, without_low=True)] | None = None
    seed: Seed = 0

    def __post_init__(self) -> None:
        """Refuses settings that do not fit each other."""
        super().__post_init__()
        if self.elites > self.candidates:
            raise SettingsError(f"expected elites of at most {self.candidates} candidates, got {self.elites}")
