"""M on held-out episodes: its mixtures over time, and its predictions step by step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from numpy.typing import NDArray
from torch import Tensor

from dreamenv.models.latent import Mixture
from dreamenv.reports.horizon import OpenLoop
from dreamenv.reports.model_report import MemoryReport, one_step_loss
from dreamenv.world import Trace


@dataclass(frozen=True)
class Readings:
    """The predictions of M at every step of some episodes, one after the other; z is the posterior's mean.

    Attributes:
        mixture: Over the next z, of batch shape (N,).
        probabilities: Of the kinds of ending, (N, kinds + 1); column 0 is "goes on".
        ending: Index of the kind of ending, (N,) int64.
        nll: Negative log-likelihood of the next z at every step, nats per latent dimension; an array (T,) per episode.
    """

    mixture: Mixture
    probabilities: Tensor
    ending: Tensor
    nll: tuple[NDArray, ...]


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
    """M on held-out steps.

    Attributes:
        report: Likelihood, rewards and endings, step by step.
        components: K.
        entropy: Mean entropy of the component weights, nats; between 0 and log K.
        live_components: Mean number of components that weigh more than 5% at a step.
        overlap: How much components are the same one, see :meth:`dreamenv.models.latent.Mixture.overlap`; None for a
            single one.
        ordered_weights: Mean weight of the likeliest component, of the next one and so on, (K,).
        scale: 10%, 50% and 90% quantiles of the components' standard deviations, each counted by its weight.
        trace: The mixture along one episode.
        open_loop: Errors of predictions by horizon.
    """

    report: MemoryReport
    components: int
    entropy: float
    live_components: float
    overlap: float | None
    ordered_weights: tuple[float, ...]
    scale: tuple[float, ...]
    trace: MixtureTrace
    open_loop: tuple[OpenLoop, ...]

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
def read_memory(traces: Sequence[Trace]) -> Readings:
    """Reads the predictions of M at every step of real episodes."""
    return Readings(
        mixture=Mixture.cat([mixtures(trace) for trace in traces]),
        probabilities=torch.cat([trace.outlook.endings for trace in traces]),
        ending=torch.cat([trace.recording.ending for trace in traces]),
        nll=tuple(one_step_loss(trace).numpy() for trace in traces),
    )


def inspect_memory(
    readings: Readings,
    report: MemoryReport,
    shown: Trace,
    dimension: int,
    open_loop: tuple[OpenLoop, ...],
) -> MemoryInspection:
    """Measures M.

    Args:
        readings: Its predictions on held-out episodes.
        report: Errors on the same, see :func:`dreamenv.reports.model_report.report_memory`.
        shown: The episode whose mixtures are followed.
        dimension: The latent dimension of these mixtures.
        open_loop: Errors by horizon, see :func:`dreamenv.reports.horizon.open_loop`.

    Returns:
        The numbers.
    """
    mixture = readings.mixture
    weights = torch.softmax(mixture.logits, dim=-2)
    return MemoryInspection(
        report=report,
        components=weights.shape[-2],
        entropy=float(mixture.weight_entropy().mean()),
        live_components=float(mixture.live_components().mean()),
        overlap=float(mixture.overlap().mean()) if weights.shape[-2] > 1 else None,
        ordered_weights=tuple(weights.sort(dim=-2, descending=True).values.mean((0, 2)).tolist()),
        scale=_scale_quantiles(mixture, weights),
        trace=trace_mixture(shown, dimension),
        open_loop=open_loop,
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
