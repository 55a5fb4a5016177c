"""VAE-GAN (Larsen et al. 2016): V's decoder is the generator of a GAN; errors are in the discriminator's features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.parametrizations import spectral_norm

from dreamenv.models.latent import Gaussian
from dreamenv.models.mdnrnn.vision import Vision

CHANNELS = (32, 64, 128)


class Discriminator(nn.Module):
    """Classifies frames as real or drawn, with spectral normalisation (Miyato et al. 2018).

    Without the normalisation it recognises all drawn frames within a hundred steps, and V learns nothing from it.

    Args:
        frame_shape: (height, width, 3) of V's frames.
    """

    def __init__(self, frame_shape: tuple[int, int, int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((frame_shape[2], *CHANNELS), CHANNELS, strict=False):
            layers += [spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1)), nn.LeakyReLU(0.2)]
        self.features = nn.Sequential(*layers)
        scale = 2 ** len(CHANNELS)
        self.verdict = spectral_norm(nn.Linear(CHANNELS[-1] * (frame_shape[0] // scale) * (frame_shape[1] // scale), 1))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, 128, height / 8, width / 8) and logits of "real" (B,), from (B, 3, height, width) in [0, 1]."""
        features = self.features(pixels)
        return features, self.verdict(features.flatten(1)).squeeze(1)


class VAEGAN(nn.Module):
    """V and its discriminator as one module, which one training loop fits.

    Args:
        vision: V.
    """

    def __init__(self, vision: Vision) -> None:
        super().__init__()
        self.vision, self.discriminator = vision, Discriminator(vision.config.frame_shape)

    def loss(
        self, pixels: Tensor, normal: Tensor, prior: Tensor, beta: float, scale: float, gamma: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns one scalar whose gradient for each part is that of its own loss, as in algorithm 1 of the paper.

        The encoder minimises KL and feature loss, the decoder gamma times the feature loss plus the loss of deceiving
        the discriminator, and the discriminator its classification loss. In the losses of the other parts, the weights
        of a part are constants.

        Args:
            pixels: (B, 3, height, width) in [0, 1].
            normal: (B, Z) standard normal numbers that draw z from the posterior.
            prior: (B, Z) standard normal numbers: z from the prior.
            beta: Weight of the KL.
            scale: Weight of the feature loss.
            gamma: Additional weight of the feature loss for the decoder; deceiving the discriminator has weight 1.

        Returns:
            The scalar, and its terms.
        """
        vision = self.vision
        mean, log_variance = (part.float() for part in vision.encode_pixels(pixels))
        z = Gaussian(mean, log_variance).at(normal)
        real, _ = self._fixed(self.discriminator, pixels)
        drawn, _ = self._fixed(self.discriminator, self._fixed(_Decoder(vision), z))
        encoder_features = scale * _distance(real, drawn)
        kl = Gaussian(mean, log_variance).kl_from_standard().sum(1).mean()

        fakes = vision.decode_pixels(torch.cat([z.detach(), prior]))
        features, verdict = self._fixed(self.discriminator, fakes)
        decoder_features = scale * _distance(real.detach(), features[: len(pixels)])
        fooling = F.softplus(-verdict.float()).mean()

        _, judged = self.discriminator(torch.cat([pixels, fakes.detach()]))
        on_real, on_fake = judged.float().split([len(pixels), len(fakes)])
        telling = F.softplus(-on_real).mean() + F.softplus(on_fake).mean()
        value = beta * kl + encoder_features + gamma * decoder_features + fooling + telling
        return value, {"kl": kl, "features": encoder_features, "fooling": fooling, "telling": telling}

    @staticmethod
    def _fixed(module: nn.Module, *inputs: Tensor) -> Any:
        """Runs a module with gradients for its inputs but not for its weights."""
        weights = {name: parameter.detach() for name, parameter in module.named_parameters()}
        return functional_call(module, weights, inputs)


class _Decoder(nn.Module):
    """V's decoder as a module."""

    def __init__(self, vision: Vision) -> None:
        super().__init__()
        self.vision = vision

    def forward(self, z: Tensor) -> Tensor:
        return self.vision.decode_pixels(z)


def _distance(real: Tensor, drawn: Tensor) -> Tensor:
    """Negative log-likelihood, up to a constant, of features under a Gaussian of variance 1, summed per frame."""
    return 0.5 * (drawn.float() - real.float()).square().flatten(1).sum(1).mean()
