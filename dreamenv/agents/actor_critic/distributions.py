"""Distributions over actions that an actor chooses from: categorical ones, and normal ones squashed into a Box."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from dreamenv.foundation.spaces import ActionSpec
from dreamenv.models.heads import unscale_action
from dreamenv.models.latent import Categorical, Gaussian

MEAN_BOUND = 5.0  # of the mean before tanh; V1's code
LEAST_DEVIATION = 1e-4  # V1's code
LEAST_TRUNCATED_DEVIATION = 0.1  # V2's code
EDGE = 1e-6  # distance of truncated draws from the bounds; V2's code
BoxKind = Literal["tanh-normal", "truncated-normal"]


class ActionDistribution(ABC):
    """A batch of distributions over actions. Draws are in the form that has densities: one-hot, or before tanh."""

    @abstractmethod
    def draw(self, uniform: Tensor, normal: Tensor) -> Tensor:
        """Draws (B, A) float32, by (B, 1) numbers in [0, 1) or (B, A) standard normal ones; the gradient reaches it."""

    @abstractmethod
    def mode(self) -> Tensor:
        """The greedy choice, in the form of a draw, (B, A)."""

    @abstractmethod
    def action(self, drawn: Tensor) -> Tensor:
        """The action of the space, (B,) int64 or (B, A) float32, of a draw (B, A)."""

    @abstractmethod
    def differentiable(self, drawn: Tensor) -> Tensor:
        """As :meth:`action`, but discrete actions are one-hot vectors (B, n), so that gradients reach the draw."""

    @abstractmethod
    def log_probability(self, drawn: Tensor) -> Tensor:
        """Log-probability, or log-density, of draws (B, A) in nats, (B,)."""

    @abstractmethod
    def entropy(self, drawn: Tensor) -> Tensor:
        """Entropy in nats, (B,), or an unbiased estimate from draws (B, A) where it has no closed form."""


@dataclass(frozen=True)
class Choice(ActionDistribution):
    """Categorical distributions over n discrete actions; draws are one-hot vectors with straight-through gradients.

    Attributes:
        latent: Of batch shape (B,) with one variable of n classes; its formulas are used.
    """

    latent: Categorical

    @classmethod
    def of(cls, outputs: Tensor) -> Choice:
        """From (B, n) logits."""
        return cls(Categorical(outputs[..., None, :]))

    @property
    def probabilities(self) -> Tensor:
        """Of the actions, (B, n)."""
        return torch.softmax(self.latent.logits, -1).squeeze(-2)

    def draw(self, uniform: Tensor, normal: Tensor) -> Tensor:
        """See :meth:`ActionDistribution.draw`."""
        return self.latent.sample(None, uniform, normal)

    def mode(self) -> Tensor:
        """See :meth:`ActionDistribution.mode`: the likeliest action."""
        return self.latent.mode()

    def action(self, drawn: Tensor) -> Tensor:
        """See :meth:`ActionDistribution.action`."""
        return drawn.argmax(-1)

    def differentiable(self, drawn: Tensor) -> Tensor:
        """See :meth:`ActionDistribution.differentiable`."""
        return drawn

    def log_probability(self, drawn: Tensor) -> Tensor:
        """See :meth:`ActionDistribution.log_probability`."""
        return self.latent.log_probability(drawn)

    def entropy(self, drawn: Tensor) -> Tensor:
        """See :meth:`ActionDistribution.entropy`; exact."""
        return self.latent.entropy().sum(-1)


@dataclass(frozen=True)
class TanhNormal(ActionDistribution):
    """tanh of normal distributions, mapped from [-1, 1] to the Box (V1's actor); draws are the numbers before tanh.

    Densities and entropies are those of the actions on the scale of -1 to 1.

    Attributes:
        latent: The normal distributions, of batch shape (B,) and A dimensions.
        space: The Box.
    """

    latent: Gaussian
    space: ActionSpec

    @classmethod
    def of(cls, outputs: Tensor, space: ActionSpec) -> TanhNormal:
        """From (B, 2 A) outputs m and s: mean 5 tanh(m / 5), deviation softplus(s) + 1e-4 (V1's code)."""
        mean, spread = outputs.chunk(2, -1)
        deviation = F.softplus(spread) + LEAST_DEVIATION
        return cls(Gaussian(MEAN_BOUND * torch.tanh(mean / MEAN_BOUND), 2.0 * deviation.log()), space)

    @staticmethod
    def outputs_for(mean: NDArray, deviation: float) -> NDArray:
        """Outputs (2 A,) that give a mean action (A,) on the scale of -1 to 1, and a deviation before tanh."""
        before = MEAN_BOUND * np.arctanh(np.arctanh(mean) / MEAN_BOUND)
        spread = deviation + math.log(-math.expm1(-deviation))  # the inverse of softplus
        return np.concatenate([before, np.full_like(mean, spread)])

    def draw(self, uniform: Tensor, normal: Tensor) -> Tensor:
        """See :meth:`ActionDistribution.draw`."""
        return self.latent.at(normal)

    def mode(self) -> Tensor:
        """See :meth:`ActionDistribution.mode`: the mean before tanh; V1 takes the likeliest of 100 draws."""
        return self.latent.mode()

    def action(self, drawn: Tensor) -> Tensor:
        """See :meth:`ActionDistribution.action`."""
        low, high = drawn.new_tensor(self.space.low), drawn.new_tensor(self.space.high)
        return unscale_action(torch.tanh(drawn), low, high)

    def differentiable(self, drawn: Tensor) -> Tensor:
        """See :meth:`ActionDistribution.differentiable`."""
        return self.action(drawn)

    def log_probability(self, drawn: Tensor) -> Tensor:
        """See :meth:`ActionDistribution.log_probability`."""
        return self.latent.log_probability(drawn) - _log_slope(drawn).sum(-1)

    def entropy(self, drawn: Tensor) -> Tensor:
        """See :meth:`ActionDistribution.entropy`: that of the normal plus the log-slope of tanh at the draws.

        The draws are computed again from their standard normal numbers, so that the gradient reaches both terms.
        """
        deviation = (0.5 * self.latent.log_variance).exp()
        again = self.latent.at(((drawn - self.latent.mean) / deviation).detach())
        return (self.latent.entropy() + _log_slope(again)).sum(-1)


@dataclass(frozen=True)
class TruncatedNormal(ActionDistribution):
    """Normal distributions truncated to [-1, 1], which is mapped to the Box (V2's actor); draws lie in [-1, 1].

    Densities and entropies are those on the scale of -1 to 1.

    Attributes:
        mean: Before truncation, in [-1, 1], (B, A).
        deviation: Likewise, at least 0.1, (B, A).
        space: The Box.
    """

    mean: Tensor
    deviation: Tensor
    space: ActionSpec

    @classmethod
    def of(cls, outputs: Tensor, space: ActionSpec) -> TruncatedNormal:
        """From (B, 2 A) outputs m and s: mean tanh(m), deviation 2 sigmoid(s / 2) + 0.1 (V2's code)."""
        mean, spread = outputs.chunk(2, -1)
        return cls(torch.tanh(mean), 2.0 * torch.sigmoid(spread / 2.0) + LEAST_TRUNCATED_DEVIATION, space)

    @staticmethod
    def outputs_for(mean: NDArray, deviation: float) -> NDArray:
        """Outputs (2 A,) that give a mean (A,) and a deviation above 0.1 and below 2.1, both before truncation."""
        share = min(max((deviation - LEAST_TRUNCATED_DEVIATION) / 2.0, EDGE), 1.0 - EDGE)
        return np.concatenate([np.arctanh(mean), np.full_like(mean, 2.0 * math.log(share / (1.0 - share)))])

    @property
    def _ends(self) -> tuple[Tensor, Tensor]:
        """-1 and 1, standardised."""
        return (-1.0 - self.mean) / self.deviation, (1.0 - self.mean) / self.deviation

    def draw(self, uniform: Tensor, normal: Tensor) -> Tensor:
        """See :meth:`ActionDistribution.draw`; by the inverse of the distribution function."""
        low, high = (torch.special.ndtr(end) for end in self._ends)
        share = torch.special.ndtr(normal).clamp(EDGE, 1.0 - EDGE)
        drawn = self.mean + self.deviation * torch.special.ndtri(low + share * (high - low))
        return drawn + (drawn.clamp(EDGE - 1.0, 1.0 - EDGE) - drawn).detach()

    def mode(self) -> Tensor:
        """See :meth:`ActionDistribution.mode`: the mean before truncation, which is the likeliest action."""
        return self.mean

    def action(self, drawn: Tensor) -> Tensor:
        """See :meth:`ActionDistribution.action`."""
        return unscale_action(drawn, drawn.new_tensor(self.space.low), drawn.new_tensor(self.space.high))

    def differentiable(self, drawn: Tensor) -> Tensor:
        """See :meth:`ActionDistribution.differentiable`."""
        return self.action(drawn)

    def log_probability(self, drawn: Tensor) -> Tensor:
        """See :meth:`ActionDistribution.log_probability`."""
        standard = (drawn - self.mean) / self.deviation
        return (_log_normal(standard) - self.deviation.log() - self._kept.log()).sum(-1)

    def entropy(self, drawn: Tensor) -> Tensor:
        """See :meth:`ActionDistribution.entropy`; exact."""
        low, high = self._ends
        moved = low * _log_normal(low).exp() - high * _log_normal(high).exp()
        whole = 0.5 * math.log(2.0 * math.pi * math.e) + self.deviation.log() + self._kept.log()
        return (whole + moved / (2.0 * self._kept)).sum(-1)

    @property
    def _kept(self) -> Tensor:
        """Probability of [-1, 1] before truncation."""
        low, high = self._ends
        return torch.special.ndtr(high) - torch.special.ndtr(low)


BOXES: dict[BoxKind, type[TanhNormal] | type[TruncatedNormal]] = {
    "tanh-normal": TanhNormal,
    "truncated-normal": TruncatedNormal,
}


def _log_normal(standard: Tensor) -> Tensor:
    """Log-density of the standard normal distribution."""
    return -0.5 * standard.square() - 0.5 * math.log(2.0 * math.pi)


def _log_slope(drawn: Tensor) -> Tensor:
    """Logarithm of the derivative of tanh, log(1 - tanh(x)^2), without rounding to log 0."""
    return 2.0 * (math.log(2.0) - drawn - F.softplus(-2.0 * drawn))
