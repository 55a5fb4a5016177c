"""The difference between dreamed and real scores, and the temperature at which it is smallest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dreamenv.evaluate.scores import Score
from dreamenv.foundation.errors import SettingsError

Quantity = Literal["return", "success", "length"]


@dataclass(frozen=True)
class Gap:
    """The difference between a dreamed and a real mean of one quantity.

    Attributes:
        quantity: What is compared: ``"return"``, ``"success"`` (0 or 1) or ``"length"`` in steps.
        temperature: Temperature of the dream.
        dream: Mean in the dream.
        real: Mean in reality.
        difference: ``dream - real``.
        low: Lower end of the difference's 95% bootstrap interval.
        high: Its upper end.
    """

    quantity: Quantity
    temperature: float
    dream: float
    real: float
    difference: float
    low: float
    high: float


def gaps(dream: Score, real: Score) -> tuple[Gap, ...]:
    """Compares an agent's dreamed with its real episodes, which need not be as many.

    Args:
        dream: The agent in the dream.
        real: The same agent in reality.

    Returns:
        The gaps of return and length, and of success if the world defines it.

    Raises:
        SettingsError: If the scores are not of a dream and of reality.
    """
    if dream.temperature is None or real.temperature is not None:
        raise SettingsError(f"expected scores of a dream and of reality, got {dream.place} and {real.place}")
    quantities: dict[Quantity, tuple[Sequence[float], Sequence[float]]] = {"return": (dream.returns, real.returns)}
    if real.success is not None:
        quantities["success"] = (dream.successes, real.successes)
    quantities["length"] = (dream.lengths, real.lengths)
    return tuple(_gap(name, dream.temperature, *values) for name, values in quantities.items())


def best_temperature(dreams: Sequence[Score], real: Score) -> float:
    """Temperature whose dream predicts the mean real return best; the lowest of equals.

    Raises:
        SettingsError: If there are no dreams.
    """
    if not dreams:
        raise SettingsError("expected at least one dream's score, got none")
    ordered = sorted(dreams, key=lambda score: score.temperature or 0.0)
    best = min(ordered, key=lambda score: abs(score.mean - real.mean))
    assert best.temperature is not None
    return best.temperature


def _gap(quantity: Quantity, temperature: float, dream: Sequence[float], real: Sequence[float]) -> Gap:
    import scipy.stats

    samples = np.asarray(dream, float), np.asarray(real, float)
    means = float(samples[0].mean()), float(samples[1].mean())
    low = high = means[0] - means[1]
    if any(np.ptp(sample) > 0 for sample in samples):
        found = scipy.stats.bootstrap(
            [sample.repeat(2) if len(sample) == 1 else sample for sample in samples],  # SciPy needs two of each
            lambda a, b, axis: a.mean(axis) - b.mean(axis),
            n_resamples=5000,
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
        low, high = float(found.low), float(found.high)
    return Gap(quantity, temperature, *means, means[0] - means[1], low, high)
