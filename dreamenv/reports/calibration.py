"""How good probabilities are: calibration curves, precision and recall, as pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# A bin per tenth, and finer ones below: endings are rare, so that most of what counts is a small probability.
EDGES = (0.0, 0.001, 0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class CalibrationBin:
    """Steps with about the same probability.

    Attributes:
        count: How many.
        predicted: Their mean probability.
        observed: Share of them in which it happened.
        low: Lower end of the 95% interval of that share (Wilson 1927).
        high: Its upper end.
    """

    count: int
    predicted: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True)
class PrecisionRecall:
    """What is found and what is right, for every threshold at which one more is found.

    Attributes:
        threshold: Probabilities from which on a step is called, falling.
        precision: Share of the called steps that were right.
        recall: Share of the right steps that were called, rising.
    """

    threshold: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]

    @property
    def average(self) -> float | None:
        """Average precision: the precisions, each weighted by the recall it adds; None if there was nothing to find."""
        return float(np.dot(self.precision, np.diff(self.recall, prepend=0.0))) if self.recall else None


def calibration_curve(
    probability: Floats, truth: NDArray[np.bool_], edges: Sequence[float] = EDGES
) -> tuple[CalibrationBin, ...]:
    """Compares (N,) probabilities with (N,) truths, bin by bin; bins without samples are left out.

    Args:
        probability: In [0, 1].
        truth: What happened.
        edges: Rising from 0 to 1; a bin holds its lower edge, the last one both.

    Returns:
        The reliability diagram, from small to large probabilities.
    """
    import scipy.stats

    place = np.digitize(probability, edges[1:-1])
    bins = []
    for index in np.unique(place):
        inside = place == index
        count, hits = int(inside.sum()), int(truth[inside].sum())
        interval = scipy.stats.binomtest(hits, count).proportion_ci(method="wilson")
        predicted = float(probability[inside].mean())
        bins.append(CalibrationBin(count, predicted, hits / count, float(interval.low), float(interval.high)))
    return tuple(bins)


def calibration_error(bins: Sequence[CalibrationBin]) -> float | None:
    """Expected calibration error: mean |observed - predicted| over all steps (Naeini et al. 2015); None without any."""
    steps = sum(b.count for b in bins)
    return sum(b.count * abs(b.observed - b.predicted) for b in bins) / steps if steps else None


def precision_recall(probability: Floats, truth: NDArray[np.bool_]) -> PrecisionRecall:
    """Precision and recall of calling every step whose probability is at least that of some right one.

    Args:
        probability: (N,).
        truth: (N,), what happened.

    Returns:
        The curve, of no points if nothing happened.
    """
    thresholds = np.unique(probability[truth])[::-1]
    called = _at_least(probability, thresholds)
    found = _at_least(probability[truth], thresholds)
    return PrecisionRecall(
        threshold=tuple(thresholds.tolist()),
        precision=tuple((found / called).tolist()),
        recall=tuple((found / max(int(truth.sum()), 1)).tolist()),
    )


def _at_least(values: Floats, thresholds: Floats) -> NDArray[np.int64]:
    """How many of (N,) values reach each of the (M,) thresholds."""
    return len(values) - np.searchsorted(np.sort(values), thresholds, side="left")
