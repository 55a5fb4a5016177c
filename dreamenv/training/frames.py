"""Batches of frames, and the error of their reconstructions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from dreamenv.data.episodes import Episode
from dreamenv.models.pixels import as_frames, at_size, colour_bins, rare_colour_table, reconstruction_spread

COLLAPSED = 0.05  # smallest share of the frames' variance in the reconstructions of a model that has not collapsed
COLOUR_FRAMES = 2000  # whose colours are counted


def frames_of(episodes: Sequence[Episode], size: tuple[int, int]) -> list[Tensor]:
    """Frames of each episode, (T + 1, *size, 3) uint8; those of another size are resized once, and held in memory."""
    return [at_size(torch.from_numpy(episode.observations), size) for episode in episodes]


def sample_frames(frames: Sequence[Tensor], count: int, generator: torch.Generator) -> Tensor:
    """Draws frames uniformly from all episodes.

    Args:
        frames: Of each episode, (T + 1, height, width, 3) uint8.
        count: How many to draw, with replacement.
        generator: Of the random numbers.

    Returns:
        (count, height, width, 3) uint8.
    """
    total = sum(len(episode) for episode in frames)
    return frames_at(frames, torch.randint(total, (count,), generator=generator))


def frames_at(frames: Sequence[Tensor], index: Tensor) -> Tensor:
    """Frames (N, height, width, 3) at (N,) int64 numbers among those of all episodes."""
    ends = torch.tensor([len(episode) for episode in frames]).cumsum(0)
    episode = torch.searchsorted(ends, index, right=True)
    return torch.stack([frames[e][i - ends[e]] for e, i in zip(episode.tolist(), index.tolist(), strict=True)])


def colour_table(frames: Sequence[Tensor], clip: tuple[float, float] | None, seed: int) -> Tensor:
    """Weights (512,) of pixel errors by colour, see :func:`dreamenv.models.pixels.rare_colour_table`.

    Args:
        frames: Of each episode, as for :func:`sample_frames`.
        clip: Smallest and largest weight; all weights are 1 if None.
        seed: Of the sample whose colours are counted.
    """
    if clip is None:
        return torch.ones(512)
    return rare_colour_table(sample_frames(frames, COLOUR_FRAMES, torch.Generator().manual_seed(seed)), clip)


def pixel_errors(output: Tensor, pixels: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """Squared errors of reconstructions.

    Args:
        output: Reconstructions, (B, 3, height, width).
        pixels: Of real frames, of the same shape, in [0, 1].
        table: Weights by colour, (512,).

    Returns:
        The error of each frame, weighted and summed over pixels, (B,); and the plain mean over all pixels, a scalar.
    """
    error = (output.float() - pixels).square().sum(1)
    return (error * table[colour_bins(as_frames(pixels))]).sum((1, 2)), error.mean() / 3


def warn_of_collapse(name: str, pixels: Tensor, output: Tensor, remedy: str) -> None:
    """Warns if all reconstructions look alike.

    Args:
        name: Of the model.
        pixels: Of real frames, (B, 3, height, width).
        output: Their reconstructions, of the same shape.
        remedy: Advice.
    """
    spread = float(reconstruction_spread(pixels, output))
    if spread < COLLAPSED:
        warnings.warn(
            f"{name} has collapsed: its reconstructions vary {spread:.3f} times as much as the frames, they all look "
            f"alike. {remedy}",
            stacklevel=4,
        )
