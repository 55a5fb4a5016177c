"""Mixture densities over z: parameters, log-probability, and the one temperature sample."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

import torch
from torch import Tensor

MixtureKind = Literal["per_dim", "joint"]
LOG_SCALE_RANGE = (-6.0, 3.0)
OUTPUT_BOUND = 1e6  # of logits and means: no sane network comes near it, and within it nothing overflows


@dataclass(frozen=True)
class Mixture:
    """A batch of Gaussian mixtures over z.

    Attributes:
        logits: Component logits, (..., K, Z) when every dimension has a mixture of its own, (..., K, 1) when one
            mixture is joint over all of z.
        means: (..., K, Z).
        log_scales: Logarithms of the standard deviations, (..., K, Z).
    """

    logits: Tensor
    means: Tensor
    log_scales: Tensor

    @property
    def parts(self) -> tuple[Tensor, Tensor, Tensor]:
        """All its parameters."""
        return self.logits, self.means, self.log_scales

    def float(self) -> Mixture:
        """The same in float32."""
        return Mixture(*(part.float() for part in self.parts))


def parameter_count(kind: MixtureKind, components: int, latent_size: int) -> int:
    """Outputs that a network needs for one mixture: 3 K Z per dimension, K (2 Z + 1) jointly."""
    return components * (2 * latent_size + (latent_size if kind == "per_dim" else 1))


def split_parameters(raw: Tensor, kind: MixtureKind, components: int, latent_size: int) -> Mixture:
    """Reads a mixture from (..., parameter_count) raw outputs.

    All are bounded, so that samples, densities and entropies stay finite; nan stays nan.
    """
    weights = latent_size if kind == "per_dim" else 1
    parts = raw.clamp(-OUTPUT_BOUND, OUTPUT_BOUND).view(*raw.shape[:-1], components, weights + 2 * latent_size)
    logits, means, log_scales = parts.split_with_sizes([weights, latent_size, latent_size], dim=-1)
    return Mixture(logits, means, log_scales.clamp(*LOG_SCALE_RANGE))


def log_probability(mixture: Mixture, z: Tensor) -> Tensor:
    """Log-density of z (..., Z) under the mixture, in nats, shape (...) (Bishop 1994, Mixture Density Networks)."""
    standardised = (z.unsqueeze(-2) - mixture.means) * torch.exp(-mixture.log_scales)
    component = -0.5 * standardised.square() - mixture.log_scales - 0.5 * math.log(2.0 * math.pi)
    if mixture.logits.shape[-1] == 1:
        component = component.sum(-1, keepdim=True)
    return torch.logsumexp(torch.log_softmax(mixture.logits, dim=-2) + component, dim=-2).sum(-1)


def sample(mixture: Mixture, temperature: Tensor, uniform: Tensor, normal: Tensor) -> Tensor:
    """Draws z at a temperature, as in the code of World Models and SketchRNN (Ha and Eck 2017).

    Component weights are softmax(logits / temperature); the noise of the chosen component is scaled by
    sqrt(temperature). Temperature 0 is the limit: the mean of the likeliest component.

    Args:
        mixture: Of batch shape (B,).
        temperature: (B,) non-negative.
        uniform: (B, Z) in [0, 1): chooses the components by their inverse CDF. A joint mixture reads the first column.
        normal: (B, Z) standard normal.

    Returns:
        z, (B, Z).
    """
    temperature = temperature[:, None, None]
    tempered = mixture.logits / temperature.clamp(min=1e-6)
    weights = (tempered - tempered.amax(-2, keepdim=True)).exp()
    *cumulative, total = accumulate(weights.unbind(-2), torch.add)  # several times faster than cumsum and sum over K
    threshold = uniform[:, : weights.shape[-1]] * total
    wide_enough = torch.uint8 if len(cumulative) < 2**8 else torch.int64  # the narrow one is the faster
    component = torch.zeros_like(threshold, dtype=wide_enough)
    for partial in cumulative:
        component += (partial <= threshold).view(torch.uint8)
    index = component.long()[:, None].expand_as(mixture.means[:, :1])
    mean = mixture.means.gather(-2, index)
    scale = mixture.log_scales.gather(-2, index).exp()
    return torch.addcmul(mean, scale * temperature.sqrt(), normal[:, None]).squeeze(1)


def overlap(mixture: Mixture) -> Tensor:
    """How much the components of a mixture are the same one: the repulsion that keeps them apart.

    The mean, over pairs of components and dimensions, of the Bhattacharyya coefficient of two Gaussians (Bhattacharyya
    1943): sqrt(2 s t / (s^2 + t^2)) exp(-(m - n)^2 / (4 (s^2 + t^2))). It lies in (0, 1], is 1 for equal components,
    knows no order of them, and does not change when z is scaled or shifted.

    Args:
        mixture: Of batch shape (...), with at least two components.

    Returns:
        (...).
    """
    components = mixture.means.shape[-2]
    first, second = torch.triu_indices(components, components, offset=1, device=mixture.means.device)
    scales = mixture.log_scales
    difference = scales[..., first, :] - scales[..., second, :]
    distance = mixture.means[..., first, :] - mixture.means[..., second, :]
    # (s^2 + t^2) = 2 s t cosh(log s - log t), which neither over- nor underflows within the bounds of the scales
    mean_scale = 0.5 * (scales[..., first, :] + scales[..., second, :])
    hyperbolic = torch.cosh(difference)
    exponent = -(distance * torch.exp(-mean_scale)).square() / (8.0 * hyperbolic)
    return (hyperbolic.rsqrt() * torch.exp(exponent)).mean((-2, -1))


def live_components(mixture: Mixture, threshold: float = 0.05) -> Tensor:
    """Mean number of components that weigh more than ``threshold``, shape (...)."""
    return (torch.softmax(mixture.logits, dim=-2) > threshold).sum(-2).double().mean(-1)


def weight_entropy(mixture: Mixture) -> Tensor:
    """Mean entropy of the component weights, in nats, shape (...); 0 when one component has it all, log K at most."""
    log_weights = torch.log_softmax(mixture.logits, dim=-2)
    return -(log_weights.exp() * log_weights).sum(-2).mean(-1)
