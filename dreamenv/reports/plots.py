"""The plots of agents and episodes. Takes results, computes nothing."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dreamenv.evaluate.compare import Comparison
from dreamenv.evaluate.rounds import Round
from dreamenv.evaluate.scores import Score
from dreamenv.foundation.files import write_bytes
from dreamenv.reports.horizon import OpenLoop
from dreamenv.verdict.signals import Strip

_COLOURS = ("#1b6ca8", "#e07b39", "#7f8c8d", "#b5a642")


def plot_comparison(comparison: Comparison, path: Path) -> None:
    """Draws return and success by temperature: dreams as lines, reality as bands in the same colours."""
    figure = Figure(figsize=(10.0, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    policies = list(dict.fromkeys(score.policy for score in comparison.scores))
    for colour, policy in zip(_COLOURS, policies, strict=False):
        scores = [score for score in comparison.scores if score.policy == policy]
        _draw(left, scores, colour, "return")
        _draw(right, scores, colour, "success")
    for axes, label in ((left, "mean return"), (right, "success rate")):
        axes.set(xlabel="temperature of the dream", ylabel=label)
        axes.grid(alpha=0.3)
    if left.get_legend_handles_labels()[0]:
        left.legend(fontsize=8, title="line: dream, dashes: reality", title_fontsize=8)
    episodes = comparison.config.episodes
    figure.suptitle(f"{comparison.env_id}: {comparison.agent}, {episodes} episodes each, 95% intervals", fontsize=11)
    _write(figure, path)


def plot_rounds(rounds: Sequence[Round], path: Path) -> None:
    """Draws return and success of the greedy agent, in its dream and in reality, by the real frames learned from."""
    figure = Figure(figsize=(10.0, 4.2), layout="constrained")
    frames = [one.frames for one in rounds]
    for axes, quantity, label in zip(
        figure.subplots(1, 2), ("return", "success"), ("mean return", "success rate"), strict=True
    ):
        places = {"real": [one.real for one in rounds], "dream": [one.dream for one in rounds]}
        for colour, (place, scores) in zip(_COLOURS, places.items(), strict=False):
            values = np.array([_values(score, quantity) for score in scores])
            axes.plot(frames, values[:, 0], "o-", color=colour, label=place)
            axes.fill_between(frames, values[:, 1], values[:, 2], color=colour, alpha=0.15, linewidth=0)
        axes.set(xlabel="real frames", ylabel=label)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle("Rounds on validation seeds, greedy agent, 95% intervals", fontsize=11)
    _write(figure, path)


def plot_horizons(sight: Mapping[int, Score], loops: Sequence[OpenLoop], path: Path) -> None:
    """Draws real scores by how rarely a frame is seen, and the calibration of endings by horizon."""
    figure = Figure(figsize=(10.0, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for colour, quantity in zip(_COLOURS, ("success", "return"), strict=False):
        values = np.array([_values(score, quantity) for score in sight.values()])
        left.plot(list(sight), values[:, 0], "o-", color=colour, label=quantity)
        left.fill_between(list(sight), values[:, 1], values[:, 2], color=colour, alpha=0.15, linewidth=0)
    left.set(xscale="log", xlabel="a real frame every k steps", ylabel="in reality, greedy agent")
    kinds = [ending.kind for ending in loops[0].endings] if loops else []
    for colour, index in zip(_COLOURS, range(len(kinds)), strict=False):
        ratios = [_ratio(loop.endings[index].predicted, loop.endings[index].count) for loop in loops]
        right.plot([loop.horizon for loop in loops], ratios, "o-", color=colour, label=kinds[index])
    right.axhline(1.0, color="black", linewidth=0.8)
    right.set(xscale="log", xlabel="steps dreamed since the real frame", ylabel="endings predicted / happened")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    _write(figure, path)


def _ratio(predicted: float, happened: int) -> float:
    """NaN, which leaves a gap in a line, where nothing happened."""
    return predicted / happened if happened else float("nan")


def plot_reconstructions(real: NDArray[np.uint8], reconstructed: NDArray[np.uint8], path: Path) -> None:
    """Draws (N, H, W, 3) uint8 frames in a row and what V makes of them below."""
    plot_frames({"real": real, "by V": reconstructed}, path)


def plot_strip(strip: Strip, path: Path) -> None:
    """Draws dreamed frames in a row and the most similar recorded ones below."""
    plot_frames({"dreamed": strip.dreamed, "recorded": strip.recorded}, path, list(_captions(strip)))


def plot_frames(rows: dict[str, NDArray[np.uint8]], path: Path, captions: Sequence[str] = ()) -> None:
    """Draws labelled rows of (N, H, W, 3) frames, with a caption above each of the first row."""
    columns = max(map(len, rows.values()))
    figure = Figure(figsize=(1.6 * columns, 1.45 * len(rows) + 0.4 * bool(captions)), layout="constrained")
    for row, (label, frames) in enumerate(rows.items()):
        for column, frame in enumerate(frames):
            axes = figure.add_subplot(len(rows), columns, row * columns + column + 1)
            axes.imshow(frame)
            axes.set(xticks=[], yticks=[], ylabel=label if column == 0 else "")
            if captions and row == 0:
                axes.set_title(captions[column], fontsize=8)
    _write(figure, path)


def _captions(strip: Strip) -> Iterator[str]:
    for step, novelty in zip(strip.step, strip.novelty, strict=True):
        yield f"step {step}\nnovelty {novelty:.2f}"


def _draw(axes: Axes, scores: list[Score], colour: str, quantity: str) -> None:
    dreams = sorted((s for s in scores if s.temperature is not None), key=lambda s: s.temperature or 0.0)
    values = np.array([_values(score, quantity) for score in dreams])
    temperatures = np.array([score.temperature for score in dreams], float)
    if len(dreams):
        axes.plot(temperatures, values[:, 0], "o-", color=colour, label=dreams[0].policy, markersize=4)
        axes.fill_between(temperatures, values[:, 1], values[:, 2], color=colour, alpha=0.15, linewidth=0)
    for score in scores:
        if score.temperature is None:
            middle, low, high = _values(score, quantity)
            axes.axhline(middle, color=colour, linestyle="--", linewidth=1.2)
            axes.axhspan(low, high, color=colour, alpha=0.07, linewidth=0)


def _values(score: Score, quantity: str) -> tuple[float, float, float]:
    if quantity == "return":
        return score.mean, score.low, score.high
    values = (score.success, score.success_low, score.success_high)
    return tuple(np.nan if value is None else value for value in values)  # type: ignore[return-value]


def _write(figure: Figure, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_bytes(path, buffer.getvalue())
