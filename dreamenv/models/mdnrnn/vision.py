"""V, the vision model: a variational autoencoder between frames and latent codes z."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from dreamenv.foundation.errors import SettingsError
from dreamenv.models.convolutions import conv_stages, stage_sizes, up_convolution
from dreamenv.models.latent import Gaussian
from dreamenv.models.pixels import to_frames, to_pixels


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
        return to_pixels(frames, self.config.frame_shape[:2])

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
        pixels = self.decode_pixels(z) if beside is None else self.decode_beside(z, self.to_pixels(beside))
        return to_frames(pixels.float(), frame_shape)


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


def split_posterior(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance of q(z|x), (B, Z) each, from (B, 2 Z) outputs of an encoder."""
    mean, log_variance = outputs.chunk(2, dim=1)
    return mean, log_variance.clamp(-10.0, 10.0)
