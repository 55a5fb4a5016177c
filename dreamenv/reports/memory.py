"""M on held-out episodes: its mixtures over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dreamenv.models.latent import Mixture
from dreamenv.world import Trace


@dataclass(frozen=True)
class MixtureTrace:
    """The mixture over one latent dimension along an episode.

    Attributes:
        dimension: Its index.
        z: The dimension's posterior mean that each step led to, (T,).
        weights: Of the components, (K, T).
        means: (K, T).
        scales: Standard deviations, (K, T).
        entropy: Of the weights, mean over all latent dimensions, nats, (T,).
    """

    dimension: int
    z: tuple[float, ...]
    weights: tuple[tuple[float, ...], ...]
    means: tuple[tuple[float, ...], ...]
    scales: tuple[tuple[float, ...], ...]
    entropy: tuple[float, ...]


@dataclass(frozen=True)
class MemoryInspection:
    """The mixtures of M on held-out steps.

    Attributes:
        components: K.
        entropy: Mean entropy of the component weights, nats; between 0 and log K.
        live_components: Mean number of components that weigh more than 5% at a step.
        overlap: How much components are the same one, see :meth:`dreamenv.models.latent.Mixture.overlap`; None for a
            single one.
        ordered_weights: Mean weight of the likeliest component, of the next one and so on, (K,).
        scale: 10%, 50% and 90% quantiles of the components' standard deviations, each counted by its weight.
        trace: The mixture along one episode.
    """

    components: int
    entropy: float
    live_components: float
    overlap: float | None
    ordered_weights: tuple[float, ...]
    scale: tuple[float, ...]
    trace: MixtureTrace

    @property
    def entropy_limit(self) -> float:
        """The largest entropy there can be, log K."""
        return math.log(self.components)


def mixtures(trace: Trace) -> Mixture:
    """The priors along an episode that an MDN-RNN followed."""
    priors = trace.priors
    assert isinstance(priors, Mixture)
    return priors


@torch.inference_mode()
def inspect_memory(traces: Sequence[Trace], shown: Trace, dimension: int) -> MemoryInspection:
    """Measures the mixtures of M.

    Args:
        traces: Held-out episodes that an MDN-RNN followed.
        shown: The episode whose mixtures are followed.
        dimension: The latent dimension of these mixtures.

    Returns:
        The numbers.
    """
    mixture = Mixture.cat([mixtures(trace) for trace in traces])
    weights = torch.softmax(mixture.logits, dim=-2)
    return MemoryInspection(
        components=weights.shape[-2],
        entropy=float(mixture.weight_entropy().mean()),
        live_components=float(mixture.live_components().mean()),
        overlap=float(mixture.overlap().mean()) if weights.shape[-2] > 1 else None,
        ordered_weights=tuple(weights.sort(dim=-2, descending=True).values.mean((0, 2)).tolist()),
        scale=_scale_quantiles(mixture, weights),
        trace=trace_mixture(shown, dimension),
    )


@torch.inference_mode()
def trace_mixture(trace: Trace, dimension: int) -> MixtureTrace:
    """Follows the mixture over one latent dimension along a real episode."""
    mixture = mixtures(trace)
    weights = torch.softmax(mixture.logits, dim=-2)
    return MixtureTrace(
        dimension=dimension,
        z=tuple(trace.after.z[:, dimension].tolist()),
        weights=_rows(weights.expand_as(mixture.means)[..., dimension].T),
        means=_rows(mixture.means[..., dimension].T),
        scales=_rows(mixture.log_scales[..., dimension].exp().T),
        entropy=tuple(mixture.weight_entropy().tolist()),
    )


def _rows(matrix: Tensor) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())


def _scale_quantiles(mixture: Mixture, weights: Tensor) -> tuple[float, ...]:
    scales, order = mixture.log_scales.exp().flatten().sort()
    mass = weights.expand_as(mixture.means).flatten()[order].double().cumsum(0)
    places = torch.searchsorted(mass / mass[-1], torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64))
    return tuple(scales[places.clamp(max=len(scales) - 1)].tolist())
