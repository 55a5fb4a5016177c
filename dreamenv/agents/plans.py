"""Distributions over plans, sequences of H actions, as the cross-entropy method draws from them and refits them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dreamenv.agents.prior import to_box
from dreamenv.foundation.spaces import ActionSpec

_VARIANCE = 1e-6  # added to the variance of the elites, as in google-research/planet


@dataclass(frozen=True)
class Plans(ABC):
    """One distribution over plans for each of B environments, in host memory.

    Attributes:
        action: The action space.
        smoothing: Weight of the old distribution in a refit.
        centre: (B, H, A) means on the scale of -1 to 1, or (B, H, n) probabilities of discrete actions; float32.
    """

    action: ActionSpec
    smoothing: float
    centre: Tensor

    def rows(self, rows: slice) -> Self:
        """Selects environments."""
        return replace(self, **{name: part[rows] for name, part in self._tensors().items()})

    def cat(self, parts: Sequence[Self]) -> Self:
        """Joins the distributions of several blocks of environments."""
        joined: dict[str, Any] = {name: torch.cat([getattr(one, name) for one in parts]) for name in self._tensors()}
        return replace(self, **joined)

    def _tensors(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    @classmethod
    @abstractmethod
    def around(cls, action: ActionSpec, smoothing: float, centre: Tensor) -> Self:
        """The wide distribution around a centre with which a search begins."""

    @staticmethod
    @abstractmethod
    def middle(action: ActionSpec, batch: int, steps: int) -> Tensor:
        """The centre for B environments that prefers no action, of the shape of ``centre``."""

    @abstractmethod
    def draw(self, generators: Sequence[np.random.Generator], count: int) -> Tensor:
        """Draws J plans for each environment from its generator.

        Returns:
            (B, J, H, A) float32 on the scale of -1 to 1, or (B, J, H) int64.
        """

    @abstractmethod
    def refit(self, elites: Tensor) -> Self:
        """Fits the distribution to (B, K, H, ...) plans."""

    @abstractmethod
    def to_actions(self, drawn: Tensor) -> NDArray:
        """Turns what :meth:`draw` returns, or a part of it, into actions of the space."""

    @abstractmethod
    def first(self, generators: Sequence[np.random.Generator] | None, exploration: float) -> NDArray:
        """Chooses the first action of every environment.

        Args:
            generators: One for each environment, to explore; None acts greedily.
            exploration: Standard deviation of noise on Box actions, on the scale of -1 to 1.

        Returns:
            (B,) int64 or (B, A) float32 actions of the space.
        """


@dataclass(frozen=True)
class GaussianPlans(Plans):
    """Independent Gaussians for each dimension of each step (PlaNet, algorithm 2).

    Attributes:
        std: Standard deviations, (B, H, A).
    """

    std: Tensor

    @classmethod
    def around(cls, action: ActionSpec, smoothing: float, centre: Tensor) -> GaussianPlans:
        """See :meth:`Plans.around`: standard deviations of 1."""
        return cls(action, smoothing, centre, torch.ones_like(centre))

    @staticmethod
    def middle(action: ActionSpec, batch: int, steps: int) -> Tensor:
        """See :meth:`Plans.middle`: the middle of the box."""
        return torch.zeros(batch, steps, action.size)

    def draw(self, generators: Sequence[np.random.Generator], count: int) -> Tensor:
        """See :meth:`Plans.draw`; plans are clipped before they are scored and fitted."""
        shape = (count, *self.centre.shape[1:])
        normal = _stack([generator.standard_normal(shape, np.float32) for generator in generators])
        return (self.centre[:, None] + self.std[:, None] * normal).clamp(-1.0, 1.0)

    def refit(self, elites: Tensor) -> GaussianPlans:
        """See :meth:`Plans.refit`; without smoothing, as in PlaNet."""
        std = (elites.var(1, correction=0) + _VARIANCE).sqrt()
        return GaussianPlans(self.action, self.smoothing, elites.mean(1), std)

    def to_actions(self, drawn: Tensor) -> NDArray[np.float32]:
        """See :meth:`Plans.to_actions`."""
        return to_box(drawn.numpy(), self.action)

    def first(self, generators: Sequence[np.random.Generator] | None, exploration: float) -> NDArray[np.float32]:
        """See :meth:`Plans.first`: the mean, with Gaussian noise to explore."""
        chosen = self.centre[:, 0]
        if generators is not None:
            size = chosen.shape[1]
            chosen = chosen + exploration * _stack([one.standard_normal(size, np.float32) for one in generators])
        return self.to_actions(chosen)


@dataclass(frozen=True)
class CategoricalPlans(Plans):
    """Independent categorical distributions for each step, refitted with smoothing (De Boer et al. 2005)."""

    @classmethod
    def around(cls, action: ActionSpec, smoothing: float, centre: Tensor) -> CategoricalPlans:
        """See :meth:`Plans.around`: every other action is drawn uniformly (own choice)."""
        return cls(action, smoothing, 0.5 * centre + 0.5 / action.n)

    @staticmethod
    def middle(action: ActionSpec, batch: int, steps: int) -> Tensor:
        """See :meth:`Plans.middle`: equal probabilities."""
        return torch.full((batch, steps, action.n), 1.0 / action.n)

    def draw(self, generators: Sequence[np.random.Generator], count: int) -> Tensor:
        """See :meth:`Plans.draw`; by the inverse CDF."""
        shape = (count, self.centre.shape[1])
        uniform = _stack([generator.random(shape, np.float32) for generator in generators])
        return _choose(self.centre[:, None], uniform)

    def refit(self, elites: Tensor) -> CategoricalPlans:
        """See :meth:`Plans.refit`: frequencies among the elites, mixed with the old probabilities.

        Without this mixture an action that no elite takes would never be drawn again.
        """
        frequency = torch.nn.functional.one_hot(elites, self.action.n).float().mean(1)
        mixed = self.smoothing * self.centre + (1.0 - self.smoothing) * frequency
        return CategoricalPlans(self.action, self.smoothing, mixed)

    def to_actions(self, drawn: Tensor) -> NDArray[np.int64]:
        """See :meth:`Plans.to_actions`."""
        return drawn.numpy()

    def first(self, generators: Sequence[np.random.Generator] | None, exploration: float) -> NDArray[np.int64]:
        """See :meth:`Plans.first`: the most probable action, or a draw to explore; no noise is added."""
        probabilities = self.centre[:, 0]
        if generators is None:
            return probabilities.argmax(1).numpy()
        return _choose(probabilities, _stack([one.random((), np.float32) for one in generators])).numpy()


def plans_of(action: ActionSpec) -> type[Plans]:
    """The class of distributions for an action space."""
    return CategoricalPlans if action.discrete else GaussianPlans


def shift(centre: Tensor, last: Tensor) -> Tensor:
    """Removes the first step of (B, H, ...) and appends (B, 1, ...)."""
    return torch.cat([centre[:, 1:], last], 1)


def _choose(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Draws int64 indices of shape ``uniform`` from probabilities with one dimension more, which broadcast."""
    cumulative = probabilities.cumsum(-1)
    reached = cumulative <= (uniform[..., None] * cumulative[..., -1:])
    return reached.sum(-1).clamp(max=probabilities.shape[-1] - 1)


def _stack(parts: Sequence[NDArray | np.float32]) -> Tensor:
    return torch.from_numpy(np.stack(parts))
