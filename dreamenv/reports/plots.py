"""The plot of how far dreams can be followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dreamenv.evaluate.plots import Measure, interval
from dreamenv.evaluate.scores import Score
from dreamenv.foundation.figures import FILE, draw_interval, new_pair, write_figure
from dreamenv.reports.horizon import OpenLoop

_MEASURES: tuple[Measure, ...] = ("success", "return")


def plot_horizons(sight: Mapping[int, Score], loops: Sequence[OpenLoop], path: Path) -> None:
    """Draws real scores by how rarely a frame is seen, and the calibration of endings by horizon."""
    figure, left, right = new_pair()
    for colour, measure in zip(FILE.colours, _MEASURES, strict=False):
        draw_interval(left, list(sight), [interval(score, measure) for score in sight.values()], colour, measure)
    left.set(xscale="log", xlabel="a real frame every k steps", ylabel="in reality, greedy agent")
    kinds = [ending.kind for ending in loops[0].endings] if loops else []
    for colour, index in zip(FILE.colours, range(len(kinds)), strict=False):
        ratios = [_ratio(loop.endings[index].predicted, loop.endings[index].count) for loop in loops]
        right.plot([loop.horizon for loop in loops], ratios, "o-", color=colour, label=kinds[index])
    right.axhline(1.0, color="black", linewidth=0.8)
    right.set(xscale="log", xlabel="steps dreamed since the real frame", ylabel="endings predicted / happened")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    write_figure(figure, path)


def _ratio(predicted: float, happened: int) -> float:
    """NaN, which leaves a gap in a line, where nothing happened."""
    return predicted / happened if happened else float("nan")
