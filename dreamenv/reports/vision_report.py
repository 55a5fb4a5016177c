"""How well V sees held-out frames, small things of their own colour included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dreamenv.data.episodes import Episode, evenly_spaced_frames
from dreamenv.models.latent import Gaussian
from dreamenv.models.mdnrnn.vision import Vision
from dreamenv.models.pixels import reconstruction_spread

COLOURS = ("red", "green", "blue")
SIZES = (1, 15, 40, 150, 1_000_000)  # pixels: edges of the size classes
ACTIVE_VARIANCE = 0.01  # of a latent dimension's posterior mean (Burda et al. 2015)
MAX_FRAMES = 3000
SATURATION = 0.25  # a pixel is red where red exceeds green and blue by this much, of a full scale of 1


@dataclass(frozen=True)
class RegionReport:
    """Pixels in which one colour dominates, in frames where there are so many of them.

    Attributes:
        colour: The dominating colour.
        pixels: Smallest and largest number of such pixels in a frame, the latter exclusive.
        frames: Frames with that many.
        squared_error: Mean squared error inside the region, per pixel and channel, of a full scale of 1.
        saturation: Mean excess of the colour over the other two in the real frames.
        reconstructed: The same in the reconstructions; 0 where the region is lost.
    """

    colour: str
    pixels: tuple[int, int]
    frames: int
    squared_error: float
    saturation: float
    reconstructed: float


@dataclass(frozen=True)
class VisionReport:
    """V on held-out frames.

    Attributes:
        frames: How many.
        squared_error: Per pixel and channel, of a full scale of 1: an average that hides lost details.
        squared_error_beside: The same with the skips of the frame itself, for a V that has them.
        spread: Variance of reconstructions across frames as a share of that of the frames; 0 for a collapsed V.
        kl: Nats per frame.
        active_dimensions: Latent dimensions whose posterior mean has a variance above :data:`ACTIVE_VARIANCE`.
        regions: The details.
    """

    frames: int
    squared_error: float
    squared_error_beside: float | None
    spread: float
    kl: float
    active_dimensions: int
    regions: tuple[RegionReport, ...]


@dataclass(frozen=True, eq=False)
class VisionReadings:
    """Frames, and what V makes of them.

    Attributes:
        frames: (N, H, W, 3) uint8.
        pixels: The same as V reads them, (N, 3, H', W') in [0, 1].
        mean: Of the posterior, (N, Z).
        log_variance: Of the posterior, (N, Z).
        drawn: Reconstructions from the mean, (N, 3, H', W') in [0, 1].
        error_beside: Squared error of reconstructions with the skips of the frame itself, (N,); None without skips.
    """

    frames: Tensor
    pixels: Tensor
    mean: Tensor
    log_variance: Tensor
    drawn: Tensor
    error_beside: Tensor | None


@torch.inference_mode()
def read_vision(vision: Vision, episodes: Sequence[Episode], count: int = MAX_FRAMES) -> VisionReadings:
    """Encodes and reconstructs at most ``count`` evenly spaced frames of ``episodes``."""
    frames = torch.from_numpy(evenly_spaced_frames(episodes, count))
    pixels, drawn, beside, means, log_variances = [], [], [], [], []
    for batch in frames.split(256):
        real = vision.to_pixels(batch)
        mean, log_variance = vision.encode_pixels(real)
        pixels.append(real)
        drawn.append(vision.decode_pixels(mean))
        if vision.config.kind == "unet":
            beside.append((vision.decode_beside(mean, real) - real).square().mean((1, 2, 3)))
        means.append(mean)
        log_variances.append(log_variance)
    return VisionReadings(
        frames=frames,
        pixels=torch.cat(pixels),
        mean=torch.cat(means),
        log_variance=torch.cat(log_variances),
        drawn=torch.cat(drawn),
        error_beside=torch.cat(beside) if beside else None,
    )


def report_vision(vision: Vision, episodes: Sequence[Episode]) -> VisionReport:
    """Measures V on evenly spaced frames of ``episodes``, reconstructed from the posterior's mean."""
    return report_readings(read_vision(vision, episodes))


@torch.inference_mode()
def report_readings(readings: VisionReadings) -> VisionReport:
    """Measures V on frames that it has read."""
    target, output, beside = readings.pixels, readings.drawn, readings.error_beside
    return VisionReport(
        frames=len(target),
        squared_error=(target - output).square().mean().item(),
        squared_error_beside=None if beside is None else beside.mean().item(),
        spread=reconstruction_spread(target, output).item(),
        kl=Gaussian(readings.mean, readings.log_variance).kl_from_standard().sum(1).mean().item(),
        active_dimensions=int((readings.mean.var(0) > ACTIVE_VARIANCE).sum()),
        regions=tuple(region for channel in range(3) for region in _regions(target, output, channel)),
    )


def dominance(pixels: Tensor, channel: int) -> Tensor:
    """Excess of one channel over the larger of the others, (N, H, W), from (N, 3, H, W) in [0, 1]."""
    others = [index for index in range(3) if index != channel]
    return pixels[:, channel] - pixels[:, others].amax(1)


def _regions(target: Tensor, output: Tensor, channel: int) -> list[RegionReport]:
    real = dominance(target, channel)
    dreamed = dominance(output, channel).clamp(min=0.0)
    inside = real > SATURATION
    size = inside.sum((1, 2))
    error = (target - output).square().mean(1)
    reports = []
    for low, high in zip(SIZES, SIZES[1:], strict=False):
        frames = (size >= low) & (size < high)
        if frames.any():
            mask = inside & frames[:, None, None]
            values = (float(values[mask].mean()) for values in (error, real, dreamed))
            reports.append(RegionReport(COLOURS[channel], (low, high), int(frames.sum()), *values))
    return reports
