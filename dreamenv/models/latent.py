"""Distributions over z, for priors and posteriors; each kind has one temperature formula."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import accumulate
from typing import Literal, Self

import torch
from torch import Tensor

from dreamenv.models.noise import Noise

MixtureKind = Literal["per_dim", "joint"]
LOG_SCALE_RANGE = (-6.0, 3.0)
Z_BOUND = 10.0  # ten standard deviations of the prior: no frame reaches it; it bounds samples at high temperature
OUTPUT_BOUND = 1e6  # of logits and means: no sane network comes near it, and within it nothing overflows


@dataclass(frozen=True)
class Latent(ABC):
    """A batch of distributions over z, a dataclass of tensors (B, ...). Only priors are drawn at a temperature."""

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """Its tensors, in the order of the fields."""
        return tuple(getattr(self, field.name) for field in fields(self))

    def float(self) -> Self:
        """The same distributions in float32."""
        return type(self)(*(part.float() for part in self.parts))

    def to(self, device: str | torch.device) -> Self:
        """The same distributions on another device."""
        return type(self)(*(part.to(device) for part in self.parts))

    def rows(self, index: Tensor | slice) -> Self:
        """Selects rows of the first batch dimension by (R,) int64 index or slice."""
        return type(self)(*(part[index] for part in self.parts))

    @classmethod
    def cat(cls, latents: Sequence[Self]) -> Self:
        """Joins batches along the first dimension."""
        return cls(*(torch.cat(parts) for parts in zip(*(latent.parts for latent in latents), strict=True)))

    @abstractmethod
    def sample(self, temperature: Tensor | None, uniform: Tensor, normal: Tensor) -> Tensor:
        """Draws z, without a bound.

        Args:
            temperature: (B,) non-negative; 1 if None.
            uniform: (B, U) in [0, 1); at least as many as the model's :class:`dreamenv.models.noise.NoiseSpec` names.
            normal: (B, N) standard normal, as many as it names.

        Returns:
            z, (B, Z). At temperature 0 it does not depend on the random numbers.
        """

    def draw(self, noise: Noise | None, temperature: Tensor | None = None) -> Tensor:
        """Draws the z of a state, (B, Z) in [-:data:`Z_BOUND`, :data:`Z_BOUND`].

        Args:
            noise: The random numbers; z is the mode if None.
            temperature: Of a prior, (B,) non-negative; 1 if None, as for every posterior.
        """
        z = self.mode() if noise is None else self.sample(temperature, noise.latent, noise.normal)
        return z.clamp(-Z_BOUND, Z_BOUND)

    @abstractmethod
    def mode(self) -> Tensor:
        """Returns the z of temperature 0, (B, Z)."""

    @abstractmethod
    def log_probability(self, z: Tensor) -> Tensor:
        """Log-density, or log-probability, of z (..., Z) in nats, shape (...)."""


@dataclass(frozen=True)
class Gaussian(Latent):
    """Diagonal Gaussians over z.

    Attributes:
        mean: (..., Z).
        log_variance: (..., Z).
    """

    mean: Tensor
    log_variance: Tensor

    def sample(self, temperature: Tensor | None, uniform: Tensor, normal: Tensor) -> Tensor:
        """See :meth:`Latent.sample`: z = mean + sigma * sqrt(temperature) * normal; ``uniform`` is not read.

        The temperature scales the variance, as it does in a :class:`Mixture`.
        """
        return self.at(normal if temperature is None else temperature[:, None].sqrt() * normal)

    def at(self, normal: Tensor) -> Tensor:
        """Returns mean + sigma * ``normal``, (..., Z): the reparameterised sample (Kingma and Welling 2013)."""
        return self.mean + torch.exp(0.5 * self.log_variance) * normal

    def mode(self) -> Tensor:
        """See :meth:`Latent.mode`: the mean."""
        return self.mean

    def log_probability(self, z: Tensor) -> Tensor:
        """See :meth:`Latent.log_probability`."""
        squared = (z - self.mean).square() * torch.exp(-self.log_variance)
        return -0.5 * (squared + self.log_variance + math.log(2.0 * math.pi)).sum(-1)

    def kl_from_standard(self) -> Tensor:
        """KL divergence of N(mean, sigma^2) from N(0, 1), per dimension, (..., Z), in nats."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1.0 - self.log_variance)

    def kl(self, other: Gaussian) -> Tensor:
        """KL divergence of these distributions from others, per dimension, (..., Z), in nats."""
        ratio = self.log_variance - other.log_variance
        squared = (self.mean - other.mean).square() * torch.exp(-other.log_variance)
        return 0.5 * (squared + ratio.exp() - 1.0 - ratio)

    def entropy(self) -> Tensor:
        """Differential entropy of each dimension, (..., Z), in nats."""
        return 0.5 * (self.log_variance + math.log(2.0 * math.pi * math.e))

    def tempered(self, temperature: float) -> Gaussian:
        """The distributions that :meth:`sample` draws from at a temperature above 0."""
        return Gaussian(self.mean, self.log_variance + math.log(temperature))


@dataclass(frozen=True)
class Categorical(Latent):
    """Several categorical variables; z holds them as one-hot vectors (Dreamer V2, Hafner et al. 2020).

    Attributes:
        logits: (..., G, K) for G variables of K classes each; z has Z = G K entries.
    """

    logits: Tensor

    def sample(self, temperature: Tensor | None, uniform: Tensor, normal: Tensor) -> Tensor:
        """See :meth:`Latent.sample`; ``normal`` is not read.

        Classes are drawn from softmax(logits / temperature) by their inverse CDF; each of the G variables reads one
        column of ``uniform``. Temperature 0 is the limit: the likeliest class, the first of equally likely ones. The
        gradient is that of the probabilities: z = one-hot + p - stop_gradient(p) (straight-through, Dreamer V2,
        section 2).
        """
        logits = self.logits if temperature is None else self.logits / temperature.clamp(min=1e-6)[:, None, None]
        probabilities = torch.softmax(logits, -1)
        cumulative = probabilities.cumsum(-1)
        threshold = uniform[..., : self.logits.shape[-2], None] * cumulative[..., -1:]
        classes = (cumulative <= threshold).sum(-1).clamp(max=self.logits.shape[-1] - 1)
        if temperature is not None:  # equally likely classes would still be drawn at temperature 0
            classes = torch.where(temperature[:, None] > 0.0, classes, self.logits.argmax(-1))
        z = self._one_hot(classes)
        return z + (probabilities - probabilities.detach()).flatten(-2) if probabilities.requires_grad else z

    def mode(self) -> Tensor:
        """See :meth:`Latent.mode`: the likeliest class of each variable."""
        return self._one_hot(self.logits.argmax(-1))

    def _one_hot(self, classes: Tensor) -> Tensor:
        z = torch.zeros_like(self.logits).scatter_(-1, classes[..., None], 1.0)
        return z.flatten(-2)

    def log_probability(self, z: Tensor) -> Tensor:
        """See :meth:`Latent.log_probability`."""
        return (z.view(*z.shape[:-1], *self.logits.shape[-2:]) * self.log_probabilities()).sum((-2, -1))

    def log_probabilities(self) -> Tensor:
        """Log-probability of each class of each variable, (..., G, K)."""
        return torch.log_softmax(self.logits, -1)

    def kl_from_standard(self) -> Tensor:
        """KL divergence from uniform classes, per variable, (..., G), in nats."""
        return math.log(self.logits.shape[-1]) - self.entropy()

    def kl(self, other: Categorical) -> Tensor:
        """KL divergence of these distributions from others, per variable, (..., G), in nats."""
        own = self.log_probabilities()
        return (own.exp() * (own - other.log_probabilities())).sum(-1)

    def entropy(self) -> Tensor:
        """Entropy of each variable, (..., G), in nats, from 0 (one class) to log K."""
        own = self.log_probabilities()
        return -(own.exp() * own).sum(-1)

    def tempered(self, temperature: float) -> Categorical:
        """The distributions that :meth:`sample` draws from at a temperature above 0."""
        return Categorical(self.logits / temperature)


@dataclass(frozen=True)
class Mixture(Latent):
    """Gaussian mixtures over z (Bishop 1994, Mixture Density Networks).

    Attributes:
        logits: Component logits, (..., K, Z) when every dimension has a mixture of its own, (..., K, 1) when one
            mixture is joint over all of z.
        means: (..., K, Z).
        log_scales: Logarithms of the standard deviations, (..., K, Z).
    """

    logits: Tensor
    means: Tensor
    log_scales: Tensor

    @staticmethod
    def parameter_count(kind: MixtureKind, components: int, latent_size: int) -> int:
        """Number of network outputs for one mixture: 3 K Z per dimension, K (2 Z + 1) jointly."""
        return components * (2 * latent_size + (latent_size if kind == "per_dim" else 1))

    @classmethod
    def split(cls, raw: Tensor, kind: MixtureKind, components: int, latent_size: int) -> Mixture:
        """Splits (..., parameter_count) raw outputs of a network into the parts of a mixture.

        All parts are bounded, so that samples, densities and entropies stay finite; nan stays nan.
        """
        weights = latent_size if kind == "per_dim" else 1
        parts = raw.clamp(-OUTPUT_BOUND, OUTPUT_BOUND).view(*raw.shape[:-1], components, weights + 2 * latent_size)
        logits, means, log_scales = parts.split_with_sizes([weights, latent_size, latent_size], dim=-1)
        return cls(logits, means, log_scales.clamp(*LOG_SCALE_RANGE))

    def sample(self, temperature: Tensor | None, uniform: Tensor, normal: Tensor) -> Tensor:
        """See :meth:`Latent.sample`; as in the code of World Models and SketchRNN (Ha and Eck 2017).

        Component weights are softmax(logits / temperature); the noise of the chosen component is scaled by
        sqrt(temperature). Temperature 0 is the limit: the mean of the likeliest component. ``uniform`` chooses the
        components by their inverse CDF; a joint mixture reads its first column.
        """
        tau = self.means.new_ones(()) if temperature is None else temperature[:, None, None]
        tempered = self.logits / tau.clamp(min=1e-6)
        weights = (tempered - tempered.amax(-2, keepdim=True)).exp()
        *cumulative, total = accumulate(weights.unbind(-2), torch.add)  # much faster than cumsum and sum over K
        threshold = uniform[:, : weights.shape[-1]] * total
        wide_enough = torch.uint8 if len(cumulative) < 2**8 else torch.int64  # the narrow one is the faster
        component = torch.zeros_like(threshold, dtype=wide_enough)
        for partial in cumulative:
            component += (partial <= threshold).view(torch.uint8)
        index = component.long()[:, None].expand_as(self.means[:, :1])
        mean = self.means.gather(-2, index)
        scale = self.log_scales.gather(-2, index).exp()
        return torch.addcmul(mean, scale * tau.sqrt(), normal[:, None]).squeeze(1)

    def tempered(self, temperature: float) -> Mixture:
        """The distributions that :meth:`sample` draws from at a temperature above 0."""
        return Mixture(self.logits / temperature, self.means, self.log_scales + 0.5 * math.log(temperature))

    def mode(self) -> Tensor:
        """See :meth:`Latent.mode`: the mean of the likeliest component, in every dimension or of all."""
        none = torch.zeros_like(self.means[:, 0])
        return self.sample(none[:, 0], none, none)

    def log_probability(self, z: Tensor) -> Tensor:
        """See :meth:`Latent.log_probability`."""
        standardised = (z.unsqueeze(-2) - self.means) * torch.exp(-self.log_scales)
        component = -0.5 * standardised.square() - self.log_scales - 0.5 * math.log(2.0 * math.pi)
        if self.logits.shape[-1] == 1:
            component = component.sum(-1, keepdim=True)
        return torch.logsumexp(torch.log_softmax(self.logits, dim=-2) + component, dim=-2).sum(-1)

    def overlap(self) -> Tensor:
        """Measures how much the components overlap; the repulsion term of M's loss is a multiple of it.

        The mean, over pairs of components and dimensions, of the Bhattacharyya coefficient of two Gaussians
        (Bhattacharyya 1943): sqrt(2 s t / (s^2 + t^2)) exp(-(m - n)^2 / (4 (s^2 + t^2))). It lies in (0, 1], is 1 for
        equal components, does not depend on their order, and does not change when z is scaled or shifted.

        Returns:
            (...), for a batch shape (...); the mixture has at least two components.
        """
        components = self.means.shape[-2]
        first, second = torch.triu_indices(components, components, offset=1, device=self.means.device)
        difference = self.log_scales[..., first, :] - self.log_scales[..., second, :]
        distance = self.means[..., first, :] - self.means[..., second, :]
        # (s^2 + t^2) = 2 s t cosh(log s - log t), which neither over- nor underflows within the bounds of the scales
        mean_scale = 0.5 * (self.log_scales[..., first, :] + self.log_scales[..., second, :])
        hyperbolic = torch.cosh(difference)
        exponent = -(distance * torch.exp(-mean_scale)).square() / (8.0 * hyperbolic)
        return (hyperbolic.rsqrt() * torch.exp(exponent)).mean((-2, -1))

    def live_components(self, threshold: float = 0.05) -> Tensor:
        """Mean number of components that weigh more than ``threshold``, shape (...)."""
        return (torch.softmax(self.logits, dim=-2) > threshold).sum(-2).double().mean(-1)

    def weight_entropy(self) -> Tensor:
        """Mean entropy of the component weights, nats, shape (...), from 0 (one component has all weight) to log K."""
        log_weights = torch.log_softmax(self.logits, dim=-2)
        return -(log_weights.exp() * log_weights).sum(-2).mean(-1)
