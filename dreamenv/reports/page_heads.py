"""The chapter on the heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dreamenv.foundation.figures import PAGE, PAGE_WIDTH, REFERENCE, new_figure, new_panel, png
from dreamenv.models.heads import EndingRule
from dreamenv.reports.heads import HeadInspection, base_rate
from dreamenv.reports.page import PageFigure, Row, Section
from dreamenv.reports.results import Inspection

RULES: Mapping[EndingRule, str] = {
    "threshold": "the dream ends so when the probability exceeds one half: precision and recall there are what counts",
    "sample": "the dream ends so with that probability: calibration is what counts",
}


def heads_section(inspection: Inspection) -> Section:
    """Makes the chapter on the prediction of endings."""
    heads = inspection.heads
    intro = (
        f"What the world model predicts of the endings of {inspection.prediction.report.steps} held-out steps, one "
        "real step ahead. A kind is named by what its last step pays beside an ordinary one: worse, the same, or "
        "better."
    )
    if not heads:
        missing = "Missing: no training episode ended by itself, so that there is nothing to predict."
        nothing = PageFigure("Endings", missing)
        return Section("heads", "Heads", intro, figures=(nothing,))
    return Section("heads", "Heads", intro, head_rows(inspection), _figures(inspection))


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
            f"near 1; chance level is {base_rate(head):.4f}",
        ),
        Row(f"{kind}: area under ROC", _number(report.auc, 4), "near 1; chance level is 0.5"),
    )


def _figures(inspection: Inspection) -> tuple[PageFigure, ...]:
    return (
        PageFigure(
            "Calibration",
            "Steps with about the same predicted probability, and the share of them that ended so, with 95% intervals "
            "(Wilson 1927); left on a plain scale, right on a logarithmic one, where the many steps with small "
            "probabilities are. A share of 0 stands at the lower edge.",
            "Intervals touch the dashed line. Points above it: endings come more often than the dream believes, so "
            "that it is too safe or too stingy. Points below it: the dream ends too often, or promises goals that are "
            "not there, which agents exploit.",
            _draw_calibration(inspection.heads),
        ),
        PageFigure(
            "Precision and recall",
            "For every threshold, how many of the endings are found and how many of the calls are right. The cross "
            "stands where the probability is one half.",
            "A curve along the top right corner, with the cross in that corner. A curve that falls early confuses the "
            "ending with steps before it, by a frame or two or altogether.",
            _draw_precision_recall(inspection.heads),
        ),
    )


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _draw_calibration(heads: Sequence[HeadInspection]) -> bytes:
    """Predicted and observed shares of endings, on a plain scale and on one that shows small probabilities."""
    figure = new_figure(PAGE_WIDTH, 3.5)
    for axes, scale in zip(figure.subplots(1, 2), ("linear", "log"), strict=True):
        low = 0.0 if scale == "linear" else 1e-5
        axes.plot([low, 1.0], [low, 1.0], **REFERENCE)
        for head, colour in zip(heads, PAGE.palette(len(heads)), strict=True):
            bins = head.calibration
            x, y = np.array([b.predicted for b in bins]), np.array([b.observed for b in bins])
            reach = np.array([[max(b.observed - b.low, 0.0), max(b.high - b.observed, 0.0)] for b in bins]).T
            axes.errorbar(
                np.maximum(x, low),
                np.maximum(y, low),
                reach,
                fmt="o",
                markersize=4,
                color=colour,
                label=head.report.kind,
            )
        axes.set(xscale=scale, yscale=scale, xlabel="predicted probability")
        axes.set(xlim=(0.6 * low - 0.02 * (low == 0.0), 1.05 + 0.35 * (low > 0.0)))
        axes.set(ylim=axes.get_xlim())
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("share that ended so")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=9)
    return png(figure)


def _draw_precision_recall(heads: Sequence[HeadInspection]) -> bytes:
    """Precision against recall of every kind of ending; a cross where the probability is one half."""
    figure, axes = new_panel(3.6)
    for head, colour in zip(heads, PAGE.palette(len(heads)), strict=True):
        curve, report = head.curve, head.report
        if curve.recall:
            label = f"{report.kind}, average precision {head.average_precision:.3f}"
            axes.step(
                (0.0, *curve.recall), (curve.precision[0], *curve.precision), where="pre", color=colour, label=label
            )
        if report.precision is not None and report.recall is not None:
            axes.plot(report.recall, report.precision, "X", color=colour, markersize=10, markeredgecolor="black")
    axes.set(xlabel="recall: share of the endings that are found", ylabel="precision: share that is right")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.05))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=9, loc="lower left")
    return png(figure)
