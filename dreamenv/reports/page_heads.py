"""The chapter on the heads."""

from __future__ import annotations

from collections.abc import Mapping

from dreamenv.models.heads import EndingRule
from dreamenv.reports.heads import HeadInspection, base_rate
from dreamenv.reports.page import Plate, Row, Section
from dreamenv.reports.page_plots import draw_calibration, draw_precision_recall
from dreamenv.reports.results import Inspection

RULES: Mapping[EndingRule, str] = {
    "threshold": "the dream ends so when the probability exceeds one half: precision and recall there are what counts",
    "sample": "the dream ends so with that probability: calibration is what counts",
}


def heads_section(inspection: Inspection) -> Section:
    """Tells how well endings are predicted."""
    heads = inspection.heads
    intro = (
        f"What M says of the endings of {inspection.memory.report.steps} held-out steps, one real step ahead. A kind "
        "is named by what its last step pays beside an ordinary one: worse, the same, or better."
    )
    if not heads:
        nothing = Plate("Endings", "Missing: no training episode ended by itself, so that there is nothing to predict.")
        return Section("heads", "Heads", intro, plates=(nothing,))
    return Section("heads", "Heads", intro, head_rows(inspection), _plates(inspection))


def head_rows(inspection: Inspection) -> tuple[Row, ...]:
    """The numbers."""
    return tuple(row for head in inspection.heads for row in _rows(head))


def _rows(head: HeadInspection) -> tuple[Row, ...]:
    report, kind = head.report, head.report.kind
    return (
        Row(f"{kind}: predicted / happened", f"{report.predicted:.1f} / {report.count}", "equal; " + RULES[head.rule]),
        Row(
            f"{kind}: calibration error",
            f"{_number(head.calibration_error, 4)}; {_number(head.calibration_error_possible, 3)}",
            "0; over all steps, and over those with a probability of at least 1% (the first is small for any rare "
            "kind)",
        ),
        Row(
            f"{kind}: precision, recall",
            f"{_number(report.precision, 2)}, {_number(report.recall, 2)}",
            "near 1, at a probability of one half and at the exact step",
        ),
        Row(
            f"{kind}: average precision",
            _number(head.average_precision, 3),
            f"near 1; who guesses has {base_rate(head):.4f}",
        ),
        Row(f"{kind}: area under ROC", _number(report.auc, 4), "near 1; who guesses has 0.5"),
    )


def _plates(inspection: Inspection) -> tuple[Plate, ...]:
    return (
        Plate(
            "Calibration",
            "Steps with about the same predicted probability, and the share of them that ended so, with 95% intervals "
            "(Wilson 1927); left on a plain scale, right on a logarithmic one, where the many steps with small "
            "probabilities are. A share of 0 stands at the lower edge.",
            "Intervals touch the dashed line. Points above it: endings come more often than the dream believes, so "
            "that it is too safe or too stingy. Points below it: the dream ends too often, or promises goals that are "
            "not there, which agents exploit.",
            draw_calibration(inspection.heads),
        ),
        Plate(
            "Precision and recall",
            "For every threshold, how many of the endings are found and how many of the calls are right. The cross "
            "stands where the probability is one half.",
            "A curve along the top right corner, with the cross in that corner. A curve that falls early confuses the "
            "ending with steps before it, by a frame or two or altogether.",
            draw_precision_recall(inspection.heads),
        ),
    )


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
