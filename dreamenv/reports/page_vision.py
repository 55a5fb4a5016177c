"""The chapter on V."""

from __future__ import annotations

import numpy as np

from dreamenv.foundation.figures import PAGE, REFERENCE, new_panel, png
from dreamenv.reports.page import PageFigure, Row, Section
from dreamenv.reports.page_curves import gradient_figures, losses_figure
from dreamenv.reports.page_frames import reconstructions_figure
from dreamenv.reports.results import InspectConfig, Inspection
from dreamenv.reports.vision import Reconstructions, VisionInspection


def vision_section(inspection: Inspection, vision: VisionInspection, frames: Reconstructions) -> Section:
    """Makes the chapter on V's latent space, reconstructions and training."""
    report, curves = vision.report, inspection.training.get("vision", ())
    return Section(
        anchor="vision",
        title="V: vision",
        intro=f"The autoencoder between frames and z, on {report.frames} frames that it was not trained on.",
        rows=vision_rows(inspection),
        figures=(
            reconstructions_figure(frames),
            *_latent_figures(vision, inspection.config),
            losses_figure(
                "V's loss over training",
                curves,
                "All errors fall and level off. KL rises from 0 as details are learned, peaks while its weight warms "
                "up, and settles well above 0.",
            ),
            *gradient_figures(
                curves,
                ("reconstruction", "kl"),
                "Reconstruction leads and KL is felt, some ten times smaller or a little less. A KL that leads from "
                "the beginning collapses V to one grey frame: lower beta or warm it up for longer.",
            ),
        ),
    )


def vision_rows(inspection: Inspection) -> tuple[Row, ...]:
    """The numbers; none for a world model that has no V."""
    vision, samples = inspection.vision, inspection.samples
    if vision is None or samples is None:
        return ()
    report, size = vision.report, len(vision.kl)
    active, beside = int(vision.active.sum()), report.squared_error_beside
    settings = "the default settings" if samples.assumed else "the settings of its training"
    return (
        Row("Squared error", f"{report.squared_error:.4f}", "small; as an average it hides lost details, see below"),
        *(() if beside is None else (Row("The same with skips", f"{beside:.4f}", "smaller, but no dream has skips"),)),
        Row("Spread of reconstructions", f"{report.spread:.0%}", "near 100% of the frames' variance; 0% is a collapse"),
        Row("KL, nats per frame", f"{report.kl:.1f}", "well above 0, where z would say nothing"),
        Row(
            "Active dimensions",
            f"{active} of {size}",
            "as many as the scene has independent facts; not just one or two",
        ),
        Row("Rank of the means", f"{vision.rank} of {size}", "all: fewer means that dimensions copy each other"),
        Row("Effective rank", f"{vision.effective_rank:.1f}", f"near the {active} active dimensions; 1 is a collapse"),
        Row(
            "HSIC, mean of active pairs",
            f"{vision.dependence_active:.3f}",
            "near 0, where dimensions are independent; by chance alone 95% of pairs are below "
            f"{vision.dependence_chance:.3f}",
        ),
        Row(
            "Effective frames per batch",
            f"{samples.frames_effective:.0f} of {samples.frames}",
            f"most of them; Kish's formula, as frames with rare colours weigh more, with {settings}",
        ),
    )


def _latent_figures(vision: VisionInspection, config: InspectConfig) -> tuple[PageFigure, ...]:
    return (
        PageFigure(
            "KL by latent dimension",
            "How much each dimension of z tells about the frame beyond the prior, in nats. A dimension counts as "
            "active if its posterior mean varies by more than 0.01 over the frames (Burda et al. 2015).",
            "Many dimensions share the load and fall off smoothly; the rest are at 0 and cost nothing. All at 0 is a "
            "collapsed V, a single giant one a V that learned little but brightness.",
            _draw_kl(vision),
        ),
        PageFigure(
            "Spectrum of the latent means",
            "Singular values of the posterior means around their mean, scaled to the sum 1, and the effective rank: "
            "the exponential of their entropy (Roy and Vetterli 2007).",
            "A gentle slope without a cliff at the left, and an effective rank near the number of active dimensions. "
            "A steep start means that few directions hold all there is.",
            _draw_spectrum(vision),
        ),
        PageFigure(
            "Dependence between latent dimensions",
            "Normalised HSIC (Gretton et al. 2005) of every pair of dimensions, on the posterior means of "
            f"{min(config.hsic_frames, vision.report.frames)} frames, with a Gaussian kernel and the "
            "median distance as bandwidth: 0 for independent ones, 1 for copies. Dimensions are ordered by KL, the "
            "white lines part the active ones from the others. Frames of one episode resemble each other, which adds "
            "a little.",
            f"Dark. Active pairs are below or not far above {vision.dependence_chance:.3f}, which chance alone rarely "
            "exceeds. Given h, M draws the dimensions apart from each other, all but for the component of a joint "
            "mixture: what a bright pair has in common, h must tell, or dreams combine what no frame does.",
            _draw_dependence(vision),
        ),
    )


def _draw_kl(vision: VisionInspection) -> bytes:
    """KL of every latent dimension, largest first."""
    figure, axes = new_panel(2.9)
    order = np.argsort(vision.kl)[::-1]
    colours = np.where(vision.active[order], PAGE.colours[0], "#c9c9c9")
    axes.bar(np.arange(1, len(order) + 1), np.array(vision.kl)[order], color=colours, width=0.85)
    axes.set(xlabel="latent dimension, by KL (grey: not active)", ylabel="KL (nats)")
    return png(figure)


def _draw_spectrum(vision: VisionInspection) -> bytes:
    """Normalised singular values of the latent means."""
    figure, axes = new_panel(2.9)
    values = vision.singular_values
    axes.plot(np.arange(1, len(values) + 1), values, "o-", markersize=3.5, color=PAGE.colours[0])
    axes.axhline(1.0 / len(values), label="all directions alike", **REFERENCE)
    label = f"effective rank {vision.effective_rank:.1f}"
    axes.axvline(max(vision.effective_rank, 1.0), color=PAGE.colours[1], label=label)
    axes.set(xlabel="direction", ylabel="share of all singular values", ylim=(0.0, None))
    axes.legend(fontsize=9)
    return png(figure)


def _draw_dependence(vision: VisionInspection) -> bytes:
    """HSIC between all pairs of latent dimensions, those with much KL first."""
    figure, axes = new_panel(4.3)
    order = np.argsort(vision.kl)[::-1]
    values = np.array(vision.dependence)[np.ix_(order, order)]
    np.fill_diagonal(values, np.nan)
    edges = (0.5, len(order) + 0.5)
    top = max(3.0 * vision.dependence_chance, float(np.nanmax(values)) if len(order) > 1 else 0.0, 1e-3)
    image = axes.imshow(values, cmap="viridis", vmin=0.0, vmax=top, extent=(*edges, *edges[::-1]))
    figure.colorbar(image, ax=axes, label=f"normalised HSIC (chance: below {vision.dependence_chance:.3f})")
    if 0 < (active := int(vision.active.sum())) < len(order):
        for line in (axes.axhline, axes.axvline):
            line(active + 0.5, color="white", linewidth=1.0)
    axes.set(xlabel="latent dimension, by KL", ylabel="latent dimension, by KL")
    axes.grid(False)
    return png(figure)
