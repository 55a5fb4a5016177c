"""The chapter on M."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dreamenv.foundation.figures import PAGE, PAGE_WIDTH, REFERENCE, new_figure, new_panel, page_frames, png
from dreamenv.reports.memory import MemoryInspection, MixtureTrace
from dreamenv.reports.model_report import SUMMED_STEPS
from dreamenv.reports.page import PageFigure, Row, Section
from dreamenv.reports.page_curves import gradient_figures, losses_figure
from dreamenv.reports.results import Inspection
from dreamenv.reports.samples import SampleSizes
from dreamenv.reports.strips import FilmStrip
from dreamenv.reports.vision import VisionInspection


def memory_section(inspection: Inspection, strips: Sequence[FilmStrip]) -> Section:
    """Makes the chapter on the predictions of M, its mixtures and its training."""
    report = inspection.memory.report
    return Section(
        anchor="memory",
        title="M: memory",
        intro=f"The recurrent model of the next z, on {report.steps} steps of {inspection.episodes} episodes that it "
        "was not trained on.",
        rows=memory_rows(inspection),
        figures=(
            *(map(_strip, strips) if strips else (_no_strip(inspection),)),
            _open_loop(inspection),
            *_mixture_figures(inspection),
            losses_figure(
                "M's losses over training",
                inspection.memory_training,
                "All fall and level off; the likelihood's noise stays small beside its fall. A repulsion that stays "
                "at its bound keeps components apart that would rather be one.",
            ),
            *gradient_figures(
                inspection.memory_training,
                ("mixture", "repulsion"),
                "The mixture's likelihood leads by far; repulsion is felt, mostly in the beginning, and does not lead.",
            ),
        ),
    )


def memory_rows(inspection: Inspection) -> tuple[Row, ...]:
    """The numbers."""
    return (*_prediction_rows(inspection.memory), *_sample_rows(inspection.samples))


def _prediction_rows(memory: MemoryInspection) -> tuple[Row, ...]:
    report, error = memory.report, memory.report.reward_error
    low, middle, high = memory.scale
    return (
        Row(
            "NLL, nats per dimension", f"{memory.report.nll:.3f}", "low; to be compared between worlds with the same V"
        ),
        Row(
            "Reward error of ordinary steps",
            "-" if error is None else f"{error:.4f}",
            "small beside the rewards of the task",
        ),
        Row(
            f"R2 of these rewards: per step, over {SUMMED_STEPS} steps",
            ", ".join("-" if r2 is None else f"{r2:.2f}" for r2 in (report.reward_r2, report.reward_sum_r2)),
            "1 is perfect, 0 no better than their mean; returns depend on the sums; a dash where rewards do not vary",
        ),
        Row(
            "Entropy of the weights, nats",
            f"{memory.entropy:.2f} of {memory.entropy_limit:.2f}",
            "between the two ends: at 0 one component does it all, at the upper one all weigh the same",
        ),
        Row(
            "Live components",
            f"{memory.live_components:.1f} of {memory.components}",
            "above 1 where the future is open: at a step, those with a weight above 5%",
        ),
        Row(
            "Overlap of components",
            "-" if memory.overlap is None else f"{memory.overlap:.2f}",
            "below 1, where all are the same Gaussian; what the repulsion loss lowers (Bhattacharyya 1943)",
        ),
        Row(
            "Sigmas: 10%, 50%, 90%",
            f"{low:.2f}, {middle:.2f}, {high:.2f}",
            "small for what can be foreseen, about 1 for dimensions of z that V does not use",
        ),
    )


def _sample_rows(samples: SampleSizes) -> tuple[Row, ...]:
    assumed = " (default settings assumed)" if samples.assumed else ""
    return (
        Row(
            "Effective windows",
            f"{samples.windows_effective:.0f} of {samples.windows}",
            "most of them: windows with rare endings are drawn more often, and when few windows have almost all draws "
            f"M learns them by heart (Kish's formula){assumed}",
        ),
        Row(
            "Effective steps per batch",
            f"{samples.steps_effective:.0f} of {samples.steps:.0f}",
            "the more, the steadier the gradient, and more windows per batch add most: neighbouring steps resemble "
            f"each other, and {samples.correlation_time:.1f} in a row are worth one (autocorrelation time of the "
            f"likelihood){assumed}",
        ),
        Row(
            "The same for the ending head",
            f"{samples.ending_effective:.0f} of {samples.steps:.0f}",
            f"most of them: steps with rare endings weigh more (Kish's formula){assumed}",
        ),
    )


def _strip(strip: FilmStrip) -> PageFigure:
    ended = strip.kind != "continues"
    title = (
        f"Film strip: an episode that ended {strip.kind}" if ended else "Film strip: an episode that ran out of time"
    )
    if strip.dream_end is None:
        dream = "The dream did not end by itself."
    else:
        steps, kind = strip.dream_end
        dream = f"The dream ended after {steps} steps ({kind}); what stands further right it would not have shown."
    there = " The last column ends the episode, and the dream should end about there too." if ended else ""
    return PageFigure(
        title,
        f"The episode with seed {strip.seed}, replayed up to step {strip.start}; from there M dreams on at "
        "temperature 1, with the actions that were really taken and no more frames. Above the real frames, below the "
        f"dreamed ones; between them the real ones as V draws them, the best that a dream can look. {dream}",
        "After 1 step the rows agree. After 5 and 15 things are where they should be, while texture drifts. After 50 "
        f"it may be another place, but one that could exist.{there}",
        _draw_strip(strip),
    )


def _no_strip(inspection: Inspection) -> PageFigure:
    shortest = min(inspection.config.horizons)
    return PageFigure("Film strips", f"Missing: no held-out episode is longer than {shortest} steps.")


def _open_loop(inspection: Inspection) -> PageFigure:
    title = "Open-loop error by horizon"
    if not inspection.memory.open_loop:
        return PageFigure(title, f"Missing: no held-out episode goes on for {min(inspection.config.horizons)} steps.")
    return PageFigure(
        title,
        "Root mean square distance, per dimension, of the dreamed z from V's posterior mean of the real frame, for "
        f"dreams that branch off at every step of {min(inspection.config.open_loop_episodes, inspection.episodes)} "
        "episodes. Dotted: a draw from V's posterior of the very frame. Dashed: one of any other frame.",
        "One step on it is close to the dotted line, and it rises slowly. A curve at the dashed line knows no more of "
        "what came than a frame picked at random; one above it dreams of frames that do not exist.",
        _draw_open_loop(inspection.memory, inspection.vision),
    )


def _mixture_figures(inspection: Inspection) -> tuple[PageFigure, ...]:
    memory = inspection.memory
    return (
        PageFigure(
            "The mixture over time",
            f"Along one held-out episode, for the latent dimension with the most KL ({memory.trace.dimension}): "
            "weights of the components, their means (a dot's size is its weight) with the z that came, their standard "
            "deviations, and the entropy of the weights, averaged over all dimensions; dashed its limit log K.",
            "The black line runs through large dots. Sigmas are small while nothing new comes into view, and grow, or "
            "the weights part, where the future is open. Bands of all colours: every component has its moments. "
            "Colours with the same means and sigmas all along are copies.",
            _draw_mixture(memory.trace),
        ),
        PageFigure(
            "How evenly components are used",
            "Mean weight of the likeliest component of each step, of the next one, and so on.",
            "The first leads and the others follow. A first one at 1 means that the mixture is one Gaussian; equal "
            "bars mean that the components are copies of each other, or that nothing decides between them.",
            _draw_weights(memory),
        ),
    )


def _draw_strip(strip: FilmStrip) -> bytes:
    """Real frames, the same as V sees them, and dreamed ones."""
    captions = ["last frame seen", *(f"{n} step{'s' if n > 1 else ''} on" for n in strip.horizons[1:])]
    return page_frames({"real": strip.real, "real, by V": strip.seen, "dreamed": strip.dreamed}, captions)


def _draw_open_loop(memory: MemoryInspection, vision: VisionInspection) -> bytes:
    """Distance of the dreamed z from the real one by horizon, between a perfect dream's and a stranger's."""
    figure, axes = new_panel(3.2)
    horizons = [loop.horizon for loop in memory.open_loop]
    axes.plot(horizons, [loop.z_error for loop in memory.open_loop], "o-", color=PAGE.colours[0], label="dream")
    axes.axhline(vision.error_of_strangers, label="an unrelated frame", **REFERENCE)
    axes.axhline(vision.error_of_noise, label="a perfect dream", **(REFERENCE | {"linestyle": ":"}))
    axes.set(xscale="log", xlabel="steps dreamed", ylabel="distance in z", ylim=(0.0, None))
    axes.set_xticks(horizons, [str(horizon) for horizon in horizons])
    axes.minorticks_off()
    axes.legend(fontsize=9)
    return png(figure)


def _draw_mixture(trace: MixtureTrace) -> bytes:
    """Weights, means with the z that came, standard deviations, and entropy of a mixture over an episode."""
    figure = new_figure(PAGE_WIDTH, 7.2)
    weights, means, scales, entropy = figure.subplots(4, 1, sharex=True, height_ratios=(1.0, 1.7, 1.0, 1.0))
    steps, colours = np.arange(1, len(trace.z) + 1), PAGE.palette(len(trace.weights))
    weights.stackplot(steps, *trace.weights, colors=colours, linewidth=0)
    for colour, share, mean, scale in zip(colours, trace.weights, trace.means, trace.scales, strict=True):
        means.scatter(steps, mean, s=40.0 * np.array(share) + 0.3, color=colour, linewidth=0, alpha=0.7)
        scales.plot(steps, scale, color=colour, linewidth=1.0)
    means.plot(steps, trace.z, color="black", linewidth=1.0, label="z that came")
    means.legend(fontsize=8, loc="upper right")
    entropy.plot(steps, trace.entropy, color="black", linewidth=1.0)
    entropy.axhline(np.log(len(trace.weights)), **REFERENCE)
    weights.set(ylabel="weights", ylim=(0.0, 1.0))
    means.set(ylabel=f"means, dimension {trace.dimension}")
    scales.set(ylabel="sigmas", yscale="log")
    entropy.set(ylabel="entropy, nats", xlabel="step of the episode", ylim=(0.0, None))
    for axes in (means, scales, entropy):
        axes.grid(alpha=0.3)
    return png(figure)


def _draw_weights(memory: MemoryInspection) -> bytes:
    """Mean weights of the components, ordered at every step."""
    figure, axes = new_panel(2.6)
    places = np.arange(1, memory.components + 1)
    axes.bar(places, memory.ordered_weights, color=PAGE.colours[0], width=0.6)
    for place, value in zip(places, memory.ordered_weights, strict=True):
        axes.annotate(f"{value:.2f}", (place, value), ha="center", va="bottom", fontsize=9)
    axes.set(xlabel="component, likeliest first", ylabel="mean weight", xticks=places, ylim=(0.0, 1.1))
    return png(figure)
