"""Stacks of stride-2 convolutions for frames of any size."""

from __future__ import annotations

from typing import Protocol

from torch import nn

from dreamenv.foundation.errors import SettingsError


class FrameSizes(Protocol):
    """Sizes of frames, and of the convolutions that read and draw them.

    Attributes:
        frame_shape: (height, width, 3).
        channels: Output channels of the encoder's stride-2 convolutions; the decoder mirrors them.
    """

    @property
    def frame_shape(self) -> tuple[int, int, int]: ...  # noqa: D102

    @property
    def channels(self) -> tuple[int, ...]: ...  # noqa: D102


def stage_sizes(config: FrameSizes) -> list[tuple[int, int]]:
    """Heights and widths of the frame and of the features after each of the encoder's convolutions.

    Raises:
        SettingsError: If the frames are too small for so many convolutions.
    """
    sizes = [config.frame_shape[:2]]
    for _ in config.channels:
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    if min(sizes[-1]) < 1:
        least = 2 ** len(config.channels)
        raise SettingsError(f"expected frames of at least {least} pixels a side, got {config.frame_shape}")
    return sizes


def conv_stages(config: FrameSizes) -> list[nn.Sequential]:
    """The encoder's convolutions, of kernel 4 and stride 2, each with its ReLU."""
    channels = (config.frame_shape[2], *config.channels)
    return [
        nn.Sequential(nn.Conv2d(before, after, 4, stride=2, padding=1), nn.ReLU())
        for before, after in zip(channels, channels[1:], strict=False)
    ]


def up_convolution(config: FrameSizes, level: int) -> nn.ConvTranspose2d:
    """The decoder's inverse of the encoder's convolution number ``level``, counted from 1."""
    channels, size = (config.frame_shape[2], *config.channels), stage_sizes(config)[level - 1]
    odd = (size[0] % 2, size[1] % 2)
    return nn.ConvTranspose2d(channels[level], channels[level - 1], 4, 2, padding=1, output_padding=odd)
