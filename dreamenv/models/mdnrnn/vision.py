"""V, the vision model: a variational autoencoder between frames and latent codes z."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from dreamenv.foundation.errors import SettingsError
from dreamenv.models.latent import Gaussian


@dataclass(frozen=True)
class VisionConfig:
    """Sizes of V.

    Attributes:
        frame_shape: (height, width, 3) that V works on; other frames are resized to it.
        latent_size: Z, the number of latent dimensions.
        channels: Output channels of the encoder's stride-2 convolutions; the decoder mirrors them.
        kind: ``conv`` is the ConvVAE, ``unet`` the UNetVAE with skip connections, ``paper`` World Models' own PaperVAE.
    """

    frame_shape: tuple[int, int, int] = (60, 80, 3)
    latent_size: int = 64
    channels: tuple[int, ...] = (32, 64, 128, 256)
    kind: Literal["conv", "unet", "paper"] = "conv"

    def __post_init__(self) -> None:
        """Refuses sizes out of range."""
        sizes = (*self.frame_shape, self.latent_size, *self.channels)
        if not (0 < min(sizes) <= max(sizes) <= 2**14 and 0 < len(self.channels) <= 12 and self.frame_shape[2] == 3):
            raise SettingsError(f"expected RGB frames, 1 to 12 layers and sizes from 1 to {2**14:,}; got {self}")


class Vision(nn.Module, ABC):
    """Maps frames to a diagonal Gaussian over z, and z back to frames."""

    config: VisionConfig

    @property
    def device(self) -> torch.device:
        """Device of its weights."""
        return next(self.parameters()).device

    def encode(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Encodes frames.

        Args:
            frames: (B, height, width, 3) uint8 of any size.

        Returns:
            Mean and log-variance of z, (B, Z) float32 each.
        """
        mean, log_variance = self.encode_pixels(self.to_pixels(frames))
        return mean.float(), log_variance.float()

    def to_pixels(self, frames: Tensor) -> Tensor:
        """Resizes (B, height, width, 3) uint8 frames to V's (B, 3, height, width), float32 in [0, 1]."""
        pixels = frames.permute(0, 3, 1, 2).float() / 255.0
        size = self.config.frame_shape[:2]
        if pixels.shape[2:] == size:
            return pixels
        return F.interpolate(pixels, size=size, mode="bilinear", antialias=True).clamp(0.0, 1.0)

    @abstractmethod
    def encode_pixels(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Encodes (B, 3, height, width) in [0, 1] to mean and log-variance, (B, Z) each."""

    @abstractmethod
    def decode_pixels(self, z: Tensor) -> Tensor:
        """Decodes (B, Z) to (B, 3, height, width) in [0, 1]."""

    def decode_beside(self, z: Tensor, pixels: Tensor) -> Tensor:
        """Decodes (B, Z) to (B, 3, height, width); a V with skips reads those of real ``pixels``, the same shape."""
        return self.decode_pixels(z)

    def forward(self, pixels: Tensor, normal: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Encodes a batch, draws z and decodes it, with gradients.

        Args:
            pixels: (B, 3, height, width) in [0, 1].
            normal: (B, Z) standard normal numbers that draw z.
            generator: Of all other random numbers.

        Returns:
            Mean and log-variance of z, (B, Z) float32 each, and the reconstruction from the drawn z, like ``pixels``.
        """
        mean, log_variance = (part.float() for part in self.encode_pixels(pixels))
        return mean, log_variance, self.decode_pixels(Gaussian(mean, log_variance).at(normal))

    def decode(self, z: Tensor, frame_shape: tuple[int, int, int], beside: Tensor | None = None) -> Tensor:
        """Decodes (B, Z) float32 to (B, height, width, 3) uint8 frames of shape ``frame_shape``.

        Args:
            z: Latents.
            frame_shape: Of the frames.
            beside: Real frames, (B, height, width, 3) uint8, whose skips a V with skips reads.

        Returns:
            The frames.
        """
        pixels = (self.decode_pixels(z) if beside is None else self.decode_beside(z, self.to_pixels(beside))).float()
        if pixels.shape[2:] != frame_shape[:2]:
            pixels = F.interpolate(pixels, size=frame_shape[:2], mode="bilinear", antialias=True).clamp(0.0, 1.0)
        return (pixels * 255.0).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


class ConvVAE(Vision):
    """The convolutional VAE of World Models (Ha and Schmidhuber 2018), for frames of any size.

    Every convolution has kernel 4 and stride 2; the decoder runs through the same sizes backwards.

    Args:
        config: Sizes.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        sizes, inner = stage_sizes(config), config.channels[-1]
        self._inner_shape = (inner, *sizes[-1])
        features = inner * sizes[-1][0] * sizes[-1][1]
        encoder = [layer for stage in conv_stages(config) for layer in stage]
        self.encoder = nn.Sequential(*encoder, nn.Flatten(), nn.Linear(features, 2 * config.latent_size))
        decoder: list[nn.Module] = []
        for level in range(len(config.channels), 0, -1):
            decoder += [nn.ReLU(), up_convolution(config, level)]
        self.expand = nn.Linear(config.latent_size, features)
        self.decoder = nn.Sequential(*decoder, nn.Sigmoid())

    def encode_pixels(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Vision.encode_pixels`."""
        return split_posterior(self.encoder(pixels.contiguous(memory_format=torch.channels_last)))

    def decode_pixels(self, z: Tensor) -> Tensor:
        """See :meth:`Vision.decode_pixels`."""
        inner = self.expand(z).view(-1, *self._inner_shape)
        return self.decoder(inner.contiguous(memory_format=torch.channels_last))


def stage_sizes(config: VisionConfig) -> list[tuple[int, int]]:
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


def conv_stages(config: VisionConfig) -> list[nn.Sequential]:
    """The encoder's convolutions, of kernel 4 and stride 2, each with its ReLU."""
    channels = (config.frame_shape[2], *config.channels)
    return [
        nn.Sequential(nn.Conv2d(before, after, 4, stride=2, padding=1), nn.ReLU())
        for before, after in zip(channels, channels[1:], strict=False)
    ]


def up_convolution(config: VisionConfig, level: int) -> nn.ConvTranspose2d:
    """The decoder's inverse of the encoder's convolution number ``level``, counted from 1."""
    channels, size = (config.frame_shape[2], *config.channels), stage_sizes(config)[level - 1]
    odd = (size[0] % 2, size[1] % 2)
    return nn.ConvTranspose2d(channels[level], channels[level - 1], 4, 2, padding=1, output_padding=odd)


def split_posterior(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of q(z|x), (B, Z) each, from (B, 2 Z) outputs of an encoder."""
    mean, log_variance = outputs.chunk(2, dim=1)
    return mean, log_variance.clamp(-10.0, 10.0)


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
