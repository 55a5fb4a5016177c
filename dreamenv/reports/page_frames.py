"""Figures of frames: reconstructions, and film strips."""

from __future__ import annotations

from collections.abc import Sequence

from dreamenv.foundation.figures import page_frames
from dreamenv.reports.page import PageFigure
from dreamenv.reports.strips import FilmStrip
from dreamenv.reports.vision import Reconstructions


def reconstructions_figure(frames: Reconstructions) -> PageFigure:
    """Real frames, and below each its reconstruction, from the best to the worst."""
    captions = [f"{error:.4f}" for error in frames.error]
    return PageFigure(
        "Reconstructions",
        "Held-out frames, and the same decoded from the mode of their posterior. From left to right the squared error "
        "grows from the smallest to the largest of all; it stands above.",
        "Everything that matters for the task is there in every column, small things above all: a missing goal is a "
        "goal the agent cannot learn to see. Blurred texture does little harm. The same grey in every column is a "
        "collapsed model.",
        page_frames({"real": frames.real, "decoded": frames.reconstructed}, captions),
    )


def strip_figures(strips: Sequence[FilmStrip], horizons: Sequence[int]) -> tuple[PageFigure, ...]:
    """A figure for each film strip; a note if there is none for these horizons."""
    missing = f"Missing: no held-out episode is longer than {min(horizons)} steps."
    return tuple(map(_strip, strips)) if strips else (PageFigure("Film strips", missing),)


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
        f"The episode with seed {strip.seed}, replayed up to step {strip.start}; from there the dream goes on at "
        "temperature 1, with the actions that were really taken and no more frames. Above the real frames, below the "
        f"dreamed ones; between them the real ones, encoded and decoded, the best that a dream can look. {dream}",
        "After 1 step the rows agree. After 5 and 15 things are where they should be, while texture drifts. After 50 "
        f"it may be another place, but one that could exist.{there}",
        _draw_strip(strip),
    )


def _draw_strip(strip: FilmStrip) -> bytes:
    captions = ["last frame seen", *(f"{n} step{'s' if n > 1 else ''} on" for n in strip.horizons[1:])]
    return page_frames({"real": strip.real, "decoded": strip.seen, "dreamed": strip.dreamed}, captions)
