"""The ending head on held-out steps: calibration, precision and recall of every kind of ending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dreamenv.models.heads import EndingRule
from dreamenv.reports.calibration import (
    CalibrationBin,
    PrecisionRecall,
    calibration_curve,
    calibration_error,
    precision_recall,
)
from dreamenv.reports.model_report import EndingReport
from dreamenv.reports.prediction import Readings

POSSIBLE = 0.01  # probability from which on an ending is expected at all


@dataclass(frozen=True)
class HeadInspection:
    """How well one kind of ending is predicted.

    Attributes:
        rule: How the dream decides on it.
        report: Counts, precision and recall at a probability of one half, area under the ROC curve.
        calibration: The reliability diagram.
        calibration_error: Expected calibration error over all steps; small for rare endings, whatever the head does.
        calibration_error_possible: The same over the steps with a probability of at least 1%; None without any.
        curve: Precision and recall by threshold.
        average_precision: Area under that curve; None if no step ended so.
    """

    rule: EndingRule
    report: EndingReport
    calibration: tuple[CalibrationBin, ...]
    calibration_error: float | None
    calibration_error_possible: float | None
    curve: PrecisionRecall
    average_precision: float | None


def inspect_heads(
    readings: Readings, reports: Sequence[EndingReport], rules: Sequence[EndingRule]
) -> tuple[HeadInspection, ...]:
    """Measures the ending head.

    Args:
        readings: What it says on held-out steps.
        reports: One per kind of ending, in the head's order.
        rules: How the dream decides on each.

    Returns:
        One result per kind.
    """
    results = []
    for index, (report, rule) in enumerate(zip(reports, rules, strict=True), start=1):
        probability = readings.probabilities[:, index].double().numpy()
        truth = (readings.ending == index).numpy()
        possible = probability >= POSSIBLE
        bins = calibration_curve(probability, truth)
        curve = precision_recall(probability, truth)
        results.append(
            HeadInspection(
                rule=rule,
                report=report,
                calibration=bins,
                calibration_error=calibration_error(bins),
                calibration_error_possible=calibration_error(calibration_curve(probability[possible], truth[possible])),
                curve=curve,
                average_precision=curve.average,
            )
        )
    return tuple(results)


def base_rate(head: HeadInspection) -> float:
    """Share of all steps that ended so: the precision of a random guess."""
    counts = np.array([b.count for b in head.calibration])
    return head.report.count / int(counts.sum())
