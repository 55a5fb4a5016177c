"""The report on a freshly trained world: its model on episodes that it was not trained on."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dreamenv.data.episodes import Episode, evenly_spaced, evenly_spaced_frames
from dreamenv.data.store import EpisodeStore
from dreamenv.engine.placement import on_device
from dreamenv.foundation.figures import plot_frames
from dreamenv.foundation.files import write_json
from dreamenv.reports.held_out import WorldReport, measure_held_out
from dreamenv.reports.vision_report import COLOURS, MAX_FRAMES, SATURATION, dominance
from dreamenv.world import World


def report(world: World, store: EpisodeStore, folder: str | Path) -> WorldReport:
    """Measures a world on the validation episodes of a store.

    Args:
        world: The world.
        store: Real episodes; only the held-out ones are read.
        folder: Takes ``report.json`` and ``reconstructions.png``.

    Returns:
        The report.

    Raises:
        StoreError: If no episodes are held out.
    """
    folder, world = Path(folder), on_device(world, "cpu")
    seen, episodes = store.split()
    measured = measure_held_out(world, seen, episodes)
    write_json(folder / "report.json", dataclasses.asdict(measured.report))
    frames, places = _by_colour(episodes, 10)
    plot_frames({"real": frames, "decoded": measured.decoded(places)}, folder / "reconstructions.png")
    return measured.report


def frames_by_colour(episodes: list[Episode], count: int = 10) -> NDArray[np.uint8]:
    """Frames in the order of their pixels of the rarest dominating colour; evenly spaced ones without any."""
    return _by_colour(episodes, count)[0]


def _by_colour(episodes: list[Episode], count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """See :func:`frames_by_colour`; also returns the places of these frames among those of all episodes."""
    frames = evenly_spaced_frames(episodes, MAX_FRAMES)
    places = evenly_spaced(sum(len(episode) + 1 for episode in episodes), MAX_FRAMES)
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255.0
    amounts = [(dominance(pixels, channel) > SATURATION).sum((1, 2)) for channel in range(len(COLOURS))]
    amount = min((amount for amount in amounts if amount.any()), key=lambda amount: amount.sum(), default=amounts[0])
    order = torch.argsort(amount, stable=True)
    order = order[amount[order] > 0] if amount.any() else torch.arange(len(frames))
    chosen = order[torch.linspace(0, len(order) - 1, count).long()].numpy()
    return frames[chosen], places[chosen]
