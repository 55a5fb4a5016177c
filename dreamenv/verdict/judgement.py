"""The verdict on a dream: signs, from which value on they warn, and what recorded episodes can confirm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from dreamenv.evaluate.gap import Gap
from dreamenv.evaluate.scores import Score
from dreamenv.verdict.failures import Failure
from dreamenv.verdict.signals import Strip

Light = Literal["green", "cannot tell", "amber", "red"]
LIGHTS: tuple[Light, ...] = get_args(Light)  # from good to bad
FEW_EPISODES = 50  # fewer recorded ones cannot confirm a dream


@dataclass(frozen=True)
class Limits:
    """The values from which on a sign warns.

    Attributes:
        amber: Look closer.
        red: Do not believe the dream.
        says: What a warning means.
    """

    amber: float
    red: float
    says: str


LIMITS = {
    "shortfall": Limits(0.13, 0.4, "recorded episodes do not confirm the return that the dream promises"),
    "excess": Limits(0.02, 0.4, "the dream promises more than any recorded episode got"),
    "haste": Limits(0.28, 0.5, "the dream's successes are quicker than any recorded one"),
}


@dataclass(frozen=True)
class Sign:
    """The value of one sign, and its limits.

    Attributes:
        name: Key of its limits.
        value: What was measured.
        limits: The values from which on it warns.
    """

    name: str
    value: float
    limits: Limits

    @property
    def doubt(self) -> float:
        """0 at the amber limit, 1 at the red limit; nan if the value is nan."""
        return (self.value - self.limits.amber) / (self.limits.red - self.limits.amber)

    @property
    def light(self) -> Light:
        """Green, amber or red; cannot tell if it is not a number."""
        return light(self.doubt)

    @property
    def says(self) -> str:
        """Why it is not green."""
        return f"{self.name} is not a number" if math.isnan(self.value) else self.limits.says


@dataclass(frozen=True)
class Trust:
    """The verdict on an agent's dream.

    Attributes:
        dream: The greedy agent in the dream.
        signs: The signs, which need no new real episode.
        strip: The part of the dream that is farthest from the records.
        believed: The part of the dream's mean return that the records confirm, see :func:`believed`.
        successes: Recorded episodes that ended well, among those that M learned from; None if the world has no such
            ending. Below :data:`~dreamenv.verdict.signals.FEW_SUCCESSES` the records confirm no dream.
        missing: Reasons why the records cannot confirm the dream even if no sign warns; see :func:`evidence`.
        gaps: Dream minus reality; empty where no real episodes were played.
        failures: What the dream promises from the middle of real episodes without success; empty likewise.
        best_temperature: Temperature of the dream that predicts the real return best; None likewise.
    """

    dream: Score
    signs: tuple[Sign, ...]
    strip: Strip
    believed: float
    successes: int | None
    missing: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    failures: tuple[Failure, ...] = ()
    best_temperature: float | None = None

    @property
    def doubt(self) -> float:
        """The largest of the signs; nan if one is."""
        return float(np.max([sign.doubt for sign in self.signs]))

    @property
    def light(self) -> Light:
        """The worst of the signs; cannot tell instead of green if something is missing."""
        lights = [sign.light for sign in self.signs] + ["cannot tell"] * bool(self.missing)
        return max(lights, key=LIGHTS.index)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not green."""
        return (*(sign.says for sign in self.signs if sign.light != "green"), *self.missing)


def light(doubt: float) -> Light:
    """Green below 0, red from 1 on; cannot tell if it is not a number."""
    if math.isnan(doubt):
        return "cannot tell"
    return "green" if doubt < 0.0 else "amber" if doubt < 1.0 else "red"


def evidence(dreamed: float, recorded: Sequence[float]) -> tuple[str, ...]:
    """Reasons why the records cannot confirm a dream.

    Args:
        dreamed: The dream's mean return.
        recorded: Returns of the episodes that M learned from.

    Returns:
        Sentences, none if nothing is missing.
    """
    missing = []
    if len(recorded) < FEW_EPISODES:
        missing.append(f"there are only {len(recorded)} recorded episodes to learn from, of {FEW_EPISODES} at least")
    if not dreamed > (mean := float(np.mean(recorded))):
        missing.append(f"the dream promises no more than the mean of the recorded episodes, {mean:.4g}")
    return tuple(missing)


def believed(promise: float, missing: float, worst: float) -> float:
    """The part of a dreamed mean return that the records confirm.

    Args:
        promise: The dreamed mean return.
        missing: The share of it that recorded episodes do not confirm, see
            :func:`~dreamenv.verdict.signals.shortfall`; where negative, the promise remains, where nan, nothing.
        worst: The smallest recorded return; no less remains, unless less was promised.

    Returns:
        A mean return.
    """
    least = min(worst, promise)
    if math.isnan(missing):
        return least
    return max(promise - max(missing, 0.0) * abs(promise - min(worst, 0.0)), least)
