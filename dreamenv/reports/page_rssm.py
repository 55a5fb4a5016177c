"""The chapter on the posterior and the prior of an RSSM."""

from __future__ import annotations

import math

import numpy as np

from dreamenv.foundation.figures import PAGE, PAGE_WIDTH, REFERENCE, new_figure, new_panel, png
from dreamenv.reports.page import PageFigure, Row, Section
from dreamenv.reports.page_curves import losses_figure
from dreamenv.reports.quantities import Spread
from dreamenv.reports.results import Inspection
from dreamenv.reports.rssm import RSSMInspection
from dreamenv.training.rssm import STAGES

GOOD_LOSSES = {
    "frames": "Errors fall and level off. KL rises from 0 as details are learned, and settles well above 0.",
    "joint": "The reconstruction falls and levels off; KL rises early, while z learns to hold the frame, then falls as "
    "the prior learns to predict it.",
    "dynamics": "KL falls and levels off above 0: it is what the prior cannot know.",
    "heads": "Both terms fall and level off.",
}


def rssm_section(inspection: Inspection, rssm: RSSMInspection) -> Section:
    """Makes the chapter on what frames add to the prior, on the use of z, and on the training."""
    return Section(
        anchor="rssm",
        title="RSSM: posterior and prior",
        intro="The posterior reads a frame, the prior only what came before it. Their divergence is what a frame tells "
        "beyond the prediction. First frames are counted apart, because nothing comes before them.",
        rows=rssm_rows(rssm),
        figures=(_by_step(rssm), _by_variable(rssm), *_losses(inspection)),
    )


def rssm_rows(rssm: RSSMInspection) -> tuple[Row, ...]:
    """The numbers."""
    surprising, size = int(rssm.surprising.sum()), len(rssm.kl_of_variable)
    return (
        Row("KL of posterior and prior, nats", _spread(rssm.kl), "above 0, and far below that of first frames"),
        Row(
            "The same of first frames",
            _spread(rssm.kl_of_first),
            "any; dreams begin with a posterior, so this prior is never drawn from",
        ),
        *(_entropy_rows(rssm) if rssm.drawn else ()),
        *_use_rows(rssm),
        Row(
            "Variables of z with KL above 0.01 nats",
            f"{surprising} of {size}",
            "not 0, where frames tell nothing new: z is ignored, or the environment is predicted perfectly",
        ),
    )


def _entropy_rows(rssm: RSSMInspection) -> tuple[Row, ...]:
    limit = "that of a standard normal is 1.42" if rssm.classes is None else f"at most {math.log(rssm.classes):.2f}"
    return (
        Row(
            "Posterior entropy, nats per variable",
            _spread(rssm.entropy),
            f"below that of the prior; {limit}. One near its largest value everywhere means that z holds little",
        ),
        Row(
            "The same of first frames", _spread(rssm.entropy_of_first), "like that of later frames: a frame is a frame"
        ),
        Row(
            "Prior entropy, nats per variable",
            _spread(rssm.prior_entropy),
            "a little above that of the posterior; far above it where the future is open, or the prior learned little",
        ),
    )


def _use_rows(rssm: RSSMInspection) -> tuple[Row, ...]:
    if rssm.active is not None:
        active = f"{int(rssm.active.sum())} of {len(rssm.active)}"
        good = "as many as the scene has independent facts; not just one or two. Variance of the posterior mean above "
        return (Row("Active dimensions", active, f"{good}0.01"),)
    perplexity = np.array(rssm.perplexity)
    value = f"{perplexity.mean():.1f} ({perplexity.min():.1f} to {perplexity.max():.1f}) of {rssm.classes}"
    good = "well above 1 for most variables: a variable at 1 has one class for all frames. Perplexity of the average "
    return (Row("Classes in use, mean and range", value, f"{good}posterior"),)


def _spread(spread: Spread) -> str:
    return f"{spread.mean:.2f} ({spread.low:.2f}, {spread.middle:.2f}, {spread.high:.2f})"


def _by_step(rssm: RSSMInspection) -> PageFigure:
    entropies = " Below, the mean entropies of posterior and prior, per variable." if rssm.drawn else ""
    return PageFigure(
        "KL along episodes",
        "Divergence of posterior from prior by step of the episode: the mean over held-out episodes, and from the 10% "
        f"to the 90% quantile. The dashed line is the mean over first frames.{entropies} In the table, numbers in "
        "brackets are quantiles of 10%, 50% and 90%.",
        "It falls within the first steps, as h gathers the past, and stays level. A rise along episodes means that h "
        "loses track of where it is. A level at the dashed line means that the prior predicts nothing.",
        _draw_by_step(rssm),
    )


def _by_variable(rssm: RSSMInspection) -> PageFigure:
    if rssm.perplexity is not None:
        return PageFigure(
            "Classes in use by variable",
            "Perplexity of the posterior averaged over all frames, by categorical variable, largest first; dashed the "
            "number of classes.",
            "Most bars are well above 1 and below the dashed line. Bars at 1 are variables that never change; all at "
            "the dashed line may mean that classes are drawn at random, see the entropy of the posterior.",
            _draw_bars(rssm.perplexity, "perplexity", limit=float(rssm.classes or 0)),
        )
    return PageFigure(
        "KL by dimension of z",
        "Mean divergence of posterior from prior, by dimension, largest first. Grey dimensions are not active: their "
        "posterior mean hardly varies over frames.",
        "Several dimensions share the divergence. One that has all of it is an event that nothing announces, or a "
        "detail that the prior fails to predict.",
        _draw_bars(rssm.kl_of_variable, "KL (nats)", rssm.active),
    )


def _losses(inspection: Inspection) -> tuple[PageFigure, ...]:
    found = [stage for stage in STAGES if stage in inspection.training]
    if not found:
        return (losses_figure("Losses over training", (), ""),)
    return tuple(
        losses_figure(f"Losses over training: stage {stage}", inspection.training[stage], GOOD_LOSSES[stage])
        for stage in found
    )


def _draw_by_step(rssm: RSSMInspection) -> bytes:
    """KL by step with a band of quantiles; below, the entropies where z is drawn."""
    by_step, first = rssm.by_step, rssm.kl_of_first.mean
    steps = np.arange(1, len(by_step.kl))
    figure = new_figure(PAGE_WIDTH, 4.6 if rssm.drawn else 2.9)
    panels = figure.subplots(1 + int(rssm.drawn), 1, sharex=True, squeeze=False)[:, 0]
    later = by_step.kl[1:]
    panels[0].plot(steps, [spread.mean for spread in later], color=PAGE.colours[0])
    panels[0].fill_between(
        steps, [s.low for s in later], [s.high for s in later], color=PAGE.colours[0], alpha=0.15, linewidth=0
    )
    panels[0].axhline(first, **REFERENCE)
    panels[0].set(ylabel="KL (nats)", ylim=(0.0, None))
    if rssm.drawn:
        for colour, name in zip(PAGE.colours, ("entropy", "prior_entropy"), strict=False):
            label = "prior" if name == "prior_entropy" else "posterior"
            panels[1].plot(steps, getattr(by_step, name)[1:], color=colour, label=label)
        panels[1].set(ylabel="entropy (nats)")
        panels[1].legend(fontsize=9)
    for axes in panels:
        axes.grid(alpha=0.3)
    panels[-1].set_xlabel("step of the episode")
    return png(figure)


def _draw_bars(
    values: tuple[float, ...], label: str, active: np.ndarray | None = None, limit: float | None = None
) -> bytes:
    """A bar for each variable, largest first; grey if it is not active."""
    figure, axes = new_panel(2.9)
    order = np.argsort(values)[::-1]
    marked = np.ones(len(order), bool) if active is None else active[order]
    colours = np.where(marked, PAGE.colours[0], "#c9c9c9")
    axes.bar(np.arange(1, len(order) + 1), np.array(values)[order], color=colours, width=0.85)
    if limit is not None:
        axes.axhline(limit, **REFERENCE)
    axes.set(xlabel=f"{'variable' if active is None else 'dimension'} of z, largest first", ylabel=label)
    return png(figure)
