"""The chapter on M."""

from __future__ import annotations

import numpy as np

from dreamenv.foundation.figures import PAGE, PAGE_WIDTH, REFERENCE, new_figure, new_panel, png
from dreamenv.reports.memory import MemoryInspection, MixtureTrace
from dreamenv.reports.page import PageFigure, Row, Section
from dreamenv.reports.page_curves import gradient_figures, losses_figure
from dreamenv.reports.results import Inspection
from dreamenv.reports.samples import SampleSizes


def memory_section(inspection: Inspection, memory: MemoryInspection) -> Section:
    """Makes the chapter on the mixtures of M, its training batches and its training."""
    curves = inspection.training.get("memory", ())
    return Section(
        anchor="memory",
        title="M: memory",
        intro=f"The recurrent model of the next z, on {inspection.prediction.report.steps} steps of "
        f"{inspection.episodes} episodes that it was not trained on.",
        rows=memory_rows(inspection),
        figures=(
            *_mixture_figures(memory),
            losses_figure(
                "M's losses over training",
                curves,
                "All fall and level off; the likelihood's noise stays small beside its fall. A repulsion that stays "
                "at its bound keeps components apart that would rather be one.",
            ),
            *gradient_figures(
                curves,
                ("mixture", "repulsion"),
                "The mixture's likelihood leads by far; repulsion is felt, mostly in the beginning, and does not lead.",
            ),
        ),
    )


def memory_rows(inspection: Inspection) -> tuple[Row, ...]:
    """The numbers; none for a world model that has no M."""
    memory, samples = inspection.memory, inspection.samples
    return (*(() if memory is None else _mixture_rows(memory)), *(() if samples is None else _sample_rows(samples)))


def _mixture_rows(memory: MemoryInspection) -> tuple[Row, ...]:
    low, middle, high = memory.scale
    return (
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


def _mixture_figures(memory: MemoryInspection) -> tuple[PageFigure, ...]:
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
