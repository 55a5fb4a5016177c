"""Frames as the pixels that networks read and draw, and measures of them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def to_pixels(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Resizes (B, height, width, 3) uint8 frames to (B, 3, *size), float32 in [0, 1]."""
    pixels = frames.permute(0, 3, 1, 2).float().div_(255.0)
    if pixels.shape[2:] == size:
        return pixels
    return F.interpolate(pixels, size=size, mode="bilinear", antialias=True).clamp(0.0, 1.0)


def at_size(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Resizes (B, height, width, 3) uint8 frames to (B, *size, 3) uint8; the same frames if they have that size."""
    return frames if frames.shape[1:3] == size else to_frames(to_pixels(frames, size), (*size, 3))


def to_frames(pixels: Tensor, frame_shape: tuple[int, int, int]) -> Tensor:
    """Resizes (B, 3, height, width) pixels in [0, 1] to (B, *frame_shape) uint8 frames."""
    if pixels.shape[2:] != frame_shape[:2]:
        pixels = F.interpolate(pixels, size=frame_shape[:2], mode="bilinear", antialias=True).clamp(0.0, 1.0)
    return as_frames(pixels).contiguous()


def as_frames(pixels: Tensor) -> Tensor:
    """(B, 3, height, width) pixels in [0, 1] as (B, height, width, 3) uint8 frames."""
    return (pixels * 255.0).round().to(torch.uint8).permute(0, 2, 3, 1)


def reconstruction_spread(real: Tensor, reconstructed: Tensor) -> Tensor:
    """Variance of reconstructions across the batch, summed over pixels, as a share of that of the real ones.

    It is near 1 for a good V, and 0 for a collapsed one, which draws the same grey frame for every input.

    Args:
        real: (B, 3, height, width).
        reconstructed: Of the same shape.

    Returns:
        A scalar.
    """
    return reconstructed.var(0).sum() / real.var(0).sum().clamp(min=1e-12)


def rare_colour_table(frames: Tensor, clip: tuple[float, float]) -> Tensor:
    """Weights of pixel errors by how rare the pixel's colour is, so that small things of their own colour survive.

    Colours are counted in an 8 x 8 x 8 histogram; a weight is one over the square root of the colour's share, scaled so
    that the mean pixel of ``frames`` weighs 1 before clipping.

    Args:
        frames: (N, height, width, 3) uint8.
        clip: Smallest and largest weight.

    Returns:
        (512,) float32, indexed by :func:`colour_bins`.
    """
    share = torch.bincount(colour_bins(frames).flatten(), minlength=512).float()
    share = share / share.sum()
    return (share.clamp(min=1e-7).rsqrt() / share.sqrt().sum()).clamp(*clip)


def colour_bins(frames: Tensor) -> Tensor:
    """Indices (..., height, width) int64 in [0, 512) of the colours of (..., height, width, 3) uint8 frames."""
    eighths = (frames >> 5).long()
    return eighths[..., 0] * 64 + eighths[..., 1] * 8 + eighths[..., 2]
