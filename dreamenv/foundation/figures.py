"""Figures: their style and sizes, lines with intervals, grids of frames, PNG files. Imports matplotlib on first use."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dreamenv.foundation.files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REFERENCE: dict[str, Any] = {"color": "black", "linewidth": 0.9, "linestyle": "--"}


@dataclass(frozen=True)
class Style:
    """The look of a kind of figure.

    Attributes:
        dpi: Pixels per inch.
        colours: Colours of lines, in their order.
        label_size: Size of the labels beside rows of frames, in points.
        interpolation: How frames are scaled; matplotlib's default if None.
    """

    dpi: int
    colours: tuple[str, ...]
    label_size: float
    interpolation: str | None

    def palette(self, count: int) -> list[str]:
        """Colours of ``count`` lines; they repeat where there are more lines than colours."""
        return [self.colours[index % len(self.colours)] for index in range(count)]


FILE = Style(110, ("#1b6ca8", "#e07b39", "#7f8c8d", "#b5a642"), 10.0, None)
PAGE = Style(
    160, ("#1b6ca8", "#e07b39", "#3a923a", "#8d62a8", "#b5a642", "#c44e52", "#4c9f9f", "#7f8c8d"), 9.0, "nearest"
)
PAGE_WIDTH = 5.2  # inches of every figure on the page: one column, readable on a phone


def new_figure(width: float, height: float) -> Figure:
    """An empty figure; sizes in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def new_pair() -> tuple[Figure, Axes, Axes]:
    """A figure for a file, with two panels side by side."""
    figure = new_figure(10.0, 4.2)
    left, right = figure.subplots(1, 2)
    return figure, left, right


def new_panel(height: float) -> tuple[Figure, Axes]:
    """A figure for the page, with one panel and a grid."""
    figure = new_figure(PAGE_WIDTH, height)
    axes = figure.add_subplot()
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    return figure, axes


def draw_interval(
    axes: Axes, x: ArrayLike, values: Sequence[tuple[float, float, float]], colour: str, label: str, **line: Any
) -> None:
    """Draws a line of middle values with a band from low to high; ``values`` are (middle, low, high) at each x."""
    middle, low, high = np.array(values).T
    axes.plot(x, middle, "o-", color=colour, label=label, **line)
    axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)


def draw_level(axes: Axes, value: tuple[float, float, float], colour: str) -> None:
    """Draws a dashed horizontal line at the middle of (middle, low, high), with a band from low to high."""
    middle, low, high = value
    axes.axhline(middle, color=colour, linestyle="--", linewidth=1.2)
    axes.axhspan(low, high, color=colour, alpha=0.07, linewidth=0)


def page_frames(rows: dict[str, NDArray[np.uint8]], captions: Sequence[str]) -> bytes:
    """Draws labelled rows of (N, H, W, 3) frames for the page, with a caption above each column."""
    height, width = next(iter(rows.values())).shape[1:3]
    size = PAGE_WIDTH, len(rows) * PAGE_WIDTH / len(captions) * height / width + 0.35
    return png(_frames(rows, captions, size, PAGE), PAGE)


def plot_frames(rows: dict[str, NDArray[np.uint8]], path: Path, captions: Sequence[str] = ()) -> None:
    """Writes labelled rows of (N, H, W, 3) frames to a file, with a caption above each of the first row."""
    size = 1.6 * max(map(len, rows.values())), 1.45 * len(rows) + 0.4 * bool(captions)
    write_figure(_frames(rows, captions, size, FILE), path)


def _frames(
    rows: dict[str, NDArray[np.uint8]], captions: Sequence[str], size: tuple[float, float], style: Style
) -> Figure:
    columns, figure = max(map(len, rows.values())), new_figure(*size)
    for row, (label, frames) in enumerate(rows.items()):
        for column, frame in enumerate(frames):
            axes = figure.add_subplot(len(rows), columns, row * columns + column + 1)
            axes.imshow(frame, interpolation=style.interpolation)
            axes.set(xticks=[], yticks=[])
            if column == 0:
                axes.set_ylabel(label, fontsize=style.label_size)
            if captions and row == 0:
                axes.set_title(captions[column], fontsize=8)
    return figure


def png(figure: Figure, style: Style = PAGE) -> bytes:
    """The figure as a PNG file in memory."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=style.dpi)
    return buffer.getvalue()


def write_figure(figure: Figure, path: Path) -> None:
    """Writes the figure as a PNG file."""
    write_bytes(path, png(figure, FILE))
