"""The figures of the inspection page, as PNG files in memory. Takes results, computes nothing."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dreamenv.reports.heads import HeadInspection
from dreamenv.reports.logs import Curve
from dreamenv.reports.memory import MemoryInspection, MixtureTrace
from dreamenv.reports.strips import FilmStrip
from dreamenv.reports.vision import Reconstructions, VisionInspection

WIDTH = 5.2  # inches of every figure: one column, readable on a phone
_COLOURS = ("#1b6ca8", "#e07b39", "#3a923a", "#8d62a8", "#b5a642", "#c44e52", "#4c9f9f", "#7f8c8d")
_REFERENCE: dict[str, Any] = {"color": "black", "linewidth": 0.9, "linestyle": "--"}


def draw_kl(vision: VisionInspection) -> bytes:
    """KL of every latent dimension, largest first."""
    figure, axes = _single(2.9)
    order = np.argsort(vision.kl)[::-1]
    colours = np.where(vision.active[order], _COLOURS[0], "#c9c9c9")
    axes.bar(np.arange(1, len(order) + 1), np.array(vision.kl)[order], color=colours, width=0.85)
    axes.set(xlabel="latent dimension, by KL (grey: not active)", ylabel="KL (nats)")
    return _png(figure)


def draw_spectrum(vision: VisionInspection) -> bytes:
    """Normalised singular values of the latent means."""
    figure, axes = _single(2.9)
    values = vision.singular_values
    axes.plot(np.arange(1, len(values) + 1), values, "o-", markersize=3.5, color=_COLOURS[0])
    axes.axhline(1.0 / len(values), label="all directions alike", **_REFERENCE)
    label = f"effective rank {vision.effective_rank:.1f}"
    axes.axvline(max(vision.effective_rank, 1.0), color=_COLOURS[1], label=label)
    axes.set(xlabel="direction", ylabel="share of all singular values", ylim=(0.0, None))
    axes.legend(fontsize=9)
    return _png(figure)


def draw_dependence(vision: VisionInspection) -> bytes:
    """HSIC between all pairs of latent dimensions, those with much KL first."""
    figure, axes = _single(4.3)
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
    return _png(figure)


def draw_reconstructions(frames: Reconstructions) -> bytes:
    """Real frames, and below each what V makes of it, from the best to the worst."""
    captions = [f"{error:.4f}" for error in frames.error]
    return _rows_of_frames({"real": frames.real, "by V": frames.reconstructed}, captions)


def draw_strip(strip: FilmStrip) -> bytes:
    """Real frames, the same as V sees them, and dreamed ones."""
    captions = ["last frame seen", *(f"{n} step{'s' if n > 1 else ''} on" for n in strip.horizons[1:])]
    return _rows_of_frames({"real": strip.real, "real, by V": strip.seen, "dreamed": strip.dreamed}, captions)


def draw_panels(curves: Sequence[Curve], unit: str) -> bytes:
    """Curves below each other, each with a scale of its own."""
    figure = Figure(figsize=(WIDTH, 0.5 + 1.35 * len(curves)), layout="constrained")
    panels = figure.subplots(len(curves), 1, sharex=True, squeeze=False)[:, 0]
    for axes, curve, colour in zip(panels, curves, _palette(len(curves)), strict=True):
        axes.plot(curve.steps, curve.values, color=colour, linewidth=1.1)
        axes.set_ylabel(curve.name, fontsize=9)
        axes.grid(alpha=0.3)
        if _wide([curve]):
            axes.set_yscale("log")
    panels[-1].set_xlabel(unit)
    return _png(figure)


def draw_curves(curves: Sequence[Curve], unit: str, label: str, *, log: bool = False) -> bytes:
    """Curves in one panel; with ``log`` on a logarithmic scale where they span more than one can see else."""
    figure, axes = _single(3.2)
    for curve, colour in zip(curves, _palette(len(curves)), strict=True):
        marker = "o" if len(curve.steps) < 30 else ""
        axes.plot(curve.steps, curve.values, marker=marker, markersize=3.5, color=colour, label=curve.name)
    axes.set(xlabel=unit, ylabel=label, yscale="log" if log and _wide(curves) else "linear")
    if len(curves) > 1:
        axes.legend(fontsize=9)
    return _png(figure)


def draw_mixture(trace: MixtureTrace) -> bytes:
    """Weights, means with the z that came, standard deviations, and entropy of a mixture over an episode."""
    figure = Figure(figsize=(WIDTH, 7.2), layout="constrained")
    weights, means, scales, entropy = figure.subplots(4, 1, sharex=True, height_ratios=(1.0, 1.7, 1.0, 1.0))
    steps, colours = np.arange(1, len(trace.z) + 1), _palette(len(trace.weights))
    weights.stackplot(steps, *trace.weights, colors=colours, linewidth=0)
    for colour, share, mean, scale in zip(colours, trace.weights, trace.means, trace.scales, strict=True):
        means.scatter(steps, mean, s=40.0 * np.array(share) + 0.3, color=colour, linewidth=0, alpha=0.7)
        scales.plot(steps, scale, color=colour, linewidth=1.0)
    means.plot(steps, trace.z, color="black", linewidth=1.0, label="z that came")
    means.legend(fontsize=8, loc="upper right")
    entropy.plot(steps, trace.entropy, color="black", linewidth=1.0)
    entropy.axhline(np.log(len(trace.weights)), **_REFERENCE)
    weights.set(ylabel="weights", ylim=(0.0, 1.0))
    means.set(ylabel=f"means, dimension {trace.dimension}")
    scales.set(ylabel="sigmas", yscale="log")
    entropy.set(ylabel="entropy, nats", xlabel="step of the episode", ylim=(0.0, None))
    for axes in (means, scales, entropy):
        axes.grid(alpha=0.3)
    return _png(figure)


def draw_weights(memory: MemoryInspection) -> bytes:
    """Mean weights of the components, ordered at every step."""
    figure, axes = _single(2.6)
    places = np.arange(1, memory.components + 1)
    axes.bar(places, memory.ordered_weights, color=_COLOURS[0], width=0.6)
    for place, value in zip(places, memory.ordered_weights, strict=True):
        axes.annotate(f"{value:.2f}", (place, value), ha="center", va="bottom", fontsize=9)
    axes.set(xlabel="component, likeliest first", ylabel="mean weight", xticks=places, ylim=(0.0, 1.1))
    return _png(figure)


def draw_open_loop(memory: MemoryInspection, vision: VisionInspection) -> bytes:
    """Distance of the dreamed z from the real one by horizon, between a perfect dream's and a stranger's."""
    figure, axes = _single(3.2)
    horizons = [loop.horizon for loop in memory.open_loop]
    axes.plot(horizons, [loop.z_error for loop in memory.open_loop], "o-", color=_COLOURS[0], label="dream")
    axes.axhline(vision.error_of_strangers, label="an unrelated frame", **_REFERENCE)
    axes.axhline(vision.error_of_noise, label="a perfect dream", **(_REFERENCE | {"linestyle": ":"}))
    axes.set(xscale="log", xlabel="steps dreamed", ylabel="distance in z", ylim=(0.0, None))
    axes.set_xticks(horizons, [str(horizon) for horizon in horizons])
    axes.minorticks_off()
    axes.legend(fontsize=9)
    return _png(figure)


def draw_calibration(heads: Sequence[HeadInspection]) -> bytes:
    """Predicted and observed shares of endings, on a plain scale and on one that shows small probabilities."""
    figure = Figure(figsize=(WIDTH, 3.5), layout="constrained")
    for axes, scale in zip(figure.subplots(1, 2), ("linear", "log"), strict=True):
        low = 0.0 if scale == "linear" else 1e-5
        axes.plot([low, 1.0], [low, 1.0], **_REFERENCE)
        for head, colour in zip(heads, _palette(len(heads)), strict=True):
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
    return _png(figure)


def draw_precision_recall(heads: Sequence[HeadInspection]) -> bytes:
    """Precision against recall of every kind of ending; a cross where the probability is one half."""
    figure, axes = _single(3.6)
    for head, colour in zip(heads, _palette(len(heads)), strict=True):
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
    return _png(figure)


def _rows_of_frames(rows: dict[str, NDArray[np.uint8]], captions: Sequence[str]) -> bytes:
    height, width = next(iter(rows.values())).shape[1:3]
    cell = WIDTH / len(captions)
    figure = Figure(figsize=(WIDTH, len(rows) * cell * height / width + 0.35), layout="constrained")
    grid = figure.subplots(len(rows), len(captions), squeeze=False)
    for line, (label, frames) in zip(grid, rows.items(), strict=True):
        line[0].set_ylabel(label, fontsize=9)
        for axes, frame in zip(line, frames, strict=True):
            axes.imshow(frame, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
    for axes, caption in zip(grid[0], captions, strict=True):
        axes.set_title(caption, fontsize=8)
    return _png(figure)


def _single(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    return figure, axes


def _wide(curves: Sequence[Curve]) -> bool:
    """Whether the bulk of the values spans more than a linear scale shows; a few may be 0, as at a warm-up's begin."""
    values = np.concatenate([curve.values for curve in curves])
    low, high = np.quantile(values, (0.05, 0.95))
    return bool(values.min() >= 0.0 and low > 0.0 and high > 30.0 * low)


def _palette(count: int) -> list[str]:
    return [_COLOURS[index % len(_COLOURS)] for index in range(count)]


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=160)
    return buffer.getvalue()
