"""Figures of the scalars that a training logged, or a note that they are missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dreamenv.foundation.figures import PAGE, PAGE_WIDTH, new_figure, new_panel, png
from dreamenv.reports.logs import Curve
from dreamenv.reports.page import PageFigure

STEP = "gradient step"
MEANINGS = {
    "loss": "all of it",
    "squared_error": "mean squared error per pixel and channel",
    "weighted_error": "squared error of a frame, rare colours counting more",
    "kl": "KL in nats per frame",
    "kl of first frames": "the same of first frames alone",
    "overshooting": "KL of priors that were rolled forward, per step",
    "reconstruction": "error of decoded frames, rare colours counting more",
    "features": "error that the discriminator's features see",
    "fooling": "how well the discriminator is not fooled",
    "telling": "how badly it tells real frames from drawn ones",
    "nll": "negative log-likelihood of the next z in nats per dimension",
    "repulsion": "overlap of the mixture's components",
    "ending": "cross entropy of the ending",
    "reward": "squared error of the standardised reward",
    "action": "loss of the next action",
}


def losses_figure(title: str, curves: Sequence[Curve], good: str) -> PageFigure:
    """Every loss over a training, one panel each."""
    found = sorted((curve for curve in curves if "/" not in curve.name), key=lambda curve: curve.name != "loss")
    if not found:
        return PageFigure(title, "Missing: the world's folder has no event files of this training.")
    meanings = "; ".join(f"{curve.name}: {MEANINGS[curve.name]}" for curve in found if curve.name in MEANINGS)
    return PageFigure(title, f"What is minimised, and its parts. {meanings}.", good, _draw_panels(found, STEP))


def gradient_figures(curves: Sequence[Curve], terms: Sequence[str], good_norms: str) -> tuple[PageFigure, ...]:
    """Norms of the gradients of two loss terms over a training, and the cosine between them."""
    norms = pick(curves, [f"gradient/{term}" for term in terms])
    cosine = pick(curves, ["gradient/cosine"])
    pair = " and ".join(terms)
    titles = (f"Gradient norms of {pair}", f"Cosine between the gradients of {pair}")
    if not norms and not cosine:
        names = ", ".join([*(f"gradient/{term}" for term in terms), "gradient/cosine"])
        missing = (
            f"Missing: this training logged none of the scalars {names}. A newer one does, where its loss has both "
            "terms."
        )
        return (PageFigure(f"Gradients of {pair}", missing),)
    shows = (
        f"Norm of the gradient of each term ({pair}), weighted as it enters the loss, over the training.",
        "Cosine of the angle between the two gradients: 1 is the same direction, -1 the opposite one.",
    )
    good = (
        good_norms,
        "Around 0, or a little below: each term costs the other something. Steadily near -1 whatever one gains the "
        "other loses, and the larger of the two wins: give that one a smaller weight.",
    )
    labels = ("norm of the gradient", "cosine")
    return tuple(
        PageFigure(title, text, best, draw_curves(found, STEP, label, log=found is norms))
        for title, text, best, found, label in zip(titles, shows, good, (norms, cosine), labels, strict=True)
        if found
    )


def pick(curves: Sequence[Curve], names: Sequence[str]) -> list[Curve]:
    """The curves of these names, in the order of the names."""
    known = {curve.name: curve for curve in curves}
    return [known[name] for name in names if name in known]


def _draw_panels(curves: Sequence[Curve], unit: str) -> bytes:
    """Curves below each other, each with a scale of its own."""
    figure = new_figure(PAGE_WIDTH, 0.5 + 1.35 * len(curves))
    panels = figure.subplots(len(curves), 1, sharex=True, squeeze=False)[:, 0]
    for axes, curve, colour in zip(panels, curves, PAGE.palette(len(curves)), strict=True):
        axes.plot(curve.steps, curve.values, color=colour, linewidth=1.1)
        axes.set_ylabel(curve.name, fontsize=9)
        axes.grid(alpha=0.3)
        if _wide([curve]):
            axes.set_yscale("log")
    panels[-1].set_xlabel(unit)
    return png(figure)


def draw_curves(curves: Sequence[Curve], unit: str, label: str, *, log: bool = False) -> bytes:
    """Curves in one panel; with ``log`` on a logarithmic scale if they span too much for a linear one."""
    figure, axes = new_panel(3.2)
    for curve, colour in zip(curves, PAGE.palette(len(curves)), strict=True):
        marker = "o" if len(curve.steps) < 30 else ""
        axes.plot(curve.steps, curve.values, marker=marker, markersize=3.5, color=colour, label=curve.name)
    axes.set(xlabel=unit, ylabel=label, yscale="log" if log and _wide(curves) else "linear")
    if len(curves) > 1:
        axes.legend(fontsize=9)
    return png(figure)


def _wide(curves: Sequence[Curve]) -> bool:
    """Whether the bulk of the values spans more than a linear scale shows; a few may be 0, as at a warm-up's begin."""
    values = np.concatenate([curve.values for curve in curves])
    low, high = np.quantile(values, (0.05, 0.95))
    return bool(values.min() >= 0.0 and low > 0.0 and high > 30.0 * low)
