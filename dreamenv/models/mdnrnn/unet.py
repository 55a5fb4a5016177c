"""V with skips from encoder to decoder; the decoder also works without them, because a dreamed z has no encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dreamenv.models.convolutions import conv_stages, stage_sizes, up_convolution
from dreamenv.models.latent import Gaussian
from dreamenv.models.mdnrnn.vision import Vision, VisionConfig, split_posterior


class UNetVAE(Vision):
    """The VAE of World Models with skips at every scale (Ronneberger et al. 2015).

    Encoder and up-convolutions are those of :class:`dreamenv.models.mdnrnn.vision.ConvVAE`. At every scale the decoder
    merges its features with the encoder's, or with zeros where skips are dropped. 3,688,483 parameters for 60 x 80 x 3
    and z = 64.

    Args:
        config: Sizes.
    """

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        sizes = stage_sizes(config)
        channels = (config.frame_shape[2], *config.channels)
        self._inner_shape = (channels[-1], *sizes[-1])
        features = channels[-1] * sizes[-1][0] * sizes[-1][1]
        self.stages = nn.ModuleList(conv_stages(config))
        self.posterior = nn.Linear(features, 2 * config.latent_size)
        self.expand = nn.Linear(config.latent_size, features)
        levels = range(len(config.channels), 0, -1)
        self.merges = nn.ModuleList(nn.Conv2d(2 * channels[level], channels[level], 3, padding=1) for level in levels)
        self.ups = nn.ModuleList(up_convolution(config, level) for level in levels)

    def encode_pixels(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`Vision.encode_pixels`."""
        return self._posterior(self.features(pixels))

    def features(self, pixels: Tensor) -> list[Tensor]:
        """The encoder's features of (B, 3, height, width) pixels at every scale, largest first."""
        found = [pixels.contiguous(memory_format=torch.channels_last)]
        for stage in self.stages:
            found.append(stage(found[-1]))
        return found[1:]

    def decode_pixels(self, z: Tensor) -> Tensor:
        """See :meth:`Vision.decode_pixels`; without skips."""
        return self.decode_merged(z, [None] * len(self.merges))

    def decode_beside(self, z: Tensor, pixels: Tensor) -> Tensor:
        """See :meth:`Vision.decode_beside`; with all skips of ``pixels``."""
        return self.decode_merged(z, self.features(pixels))

    def decode_merged(self, z: Tensor, skips: Sequence[Tensor | None]) -> Tensor:
        """Decodes (B, Z) with the features of :meth:`features`; None stands for a dropped one."""
        x = self.expand(z).view(-1, *self._inner_shape).contiguous(memory_format=torch.channels_last)
        for merge, up, skip in zip(self.merges, self.ups, reversed(skips), strict=True):
            x = torch.relu(merge(torch.cat([torch.relu(x), torch.zeros_like(x) if skip is None else skip], dim=1)))
            x = up(x)
        return torch.sigmoid(x)

    def forward(self, pixels: Tensor, normal: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """See :meth:`Vision.forward`; half of the samples have no skips, the others lose each with probability 0.5."""
        features = self.features(pixels)
        mean, log_variance = (part.float() for part in self._posterior(features))
        keep = torch.rand(len(features) + 1, len(pixels), 1, 1, 1, generator=generator) < 0.5
        keep = (keep[:1] & keep[1:]).to(pixels.device)
        skips = [feature * kept for feature, kept in zip(features, keep, strict=True)]
        return mean, log_variance, self.decode_merged(Gaussian(mean, log_variance).at(normal), skips)

    def _posterior(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        return split_posterior(self.posterior(features[-1].flatten(1)))
